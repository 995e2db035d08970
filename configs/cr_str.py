"""CR (Zheng et al. 2022): TRBA learns real words without labels by consistency with a moving average of itself.

    python -m jstr.main --config=configs/cr_str.py:compact --workdir=runs/cr_str --config.data_root=DATA

Without `compact`: the published sizes, RGB 32x100, labelled LMDBs `MJ` and `ST`, unlabelled LMDB `U`; work for an
accelerator. With it: a small TRBA, rendered words, and 95 % of 7,619 real words, whose labels are not read;
DATA holds iiit5k, svt, icdar2003 and icdar2015 with their train.tar. The other 5 % of the images are watched. Options:

    init=WORKDIR   start from a supervised run of the same sizes (published: from nothing)
    projection=linear | none   the layer of the strong view; published: mlp
    decoder=ctc    a CTC recogniser, compared frame by frame; that form is ours, and its strong view moves no pixel
    labels=hard    the teacher's strings instead of its distributions
    weak           the labelled words come in the weak view; published: strong
    hidden         the labels of the unlabelled words are read too, for metrics alone
    reader=WORKDIR the unlabelled words are labelled ones too, where that run reads them with confidence 0.9; it
                   does so much better with words=english
"""

from configs import common


def get_config(arg=""):
    options = common.arguments(arg, **common.SEMI, init="", projection="mlp", labels="soft", weak=False)
    framewise = options.decoder == "ctc" and options.labels == "soft"
    config = common.semi_supervised(options, dict(cr_strong=dict(spatial=0)) if framewise else None)
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
