"""Pseudo-labelling in the form of STR-Fewer-Labels (Baek et al. 2021).

    python -m jstr.main --config=configs/pseudo_label.py:compact,teacher=runs/a --workdir=runs/b --config.data_root=DATA

A frozen teacher, the recogniser of another run of the same sizes, labels every batch; the student starts from random
weights. A run of configs/source_only.py can be the teacher.

Offline, in rounds, with a threshold (the teacher may be of any size; repeat with runs/b as the teacher):

    python tools/pseudo_label.py --workdir=runs/a --data=IMAGES --out=kept.tar --threshold=0.9
    python -m jstr.main --config=configs/pseudo_label.py:compact,kept=kept.tar --workdir=runs/b --config.data_root=DATA

Options `compact`, `decoder` and `hidden` as in configs/cr_str.py. Measured results: configs/results/cr.json.
"""

from pathlib import Path

from configs import common, common_semi


def get_config(arg: str = "") -> common.ConfigDict:
    options = common.arguments(arg, **common_semi.SEMI, teacher="", kept="")
    if bool(options.teacher) == bool(options.kept) and not options.runlocal:
        raise ValueError("give the config argument teacher=WORKDIR, or kept=FILE of tools/pseudo_label.py")
    config = common_semi.semi_supervised(options)
    if options.kept:
        config.streams.labelled = common.stream(
            config.streams.labelled.batch_size + config.streams.unlabelled.batch_size,
            with_kept(config.streams.labelled.sources.to_dict(), str(Path(options.kept).resolve())),
            common_semi.fewer_labels_view(),
        )
        config.held_back.labelled.views.image = common_semi.fewer_labels_view()
        del config.streams.unlabelled, config.held_back.unlabelled
    else:
        config.objective = dict(
            name="pseudo_label",
            same_view=True,
            labels="hard",
            temperature=1.0,
            confidence="geometric_mean",
            threshold=0.0,
            cons_reduction="kept",
            cons_weight=1.0,
            hidden_labels=options.hidden,
        )
        for rows in (config.streams, config.held_back):
            rows.labelled.views.image = common_semi.fewer_labels_view()
            rows.unlabelled.views = dict(strong=common_semi.fewer_labels_view())
        config.teacher = dict(decay=1.0, warmup=False, update="after", workdir=options.teacher)
    config.optimizer = common.adam(5e-4)
    return common.apply(config, "runlocal" if options.runlocal else "")


def with_kept(labelled: dict, path: str) -> dict:
    """Adds the words of a tar to labelled rows, in the proportion of the two streams of semi_supervised."""
    total = sum(row.get("weight", 1.0) for row in labelled.values())
    return labelled | dict(kept=dict(path=path, weight=0.75 * total))
