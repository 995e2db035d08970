"""SemiMTR (Aberdam et al. 2022), stage 3 of 3: ABINet learns from unlabelled words by consistency of its heads.

    python -m jstr.main --config=configs/semimtr.py:compact,vision=runs/vision,language=runs/language \
        --workdir=runs/semimtr --config.data_root=DATA

vision=, language=: runs of configs/abinet_vision.py and configs/abinet_language.py, in the same form and size. Without
`compact`: the published sizes and schedule on the LMDBs `L` and `U`; this needs an accelerator. Published: IIIT5K 97.0,
SVT 95.8 (Real-L + U). With `compact`: as in configs/abinet_vision.py, whose options form, features, labels and
label_seed apply here too. Measured results: configs/results/semimtr.json.

    ema=0.9999           a moving average of the network reads the weak view instead of the network itself
    threshold=0.9        learn only positions where the weak view is more confident than this
    soft                 learn its probabilities instead of its most probable characters
    cons_weight=1        0: the supervised losses alone, the baseline on the same words and views
    keep_language        keep the language model fixed, so that it cannot collapse to one answer; fusion still can
    vision_only          abinet_vision alone, from the run vision=, by plain consistency
    start=runs/abinet    all weights of a run of this config (with cons_weight=0) or of configs/abinet.py, instead of
                         vision= and language=

With vision=, the classifier of fusion starts as that of vision; with a fresh one a short run collapses to the same
letters for every image, and language with it. Use threshold=0.9: in short runs consistency of all predictions cost 2 to
5 points even where vision reads 63 % of the words.
"""

from configs import common, common_abinet


def get_config(arg: str = "") -> common.ConfigDict:
    options = common.arguments(
        arg,
        compact=False,
        form="lv",
        features="resnet45",
        vision="",
        language="",
        labels=0.0,
        label_seed=0,
        ema=0.0,
        threshold=0.0,
        soft=False,
        cons_weight=1.0,
        keep_language=False,
        vision_only=False,
        start="",
    )
    if options.start and (options.vision or options.language):
        raise ValueError("config argument start includes vision and language; leave out vision= and language=")
    config = common_abinet.network("abinet_vision" if options.vision_only else "abinet", options)
    if options.keep_language and options.vision_only:
        raise ValueError("config arguments keep_language and vision_only: abinet_vision has no language")
    config.objective = dict(
        name="semimtr",
        one_hot=not options.soft,
        kl=False,
        threshold=options.threshold,
        stop_gradient=True,
        cons_weight=options.cons_weight,
        cons_iter_reduce="sum",
        use_teacher=options.ema > 0,
    )
    if options.ema:
        config.teacher = dict(decay=options.ema, warmup=False, update="after", workdir="")
    train, rest = (common_abinet.mixed_words(options, **part) for part in common_abinet.TRAIN_AND_REST)
    views = dict(weak=dict(abinet={}), strong=dict(seqclr_severity1={}))
    batch_size = 24 if options.compact else 232
    config.streams.mixed = common.views(batch_size, train, **views)
    config.held_back.mixed = common.views(batch_size, rest, **views) | dict(batches=4)
    config.evals = common.benchmarks()
    if whole := options.start or options.vision_only and options.vision:
        config.init_from = (("model", whole, "model"),)
    elif not options.vision_only:
        common_abinet.stages(config, options)
    if options.keep_language:
        config.optimizer.rules = {"model/language": dict(frozen=True)}
    if options.compact:
        config.optimizer.schedule.peak = 3e-4
        config.steps, config.log_every, config.eval_every, config.save_every = 4_000, 100, 1_000, 500
    else:
        config.optimizer.schedule.drops, config.optimizer.l2 = (0.6, 0.8), 1e-4
        config.steps, config.log_every, config.eval_every, config.save_every = 129_000, 100, 1_000, 3_000
    return common.apply(config, "runlocal" if options.runlocal else "")
