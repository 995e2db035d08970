"""CRNN as trained by Baek et al. 2019: MJSynth and SynthText in equal parts, grey 32x100, 36 characters, Adadelta.

    python -m jstr.main --config=configs/crnn.py --workdir=runs/crnn --config.data_root=DATA

DATA holds the LMDBs `MJ` and `ST`. Published for this setting (Baek et al. 2019): IIIT5K 82.9, SVT 81.6.
Full size needs an accelerator. `--config=configs/crnn.py:runlocal` is a tiny version on rendered words.
"""

from configs import common


def get_config(arg: str = "") -> common.ConfigDict:
    config = common.base()
    config.charset = dict(characters="36", layout="dtrb_ctc", max_length=25, lower=True, nfkc=False, drop_outside=False)
    config.model = common.crnn()
    config.streams.labelled = common.stream(192, dict(mj=dict(path="MJ", weight=0.5), st=dict(path="ST", weight=0.5)))
    config.evals = common.benchmarks()
    config.optimizer = common.adadelta()
    config.steps, config.log_every, config.eval_every, config.save_every = 300_000, 100, 10_000, 2_000
    config.num_workers = 4
    return common.apply(config, arg)
