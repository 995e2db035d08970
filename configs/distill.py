"""A small reader that learns from a strong one: rendered words, and real words as the strong one reads them.

    python -m jstr.main --config=configs/distill.py --workdir=runs/small --config.data_root=DATA

No human label is read: of the real words only the images are taken, and those that the teacher reads with confidence
0.8 or more, with English words, are learned as labels. The network is that of configs/reader.py: 1.6 M parameters, more
than 130 words/s on one core. So the reader of the package was made, in five runs (6 h 42 min); with English words it
reads 1.4 to 1.6 points more than the same network that learned 7,610 human labels (configs/results/distill.json).

Arguments: `teacher=ppocrv6-small`, or a WORKDIR; `images=PATH`, any word images (default, under data_root: 7,619 train
words and 7,980 that nobody has labelled); `start=WORKDIR`, weights to go on from, such as those of
`configs/reader.py:words=rendered`; `finish`, for the last run of a series: weaker augmentation, and a learning rate
that falls to zero; `deeper`, as in configs/reader.py; `every=STEPS`, self-training: after each STEPS steps the run
reads the real words itself, and its own sure readings are the labels from then on. With a teacher and start that
learned rendered words only, no person has read anything: configs/studies/no_labels.txt.
"""

from configs import common, reader


def get_config(arg: str = "") -> common.ConfigDict:
    options = common.arguments(arg, teacher="ppocrv6-small", images="", start="", finish=False, deeper=False, every=0)
    given = f"start={options.start}" + ",finish" * options.finish + ",deeper" * options.deeper
    config = reader.get_config(given)
    read = dict(read_by=dict(workdir=options.teacher, threshold=0.8, language_model="english"))
    if options.images:
        real = dict(images=dict(path=options.images, weight=1.0))
    else:
        real = {name: row | dict(weight=0.6 * row["weight"]) for name, row in common.real_words().items()}
        real["mlt17"] = dict(path="mlt17_latin/unlabelled.tar", weight=0.4)
    sources = {name: row for name, row in config.streams.labelled.sources.items() if "rendered" in row}
    sources |= {name: row | read | dict(weight=0.4 * row["weight"]) for name, row in real.items()}
    config.streams.labelled.sources = sources
    if options.every:
        config.self_training = dict(every=options.every, thresholds=(), shares=(), stop_after=0)
    return common.apply(config, "runlocal" if options.runlocal else "")
