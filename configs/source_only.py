"""What the semi-supervised methods start from: the labelled words of configs/cr_str.py alone, supervised.

    python -m jstr.main --config=configs/source_only.py:compact --workdir=runs/source_only --config.data_root=DATA

The same recogniser, augmentation, optimiser and steps, without the unlabelled words. `weak`: the weak view of the words
instead of the strong one. `real`: the words without labels too, with their labels: what a method could reach. Options
`compact` and `decoder` as in configs/cr_str.py.
"""

from configs import common


def get_config(arg=""):
    options = common.arguments(arg, compact=False, decoder="attention", weak=False, real=False)
    options.hidden = options.real  # their labels are read
    config = common.semi_supervised(options)
    if options.real:
        labelled, others = config.streams.labelled, config.streams.unlabelled
        for name, row in others.sources.items():
            labelled.sources[name] = row.to_dict() | dict(weight=row.get("weight", 1.0) * 0.75)  # 24 to 32 others
        labelled.batch_size += others.batch_size
    del config.streams.unlabelled, config.held_back.unlabelled
    return common.apply(config, "runlocal" if options.runlocal else "")
