"""TRBA as in STR-Fewer-Labels and CR: RGB 32x100, 94 characters, learned embedding, Adam with a one-cycle schedule.

    python -m jstr.main --config=configs/trba.py --workdir=runs/trba --config.data_root=DATA

DATA holds the LMDBs `MJ` and `ST`. A re-training in this setting reached IIIT5K 95.5, SVT 91.8 (README of CR). Full
size needs an accelerator. `--config=configs/trba.py:runlocal` is a tiny version on rendered words.
"""

from configs import common


def get_config(arg: str = "") -> common.ConfigDict:
    config = common.base()
    config.charset = dict(
        characters="94", layout="cr_attention", max_length=25, lower=False, nfkc=False, drop_outside=False
    )
    config.image.channels = 3
    config.model = common.trba()
    config.streams.labelled = common.stream(384, dict(mj=dict(path="MJ", weight=0.5), st=dict(path="ST", weight=0.5)))
    config.evals = common.benchmarks()
    config.optimizer = common.adam(1e-3)
    config.steps, config.log_every, config.eval_every, config.save_every = 250_000, 100, 10_000, 2_000
    config.num_workers = 8
    return common.apply(config, arg)
