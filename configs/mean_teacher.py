"""Mean Teacher (Tarvainen and Valpola 2017) for words, in the form of STR-Fewer-Labels (Baek et al. 2021).

    python -m jstr.main --config=configs/mean_teacher.py:compact --workdir=runs/mean_teacher --config.data_root=DATA

`masked`: only the steps up to the end of the teacher's word count, and the weight of the consistency loss grows over
the first 80,000 steps (compact: a third of the run). Options `compact` and `decoder` as in configs/cr_str.py. Measured
results: configs/results/cr.json.
"""

from configs import common, common_semi


def get_config(arg: str = "") -> common.ConfigDict:
    options = common.arguments(arg, compact=False, decoder="attention", masked=False)
    config = common_semi.semi_supervised(options)
    config.objective = dict(name="mean_teacher", cons_weight=1.0, ramp_steps=0, masked=options.masked)
    both = dict(view0=common_semi.fewer_labels_view(), view1=common_semi.fewer_labels_view())
    for rows in (config.streams, config.held_back):
        for row in rows.values():
            row.views = both
    config.teacher = dict(decay=0.999, warmup=True, update="before", workdir="")
    if options.masked:
        config.objective.ramp_steps = config.steps // 3 if options.compact else 80_000
    return common.apply(config, "runlocal" if options.runlocal else "")
