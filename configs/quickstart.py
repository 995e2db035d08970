"""A compact CRNN learns to read from words rendered on the fly: no file, account or download.

    python -m jstr.main --config=configs/quickstart.py --workdir=runs/quickstart

About 7 minutes on 2 cores. Measured results: configs/results/quickstart.json.
"""

from configs import common

# Half of the words are plain: clear print on calm ground. CTC finds out what letters are on them much sooner than on
# the varied ones alone, and those teach it the rest.
PLAIN = dict(
    kinds=(0.8, 0.1, 0.1),
    unlabelled_marks=0.0,
    spaced=0.1,
    thinner=0.0,
    bent=0.0,
    tilted=0.0,
    perspective=0.04,
    margin_x=(0.0, 0.3),
    margin_y=(0.0, 0.2),
    contrast=(90.0, 235.0),
    textured=0.15,
    texture=(0.03, 0.15),
    neighbours=0.0,
    blurred=0.3,
    shaken=0.0,
    small=0.2,
    resolution=(0.6, 0.95),
    noisy=0.2,
)


def get_config(arg=""):
    config = common.base()
    config.model = common.crnn(width=0.125)
    sources = dict(plain=common.rendered(seed=1, style=PLAIN), varied=common.rendered(seed=3))
    config.streams.labelled = common.stream(32, sources)
    config.evals.rendered = common.rendered(seed=2, size=1000) | dict(protocol="alnum36")
    config.evals.real = common.real_sample()
    config.optimizer = common.adam(3e-3, warmup=0.05)
    config.steps, config.log_every, config.eval_every, config.save_every = 9000, 200, 3000, 1000
    config.example_image = common.example_image()
    return common.apply(config, arg)
