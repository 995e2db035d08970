"""What the configs of ABINet and SemiMTR share."""

from ml_collections import ConfigDict

from configs import common

TRAIN_AND_REST = dict(share=0.95), dict(share=0.05, share_start=0.95)  # of the words without labels
# In ABINet's order, so that a run can start from published weights.
CHARACTERS = "abcdefghijklmnopqrstuvwxyz1234567890"


def network(name: str, options: ConfigDict) -> ConfigDict:
    """ABINet or one of its parts, abinet_vision or abinet_language (Fang et al. 2021), with the schedule of SemiMTR.

    options.form: lv (3 layers, position attention) or sv (2 layers, additive attention). options.compact: less than a
    fifth of the width, a third of the blocks, one transformer layer, one-cycle Adam, far fewer steps. options.features:
    `resnet45`, or those of a four-stage recogniser, of grey images and, if compact, in the size of configs/reader.py.
    """
    if options.form not in ("lv", "sv"):
        raise ValueError(f"config argument form={options.form}: choose lv or sv")
    config, compact = common.base(), options.compact
    config.charset.update(characters=CHARACTERS, layout="abinet", drop_outside=True)
    config.image.update(size=(32, 128), channels=3)
    config.model = dict(name=name, width=0.1875 if compact else 1.0, dropout=0.1, dtype="float32")
    if name != "abinet_language":
        layers, attention = (3, "position") if options.form == "lv" else (2, "additive")
        blocks = (1, 1, 2, 2, 1) if compact else (3, 4, 6, 6, 3)
        config.model.update(blocks=blocks, num_layers=1 if compact else layers, attention=attention)
        if options.features != "resnet45":
            config.model.update(features=options.features, feature_channels=256 if compact else 512)
            config.image.channels = 1
    if name == "abinet":
        config.model.update(language_layers=4, iterations=3)
    config.optimizer = common.adam(1e-3, warmup=0.05) if compact else common.adam(1e-4, "multi_step")
    config.optimizer.update(clip_norm=20.0)
    config.num_workers = 0 if compact else 8
    return config


def mixed_words(options: ConfigDict, **part) -> dict:
    """Source rows of a stream in which 3 of 10 words have a label (official code, configs of the joint first stage).

    options.compact: the labelled words are rendered; if options.labels, half of them are real, that share of the real
    words, chosen by options.label_seed. The unlabelled words are the 7,619 real ones, or `part` of them. Otherwise the
    LMDBs `L` and `U`.
    """
    if not options.compact:
        labelled = dict(labelled=dict(path="L", weight=0.3) | part)
        return labelled | dict(unlabelled=dict(path="U", weight=0.7, labelled=False) | part)
    seed, real = (5 if "share_start" in part else 1), 0.5 if options.labels else 0.0
    labelled = dict(
        plain=common.rendered(seed=seed, style=common.PLAIN) | dict(weight=0.3 * (1 - real) * 0.25),
        varied=common.rendered(seed=seed + 2) | dict(weight=0.3 * (1 - real) * 0.75),
    )
    if real:
        share = dict(share=0.95 * options.labels, share_seed=options.label_seed) if "share_start" not in part else part
        for name, row in common.real_words(**share).items():
            labelled[f"labelled_{name}"] = row | dict(weight=0.3 * real * row["weight"])
    rows = common.real_words(labelled=False, **part).items()
    return labelled | {name: row | dict(weight=0.7 * row["weight"]) for name, row in rows}


def labelled_rows(options: ConfigDict) -> dict:
    """The labelled rows of mixed_words; the LMDBs `MJ` and `ST` if not options.compact."""
    if not options.compact:
        return dict(mj=dict(path="MJ", weight=0.5), st=dict(path="ST", weight=0.5))
    rows = mixed_words(options, share=0.95)
    return {name: row for name, row in rows.items() if row.get("labelled", True)}


def stages(config: ConfigDict, options: ConfigDict) -> None:
    """Starts the vision and language parts of ABINet from the runs options.vision and options.language, where given.

    The classifier of fusion starts as that of vision, because fusion passes on a part of vision's features: it reads
    nearly what vision reads from the first steps. A fresh one needs hundreds of steps to get there, and more than 1,600
    where vision reads a third of the words (configs/results/semimtr.json). The published code starts it at random.
    """
    parts = dict(vision=options.vision, language=options.language)
    config.init_from = tuple((f"model/{part}", workdir, "model") for part, workdir in parts.items() if workdir)
    missing = [f"model/{part}" for part, workdir in parts.items() if not workdir]
    if options.vision:
        config.init_from += (("model/fusion/classifier", options.vision, "model/classifier"),)
        config.init_allow_missing = ("model/fusion/gate", *missing)
    elif options.language:
        config.init_allow_missing = ("model/fusion", *missing)
