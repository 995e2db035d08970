"""A small reader: a compact CTC recogniser trained on rendered words and a few real ones.

    python -m jstr.main --config=configs/reader.py --workdir=runs/reader --config.data_root=DATA

Arguments, after a colon: `words=rendered|real|both`; `start=WORKDIR`, to continue from the weights of another run, with
another --config.seed so that it sees other words; `finish`, for the last run of such a series: weaker augmentation, so
that words look as they will at test time, and a learning rate that falls to zero over the whole run; `deeper`, three
more residual blocks, which start as identities, so that the network goes on from the weights of a shallower one.
Evaluation uses a list of English words. Measured results (three runs, 4 h 17 min): configs/results/reader.json. The
reader that comes with the package is the same network, taught by a stronger one instead of by labels:
configs/distill.py.
"""

from configs import common

WEAK = dict(
    crop=dict(amount=0.04),
    affine=dict(rotate=2.0, shear=0.07, scale=0.05, shift=0.025),
    contrast=dict(contrast=0.2, brightness=0.08, invert=0.1),
    blur=dict(sigma=0.8, probability=0.1),
    noise=dict(sigma=6.0, probability=0.1),
)
# What a start with `compact` features does not have.
NEW_BLOCKS = tuple(f"model/extractor/{block}" for block in ("level0_1", "level1_2", "level2_2"))


def get_config(arg: str = "") -> common.ConfigDict:
    options = common.arguments(arg, words="both", start="", finish=False, deeper=False)
    if options.words not in ("rendered", "real", "both"):
        raise ValueError(f"config argument words={options.words}: choose rendered, real or both")
    config = common.base()
    config.charset.drop_outside = True  # "it's" trains as "its", as the 36-character protocol scores it
    config.image.size = (32, 128)
    config.model = common.crnn(width=0.5) | dict(features="compact")
    real, rendered = dict(both=(0.4, 0.6), real=(1.0, 0.0), rendered=(0.0, 1.0))[options.words]
    # Plain words teach letters first; see common.PLAIN.
    sources = {
        "plain": common.rendered(seed=1, style=common.PLAIN) | dict(weight=0.25 * rendered),
        "varied": common.rendered(seed=3) | dict(weight=0.75 * rendered),
    }
    sources |= {name: row | dict(weight=row["weight"] * real) for name, row in common.real_words().items()}
    sources = {name: row for name, row in sources.items() if row["weight"] > 0}
    config.streams.labelled = common.stream(64, sources, WEAK if options.finish else common.real_view())
    config.evals = common.benchmarks()
    config.language_model.words = "english"
    config.optimizer = common.adam(1e-3, "warmup_stable_decay", warmup_steps=500, decay=0.3)
    config.steps, config.log_every, config.eval_every, config.save_every = 12_000, 200, 4000, 500
    if options.finish:
        config.optimizer.schedule.update(warmup_steps=100, decay=1.0)
        config.steps = 3_000
    config.init_from = (("model", options.start, "model"),) if options.start else ()
    if options.deeper:
        config.model.features = "compact_deeper"
        config.init_allow_missing = NEW_BLOCKS if options.start else ()
    return common.apply(config, "runlocal" if options.runlocal else "")
