"""ABINet (Fang et al. 2021), supervised: vision, language and fusion trained together on labelled words.

    python -m jstr.main --config=configs/abinet.py:compact,vision=runs/vision,language=runs/language \
        --workdir=runs/abinet --config.data_root=DATA

vision= and language= are runs of configs/abinet_vision.py and configs/abinet_language.py; without them these parts
start from random weights. Without `compact`: the published sizes and schedule, RGB 32x128, on the LMDBs `MJ` and `ST`;
this needs an accelerator. With `compact`: less than a fifth of the width, one layer, rendered words and, with
labels=0.1, a tenth of 7,619 real ones, chosen by label_seed=0.
Published for this setting (LV): IIIT5K 96.4, SVT 93.2 (README of SemiMTR). form=sv and features= are as in
configs/abinet_vision.py.
"""

from configs import common, common_abinet


def get_config(arg: str = "") -> common.ConfigDict:
    options = common.arguments(
        arg, compact=False, form="lv", features="resnet45", vision="", language="", labels=0.0, label_seed=0
    )
    config = common_abinet.network("abinet", options)
    batch_size = 32 if options.compact else 384
    config.streams.labelled = common.stream(batch_size, common_abinet.labelled_rows(options), dict(abinet={}))
    config.evals = common.benchmarks()
    common_abinet.stages(config, options)
    if options.compact:
        config.steps, config.log_every, config.eval_every, config.save_every = 4_000, 100, 1_000, 500
    else:
        config.optimizer.schedule.drops = (0.6,)
        config.steps, config.log_every, config.eval_every, config.save_every = 430_000, 100, 10_000, 3_000
    return common.apply(config, "runlocal" if options.runlocal else "")
