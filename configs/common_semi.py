"""What the semi-supervised configs share: CR, its baselines and what they start from."""

from ml_collections import ConfigDict

from configs import common


def fewer_labels_view() -> dict:
    """About the augmentation of STR-Fewer-Labels for TRBA: blur, and a crop of at most a hundredth."""
    return dict(crop=dict(amount=0.01), blur=dict(sigma=1.5, probability=0.5))


# Options of semi-supervised configs, see cr_str.py.
SEMI = dict(compact=False, decoder="attention", hidden=False, reader="", words="", every=0)


def semi_supervised(options: ConfigDict, strong: dict | None = None) -> ConfigDict:
    """TRBA on labelled synthetic words (stream `labelled`) and real ones without labels (`unlabelled`: weak, strong).

    options.compact: grey, compact_trba, rendered words, and 95 % of the 7,619 real words; the others are for
    validation. Otherwise the published sizes, RGB, on the LMDBs MJ, ST and U. options.decoder: attention, or ctc. If
    options.hidden, the labels of the real words are read, for metrics. strong: the strong view of both; None:
    cr_strong. options.weak: the labelled words come in the weak view. options.reader: a run whose confident readings
    of the unlabelled words, with the language model options.words, are labelled words too; options.every: the
    steps after which the run reads them again itself (self-training).

    Raises:
      ValueError: options.every without options.reader.
    """
    config, compact = common.base(), options.compact
    labelled, validation = _synthetic_words(config, options)

    def unlabelled(**part) -> dict:
        row = {} if options.get("hidden") else dict(labelled=False)
        return common.real_words(**part, **row) if compact else dict(u=dict(path="U") | part | row)

    sizes = (32, 24) if compact else (384, 288)
    if options.get("every"):
        if not options.get("reader"):
            raise ValueError("config argument every: give reader= too, which reads the words for the first time")
        config.self_training = dict(every=options.every, thresholds=(), shares=(), stop_after=0)
    if options.get("reader"):
        by = dict(workdir=options.reader, language_model=options.words or "none", threshold=0.9)
        labelled = labelled | others_labelled(unlabelled(share=0.95), sizes, read_by=by)
    strong = dict(cr_strong={}) if strong is None else strong
    both = dict(weak=dict(cr_weak={}), strong=strong)
    labelled_view = both["weak"] if options.get("weak") else strong
    config.streams.labelled = common.stream(sizes[0], labelled, labelled_view)
    config.streams.unlabelled = common.views(sizes[1], unlabelled(share=0.95), **both)
    config.held_back.labelled = common.stream(sizes[0], validation, labelled_view) | dict(batches=4)
    config.held_back.unlabelled = common.views(sizes[1], unlabelled(share=0.05, share_start=0.95), **both) | dict(
        batches=4
    )
    config.evals = common.benchmarks()
    config.optimizer = common.adam(1e-3)
    config.steps, config.log_every, config.eval_every, config.save_every = 250_000, 100, 10_000, 2_000
    if compact:
        config.steps, config.log_every, config.eval_every, config.save_every = 10_000, 100, 1_000, 500
    config.num_workers = 0 if compact else 8
    return config


def _synthetic_words(config: ConfigDict, options: ConfigDict) -> tuple[dict, dict]:
    """Sets charset, image and model of semi_supervised; returns its labelled rows, for training and for validation."""
    layout = f"cr_{options.decoder}"
    if options.compact:
        config.charset.layout, config.charset.drop_outside = layout, True
        config.model = common.compact_trba()
        plain, varied = common.rendered(seed=1, style=common.PLAIN), common.rendered(seed=3)
        labelled = dict(plain=plain | dict(weight=0.25), varied=varied | dict(weight=0.75))
        validation = dict(varied=common.rendered(seed=5))
    else:
        config.charset.update(characters="94", layout=layout, lower=False)
        config.image.channels, config.model = 3, common.trba()
        labelled = validation = dict(mj=dict(path="MJ", weight=0.5), st=dict(path="ST", weight=0.5))
    config.model.update(prediction=options.decoder, projection="none", dropout=0.0)
    return labelled, validation


def others_labelled(unlabelled: dict, sizes: tuple[int, int], **label) -> dict:
    """Rows of the unlabelled words as labelled ones, weighted in the proportion of the two streams' batch sizes.

    The weights of the other labelled rows are taken to sum to 1.
    """
    weight = sizes[1] / sizes[0]
    rows = {name: {k: v for k, v in row.items() if k != "labelled"} for name, row in unlabelled.items()}
    return {f"labelled_{n}": row | dict(weight=weight * row.get("weight", 1.0)) | label for n, row in rows.items()}
