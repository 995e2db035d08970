"""SemiMTR (Aberdam et al. 2022), stage 1 of 3: the vision model of ABINet learns from labels and by SeqCLR.

    python -m jstr.main --config=configs/abinet_vision.py:compact --workdir=runs/vision --config.data_root=DATA

Next: configs/abinet_language.py and configs/semimtr.py. Without `compact`: the published sizes and schedule, RGB
32x128, on the LMDBs `L` (labelled, 3 words of 10) and `U` (unlabelled); this needs an accelerator. With `compact`: less
than a fifth of the width, one layer, labelled rendered words, and 95 % of 7,619 real words without labels; DATA holds
iiit5k, svt, icdar2003 and icdar2015 with their train.tar. The other 5 % are used for validation. Options:

    form=sv              two layers and additive attention instead of three and position attention (lv)
    labels=0.1           use the labels of a tenth of the real words, chosen by label_seed=0 (with compact)
    contrast=0           weight of the contrastive loss; 0: supervised loss only, on the same batches
    supervised           labelled words only, in one view, as in the first stage of ABINet itself (Fang et al. 2021),
                         whose rate falls once, after 6 of 8 epochs, and which has no weight decay
    unsupervised         contrastive loss only: the first of two stages, instead of both losses in one
    features=compact     the features of configs/reader.py, of grey images, instead of ABINet's (ours); any of
                         config.model.features of four-stage recognisers
    encoder=runs/reader  start these features from those of such a recogniser
    start=runs/contrast  start from the weights of that run of this config; the second stage: contrast=0,start=...
"""

from configs import common, common_abinet


def get_config(arg: str = "") -> common.ConfigDict:
    options = common.arguments(
        arg,
        compact=False,
        form="lv",
        labels=0.0,
        label_seed=0,
        contrast=1.0,
        supervised=False,
        unsupervised=False,
        features="resnet45",
        encoder="",
        start="",
    )
    if options.encoder and (options.start or options.features == "resnet45"):
        raise ValueError("config argument encoder is for features of four-stage recognisers, and without start")
    if options.supervised and options.unsupervised:
        raise ValueError("config arguments supervised and unsupervised: choose one")
    config = common_abinet.network("abinet_vision", options)
    if options.supervised:
        batch_size = 64 if options.compact else 384
        config.streams.labelled = common.stream(batch_size, common_abinet.labelled_rows(options), dict(abinet={}))
    else:
        contrast(config, options)
    config.evals = {} if options.unsupervised else common.benchmarks()
    config.init_from = (("model", options.start, "model"),) if options.start else ()
    if options.encoder:
        config.init_from = (("model/backbone/extractor", options.encoder, "model/extractor"),)
        layers = [f"backbone/layer_{i}" for i in range(config.model.num_layers)]
        fresh = ("backbone/project", *layers, "attention", "classifier")
        config.init_allow_missing = tuple(f"model/{part}" for part in fresh)
    if options.compact:
        config.steps, config.log_every, config.eval_every, config.save_every = 8_000, 100, 1_000, 500
    else:
        config.steps, config.log_every, config.eval_every, config.save_every = 490_000, 100, 10_000, 3_000
        config.optimizer.schedule.drops, config.optimizer.l2 = (0.68, 0.88), 1e-4
        if options.supervised:  # 8 epochs of ABINet's own first stage
            config.steps, config.optimizer.schedule.drops, config.optimizer.l2 = 344_000, (0.75,), 0.0
    return common.apply(config, "runlocal" if options.runlocal else "")


def contrast(config: common.ConfigDict, options: common.ConfigDict) -> None:
    """Stream and objective: two views of words with and without labels."""
    config.objective = dict(
        name="seqclr",
        features="visual",
        head="none",
        mapping="window",
        size=5,
        temperature=0.1,
        joint=not options.unsupervised,
        contrast_weight=options.contrast,
    )
    train, rest = (common_abinet.mixed_words(options, **part) for part in common_abinet.TRAIN_AND_REST)
    views = dict(view0=dict(seqclr_severity1={}), view1=dict(seqclr_severity1={}))
    batch_size = 32 if options.compact else 304
    stream = "unlabelled" if options.unsupervised else "mixed"
    config.streams = {stream: common.views(batch_size, train, **views)}
    config.held_back = {stream: common.views(batch_size, rest, **views) | dict(batches=4)}
