"""UDA (Xie et al. 2020) for words, in the setting of configs/cr_str.py.

    python -m jstr.main --config=configs/uda.py:compact --workdir=runs/uda --config.data_root=DATA

The student is its own teacher. `shared`: its decoder is fed the teacher's characters, as in CR; otherwise its own.
Training signal annealing: --config.objective.annealing=log (or linear, exp) --config.objective.annealing_steps=N.
Options `compact`, `decoder` and `hidden` as in configs/cr_str.py. Measured results: configs/results/cr.json.
"""

from configs import common, common_semi


def get_config(arg: str = "") -> common.ConfigDict:
    options = common.arguments(arg, **common_semi.SEMI, shared=False)
    config = common_semi.semi_supervised(options, dict(cr_strong=dict(spatial=0)) if options.decoder == "ctc" else None)
    config.objective = dict(
        name="uda",
        temperature=0.4,
        confidence="product",
        threshold=0.5,
        per_character=False,
        context="shared" if options.shared else "own",
        cons_reduction="sample",
        cons_weight=1.0,
        annealing="none",
        annealing_steps=0,
        hidden_labels=options.hidden,
    )
    return common.apply(config, "runlocal" if options.runlocal else "")
