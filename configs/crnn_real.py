"""A compact CRNN trained from scratch on 7,619 real words and nothing else: the plainest baseline.

    python -m jstr.main --config=configs/crnn_real.py --workdir=runs/crnn_real --config.data_root=DATA

DATA holds iiit5k, svt, icdar2003 and icdar2015 with their train.tar, and the test.tar of IIIT5K, SVT and IC13. About
25 minutes on 2 cores. Measured results (IIIT5K 58.5, SVT 47.0): configs/results/crnn_real.json.
"""

from configs import common


def get_config(arg: str = "") -> common.ConfigDict:
    config = common.base()
    config.charset.drop_outside = True  # "it's" trains as "its", as the 36-character protocol scores it
    config.model = common.crnn(width=0.125)
    config.streams.labelled = common.stream(32, common.real_words(), common.real_view())
    config.evals = common.benchmarks()
    config.optimizer = common.adam(2e-3, warmup=0.05)
    config.steps, config.log_every, config.eval_every, config.save_every = 24_000, 500, 8000, 1000
    return common.apply(config, arg)
