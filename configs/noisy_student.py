"""Noisy Student (Xie et al. 2020) for words. One round; its result is the teacher of the next round.

    python -m jstr.main --config=configs/noisy_student.py:compact,teacher=runs/a --workdir=runs/b \
        --config.data_root=DATA

The frozen teacher reads the weak view. The student, with dropout and from random weights, learns the teacher's
confident strings from the strong view. For a student of another size, label offline as in configs/pseudo_label.py.
`labels=soft`: learn the teacher's distributions. Options `compact`, `decoder` and `hidden` as in configs/cr_str.py.
Measured results: configs/results/cr.json.
"""

from configs import common, common_semi


def get_config(arg: str = "") -> common.ConfigDict:
    options = common.arguments(arg, **common_semi.SEMI, teacher="", labels="hard")
    if not options.teacher and not options.runlocal:
        raise ValueError("give the config argument teacher=WORKDIR")
    framewise = options.decoder == "ctc" and options.labels == "soft"
    config = common_semi.semi_supervised(options, dict(cr_strong=dict(spatial=0)) if framewise else None)
    config.model.dropout = 0.1
    config.objective = dict(
        name="pseudo_label",
        same_view=False,
        labels=options.labels,
        temperature=1.0,
        confidence="geometric_mean",
        threshold=0.5,
        cons_reduction="character",
        cons_weight=1.0,
        hidden_labels=options.hidden,
    )
    config.teacher = dict(decay=1.0, warmup=False, update="after", workdir=options.teacher)
    return common.apply(config, "runlocal" if options.runlocal else "")
