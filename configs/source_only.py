"""The baseline of the semi-supervised methods: supervised training on the labelled words of configs/cr_str.py alone.

    python -m jstr.main --config=configs/source_only.py:compact --workdir=runs/source_only --config.data_root=DATA

The same recogniser, augmentation, optimiser and steps, without the unlabelled words. `weak`: the weak view of the words
instead of the strong one. `real`: the unlabelled words too, with their true labels: the upper bound of a method.
`reader=WORKDIR`: the unlabelled words too, as labelled words where that run reads them with confidence 0.9
(pseudo-labels); words=english adds a word list, which makes these readings much better. Options `compact`, `decoder`
and `every` as in configs/cr_str.py. Measured results: configs/results/cr.json.
"""

from configs import common, common_semi


def get_config(arg: str = "") -> common.ConfigDict:
    options = common.arguments(arg, **common_semi.SEMI, weak=False, real=False)
    if options.real and options.reader:
        raise ValueError("config arguments real and reader: choose one")
    config = common_semi.semi_supervised(options)
    labelled, others = config.streams.labelled, config.streams.unlabelled
    if options.real:
        sources = {name: {**row, "labelled": True} for name, row in others.sources.to_dict().items()}
        labelled.sources.update(common_semi.others_labelled(sources, (labelled.batch_size, others.batch_size)))
    if options.real or options.reader:
        labelled.batch_size += others.batch_size
    del config.streams.unlabelled, config.held_back.unlabelled
    return common.apply(config, "runlocal" if options.runlocal else "")
