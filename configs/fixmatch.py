"""FixMatch (Sohn et al. 2020) for words, in the setting of configs/cr_str.py.

    python -m jstr.main --config=configs/fixmatch.py:compact --workdir=runs/fixmatch --config.data_root=DATA

A word counts when its least certain character has probability 0.95; --config.objective.threshold=0.5 is closer to the
variant that CR compares with. Evaluation uses a moving average of the weights, which does not teach. `shared`: the
student's decoder is fed the teacher's characters, as in CR; otherwise its own. `cutout=0.5`: half of the strong views
get a grey square. Options `compact`, `decoder` and `hidden` as in configs/cr_str.py. Measured results:
configs/results/cr.json.
"""

from configs import common, common_semi


def get_config(arg: str = "") -> common.ConfigDict:
    options = common.arguments(arg, **common_semi.SEMI, shared=False, cutout=0.0)
    config = common_semi.semi_supervised(
        options, dict(cr_strong=dict(cutout=options.cutout)) if options.cutout else None
    )
    config.objective = dict(
        name="fixmatch",
        confidence="minimum",
        threshold=0.95,
        per_character=False,
        context="shared" if options.shared else "own",
        cons_reduction="sample",
        cons_weight=1.0,
        hidden_labels=options.hidden,
    )
    config.teacher = dict(decay=0.999, warmup=False, update="after", workdir="")
    config.eval_weights = "teacher"
    config.optimizer = common.adamw(1e-3, weight_decay=0.01)
    return common.apply(config, "runlocal" if options.runlocal else "")
