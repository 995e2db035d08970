"""What the semi-supervised methods start from: the labelled words of configs/cr_str.py alone, supervised.

    python -m jstr.main --config=configs/source_only.py:compact --workdir=runs/source_only --config.data_root=DATA

The same recogniser, augmentation, optimiser and steps, without the unlabelled words. `weak`: the weak view of the words
instead of the strong one. Options `compact` and `decoder` as in configs/cr_str.py.
"""

from configs import common


def get_config(arg=""):
    options = common.arguments(arg, compact=False, decoder="attention", weak=False)
    config = common.semi_supervised(options, dict(cr_weak={}) if options.weak else None)
    del config.streams.unlabelled, config.held_back.unlabelled
    return common.apply(config, "runlocal" if options.runlocal else "")
