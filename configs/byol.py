"""BYOL (Grill et al. 2020) on the parts of words: pre-trains the encoder of TRBA without labels and without negatives.

    python -m jstr.main --config=configs/byol.py:compact,stronger --workdir=runs/byol --config.data_root=DATA

Next: configs/probe.py and configs/finetune.py. Words, views, mapping, steps and the options `features`, `stronger` and
`start` are those of configs/seqclr.py, so that the losses can be compared; the method was published for whole images,
and for words nothing is. Watch held_back/spread: near 0 all parts have become the same. In short training the method
learns where in a word a part is rather than its letters (configs/studies/README.md). Options:

    simsiam   the target is the network itself instead of its moving average (SimSiam, Chen and He 2021): faster
"""

from configs import common, seqclr


def get_config(arg: str = "") -> common.ConfigDict:
    options = common.arguments(
        arg, compact=False, features="frames", stronger=False, label_seed=0, start="", simsiam=False
    )
    config = seqclr.get_config(",".join(f"{name}={value}" for name, value in options.items() if name != "simsiam"))
    config.objective = dict(
        name="byol",
        features=options.features,
        head="mlp_norm",
        mapping="window",
        size=5,
        hidden=512 if options.compact else 4096,
        shared=options.simsiam,
    )
    if options.start:
        config.init_allow_missing = ("projection", "predictor")
    if not options.simsiam:  # published: 0.996, growing to 1; shorter training needs a target that is less old
        config.teacher = dict(decay=0.99 if options.compact else 0.996, warmup=False, update="after", workdir="")
    return config
