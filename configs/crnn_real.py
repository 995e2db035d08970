"""A compact CRNN from scratch on 7,619 real words, nothing else: the plainest baseline, about 30 minutes on 2 cores.

    python -m jstr.main --config=configs/crnn_real.py --workdir=runs/crnn_real --config.data_root=DATA

DATA holds iiit5k, svt, icdar2003 and icdar2015 with their train.tar, and the test.tar of IIIT5K, SVT and IC13.
Measured results: configs/results/crnn_real.json.
"""

from configs import common


def get_config(arg=""):
    config = common.base()
    config.charset.drop_outside = True  # "it's" trains as "its", as the 36-character protocol scores it
    config.model = common.crnn(width=0.25)
    # Batches hold every word equally often: the weights are the numbers of words.
    sizes = dict(iiit5k=2000, svt=257, icdar2003=894, icdar2015=4468)
    sources = {name: dict(path=f"{name}/train.tar", weight=float(size)) for name, size in sizes.items()}
    view = dict(
        crop=dict(amount=0.08),
        affine=dict(rotate=5.0, shear=0.2, scale=0.12, shift=0.06),
        perspective=dict(strength=0.08),
        contrast=dict(contrast=0.5, brightness=0.2, invert=0.3),
        blur=dict(sigma=1.5, probability=0.3),
        noise=dict(sigma=12.0, probability=0.3),
    )
    config.streams.labelled = common.stream(32, sources, view)
    config.evals = common.benchmarks()
    config.optimizer = common.adam(2e-3, warmup=0.05)
    config.steps, config.log_every, config.eval_every, config.save_every = 16_000, 200, 4000, 1000
    return common.apply(config, arg)
