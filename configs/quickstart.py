"""A compact CRNN learns to read from words rendered on the fly: no file, account or download.

    python -m jstr.main --config=configs/quickstart.py --workdir=runs/quickstart
"""

from configs import common


def get_config(arg=""):
    config = common.base()
    config.model = common.crnn(width=0.25)
    config.streams.labelled = common.stream(64, dict(rendered=common.rendered(seed=1)))
    config.evals.rendered = common.rendered(seed=2, size=1000) | dict(protocol="alnum36")
    config.evals.real = common.real_sample()
    config.optimizer = common.adam(2e-3)
    config.steps = 4000
    config.eval_every = 2000
    config.save_every = 500
    config.example_image = common.example_image()
    return common.apply(config, arg)
