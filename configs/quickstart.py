"""A compact CRNN learns to read from words rendered on the fly: no file, account or download.

    python -m jstr.main --config=configs/quickstart.py --workdir=runs/quickstart

About 7 minutes on 2 cores. Measured results: configs/results/quickstart.json.
"""

from configs import common


def get_config(arg: str = "") -> common.ConfigDict:
    config = common.base()
    config.model = common.crnn(width=0.125)
    # Half of the words are plain: see common.PLAIN.
    sources = dict(plain=common.rendered(seed=1, style=common.PLAIN), varied=common.rendered(seed=3))
    config.streams.labelled = common.stream(32, sources)
    config.evals.rendered = common.rendered(seed=2, size=1000) | dict(protocol="alnum36")
    config.evals.update(common.real_sample())
    config.optimizer = common.adam(3e-3, warmup=0.05)
    config.steps, config.log_every, config.eval_every, config.save_every = 9000, 200, 3000, 1000
    config.example_image = common.example_image()
    return common.apply(config, arg)
