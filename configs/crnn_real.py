"""A compact CRNN from scratch on 7,619 real words, nothing else: the plainest baseline, about 25 minutes on 2 cores.

    python -m jstr.main --config=configs/crnn_real.py --workdir=runs/crnn_real --config.data_root=DATA

DATA holds iiit5k, svt, icdar2003 and icdar2015 with their train.tar, and the test.tar of IIIT5K, SVT and IC13.
Measured results: configs/results/crnn_real.json.
"""

from configs import common


def get_config(arg=""):
    config = common.base()
    config.charset.drop_outside = True  # "it's" trains as "its", as the 36-character protocol scores it
    config.model = common.crnn(width=0.125)
    # ICDAR 2015 is more than half of the words and by far the hardest to learn letters from: it is shown less often.
    weights = dict(iiit5k=0.35, svt=0.05, icdar2003=0.15, icdar2015=0.45)
    sources = {name: dict(path=f"{name}/train.tar", weight=weight) for name, weight in weights.items()}
    view = dict(
        crop=dict(amount=0.08),
        affine=dict(rotate=4.0, shear=0.15, scale=0.1, shift=0.05),
        contrast=dict(contrast=0.4, brightness=0.15, invert=0.3),
        blur=dict(sigma=1.2, probability=0.2),
        noise=dict(sigma=10.0, probability=0.2),
    )
    config.streams.labelled = common.stream(32, sources, view)
    config.evals = common.benchmarks()
    config.optimizer = common.adam(2e-3, warmup=0.05)
    config.steps, config.log_every, config.eval_every, config.save_every = 24_000, 500, 8000, 1000
    return common.apply(config, arg)
