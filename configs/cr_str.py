"""CR (Zheng et al. 2022): TRBA learns unlabelled real words by consistency with a moving average of itself.

    python -m jstr.main --config=configs/cr_str.py:compact --workdir=runs/cr_str --config.data_root=DATA

Without `compact`: the published sizes, RGB 32x100, labelled LMDBs `MJ` and `ST`, unlabelled LMDB `U`; this needs an
accelerator. With `compact`: a small TRBA, rendered words, and 95 % of 7,619 real words, whose labels are not used;
DATA holds iiit5k, svt, icdar2003 and icdar2015 with their train.tar. The other 5 % of the images are used for
validation. Measured results: configs/results/cr.json. Options:

    init=WORKDIR   start from a supervised run of the same sizes (published: from random weights)
    projection=linear | none   the layer applied to the strong view; published: mlp
    decoder=ctc    a CTC recogniser, compared frame by frame; this form is ours, and its strong view has no geometry
    labels=hard    learn the teacher's strings instead of its distributions
    weak           the labelled words come in the weak view; published: strong
    hidden         read the labels of the unlabelled words too, for metrics only
    reader=WORKDIR the unlabelled words are labelled words too, where that run reads them with confidence 0.9;
                   words=english adds a word list, which makes these readings much better; every=STEPS reads them
                   again after these and as many more steps, with what was learned (self-training)
"""

from configs import common, common_semi


def get_config(arg: str = "") -> common.ConfigDict:
    options = common.arguments(arg, **common_semi.SEMI, init="", projection="mlp", labels="soft", weak=False)
    framewise = options.decoder == "ctc" and options.labels == "soft"
    config = common_semi.semi_supervised(options, dict(cr_strong=dict(spatial=0)) if framewise else None)
    config.model.projection = options.projection
    config.objective = dict(
        name="cr_str",
        labels=options.labels,
        divergence="kl",
        temperature=0.4,
        confidence="product",
        threshold=0.5,
        cons_reduction="character",
        cons_weight=1.0,
        context="shared",
        coral_weight=0.01,
        coral_threshold=0.6,
        coral_normalise=False,
        hidden_labels=options.hidden,
    )
    config.teacher = dict(decay=0.999, warmup=False, update="after", workdir="")
    config.optimizer = common.adamw(1e-3, weight_decay=0.01)
    if options.init:
        config.init_from = (("model", options.init, "model"),)
        config.init_allow_missing = ("model/decoder/projection",)
    return common.apply(config, "runlocal" if options.runlocal else "")
