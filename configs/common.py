"""What the configs share. Plain Python: configs import nothing of jstr, so that they load anywhere."""

from pathlib import Path

from ml_collections import ConfigDict

REPOSITORY = Path(__file__).resolve().parents[1]
# A wheel carries the configs inside the package, and no tests; in the repository both stand beside it.
BUNDLED = next(p for p in (REPOSITORY / "jstr/bundled", REPOSITORY / "bundled") if p.is_dir()) / "reader.npz"
SAMPLE = REPOSITORY / "tests/data/real_words"

# Style of rendered words: clear print on a plain background. CTC learns letters from them much sooner than from varied
# words alone, and the varied ones teach the rest, so a recogniser that starts from random weights gets some of both.
PLAIN = dict(
    kinds=(0.8, 0.1, 0.1),
    mixed=0.0,
    addresses=0.0,
    unlabelled_marks=0.0,
    decorative=0.1,
    spaced=0.1,
    small_capitals=0.0,
    thinner=0.0,
    bent=0.0,
    tilted=0.0,
    turned=0.0,
    foreshortened=0.0,
    perspective=0.04,
    margin_x=(0.0, 0.3),
    margin_y=(0.0, 0.2),
    contrast=(90.0, 235.0),
    textured=0.15,
    texture=(0.03, 0.15),
    hollow=0.0,
    embossed=0.0,
    neighbours=0.0,
    occluded=0.0,
    shaded=0.0,
    glaring=0.0,
    dim=0.0,
    blurred=0.3,
    defocused=0.0,
    shaken=0.0,
    small=0.2,
    resolution=(0.6, 0.95),
    noisy=0.2,
)


def base() -> ConfigDict:
    """The keys that every config has, with their defaults."""
    return ConfigDict(
        dict(
            seed=0,
            data_root="",  # base of relative paths; if empty, the environment's JSTR_DATA, then the current folder
            # lower and nfkc normalise labels; drop_outside deletes characters instead of leaving the label out.
            charset=dict(
                characters="36",  # a name (36, 62, 94), the characters, or file:PATH from the current folder
                layout="cr_ctc",
                max_length=25,
                lower=True,
                nfkc=False,
                drop_outside=False,
            ),
            image=dict(size=(32, 100), channels=1, keep_ratio=False, backend="cv2"),
            model=dict(name="four_stage"),
            objective=dict(name="supervised"),
            streams=dict(),
            held_back=dict(),  # validation: rows like those of streams, with `batches`; never trained on
            mesh=dict(data=-1, fsdp=1),  # the batch is split over data * fsdp devices, the state over fsdp
            augment=dict(where="host"),  # or "device": views of seqclr, cr_weak and cr_strong, in the training step
            device_data=(),  # streams whose images are decoded once and stay in device memory
            num_workers=0,  # processes that prepare batches; 0: a thread of this one
            teacher=dict(),  # decay, warmup, update, workdir: see jstr/training/ema_teacher.py
            optimizer=adam(1e-3),
            init_from=(),  # rows of (to prefix, workdir, from prefix), such as ("model", "runs/a", "model")
            init_allow_missing=(),  # prefixes that may be missing there: they keep their random initial values
            # The run reads sources with read_by again after every N steps: dict(every=N, thresholds=(...)).
            self_training=dict(),
            average_with_start=0.0,  # share of the weights of init_from in those at the end of the run and of rounds
            average_below=0,  # if not 0: that share falls with the number of images that are learned, to 0 at this many
            average_as_sure=False,  # that share, times the share of the images of read_by that are read surely
            steps=1000,
            accumulate=1,  # splits a batch into this many parts, to save memory; batch norm sees one part at a time
            remat=False,  # recompute norms and activations in the backward pass, to save memory
            steps_per_dispatch=1,  # steps per call of the device, for small models; divides every *_every
            log_every=50,
            eval_every=500,
            save_every=500,
            keep_checkpoints=2,
            keep_best="",  # "held_back/METRIC" or "SET/METRIC": reading uses the checkpoint where it is highest
            keep_best_noise=0.0,  # or the last one that is no more than this, or one image, below: training/tracker.py
            # words: a list of likely words (english, korean, or a file) for beam search; "": greedy decoding.
            language_model=dict(words="", weight=0.5, width=8),
            # What all texts follow. checksum: luhn, iso6346, ean13 or iban, of all expressions or one of each. allow:
            # the only characters that are read. none: the share of crops that follow nothing. Default: any text.
            pattern=dict(regex=(), weights=(), checksum=(), allow="", none=0.01),
            eval_weights="student",  # or "teacher"; weights= in a row of evals overrides it
            evals=dict(),
            images="",  # a folder or other source of word images to read at the end of the run: predictions.tsv
            example_image="",
        )
    )


def crnn(width: float = 1.0) -> dict:
    """None-VGG-BiLSTM-CTC (Shi et al. 2015)."""
    return dict(
        name="four_stage",
        transformation="none",
        features="vgg",
        sequence="bilstm",
        prediction="ctc",
        width=width,
        dtype="float32",
    )


def trba(width: float = 1.0) -> dict:
    """TPS-ResNet-BiLSTM-Attention (Baek et al. 2019)."""
    return dict(
        name="four_stage",
        transformation="tps",
        features="resnet",
        sequence="bilstm",
        prediction="attention",
        width=width,
        dtype="float32",
    )


def compact_trba() -> dict:
    """TRBA for two cores: a quarter of the width, and a smaller residual network for the features."""
    return trba(width=0.25) | dict(features="compact")


def adam(peak: float, schedule: str = "one_cycle", **options) -> dict:
    """Adam with a schedule that reaches the learning rate `peak`; options: those of the schedule."""
    return dict(
        name="adam",
        schedule=dict(name=schedule, peak=peak, **options),
        clip_norm=5.0,
        weight_decay=0.0,
        options={},
        rules={},
    )


def adamw(peak: float, weight_decay: float = 0.01, **options) -> dict:
    """The same with decoupled weight decay."""
    return adam(peak, **options) | dict(name="adamw", weight_decay=weight_decay)


def adadelta(peak: float = 1.0) -> dict:
    """Adadelta with a constant learning rate, as Baek et al. 2019."""
    return adam(peak, "constant") | dict(name="adadelta", options=dict(rho=0.95, eps=1e-8))


def rendered(seed: int, size: int = 1_000_000_000, **options) -> dict:
    """A source row of words rendered on the fly."""
    return dict(rendered=dict(seed=seed, size=size, **options))


def stream(batch_size: int, sources: dict, view: dict | None = None) -> dict:
    """A stream of one view of each word: {source: row}, view: {operation: its options}."""
    return dict(batch_size=batch_size, sources=sources, views=dict(image=view or {}))


def views(batch_size: int, sources: dict, **views: dict) -> dict:
    """A stream of several views of each word: views(256, sources, view0=dict(seqclr={}), view1=dict(seqclr={}))."""
    return dict(batch_size=batch_size, sources=sources, views=views)


def real_words(**options) -> dict:
    """Source rows: 7,619 real training words under data_root, as tars with labels.tsv. options go into each row.

    ICDAR 2015 has more than half of the words and is by far the hardest to learn letters from: its weight is lower.
    """
    weights = dict(iiit5k=0.35, svt=0.05, icdar2003=0.15, icdar2015=0.45)
    return {name: dict(path=f"{name}/train.tar", weight=weight) | options for name, weight in weights.items()}


def real_view() -> dict:
    """The augmentation of supervised runs on few real words."""
    return dict(
        crop=dict(amount=0.08),
        affine=dict(rotate=4.0, shear=0.15, scale=0.1, shift=0.05),
        contrast=dict(contrast=0.4, brightness=0.15, invert=0.3),
        blur=dict(sigma=1.2, probability=0.2),
        noise=dict(sigma=10.0, probability=0.2),
    )


def labelled_words(compact: bool, decoder: str, **share) -> ConfigDict:
    """Supervised TRBA (decoder `attention`, or `ctc`), grey 32x100, on real words, or on SynthText if not compact."""
    config = base()
    config.charset.layout, config.charset.drop_outside = f"cr_{decoder}", True
    config.model = (compact_trba() if compact else trba()) | dict(prediction=decoder)
    sources = real_words(**share) if compact else dict(st=dict(path="ST") | share)
    config.streams.labelled = stream(64 if compact else 256, sources, real_view())
    config.evals = benchmarks()
    config.optimizer = adam(1e-3, warmup=0.05) if compact else adadelta()
    config.num_workers = 0 if compact else 8
    return config


def pretrained(config: ConfigDict, workdir: str, features: str, frozen: bool) -> None:
    """Starts the encoder from that of the run in `workdir`, if given; `frozen` keeps it fixed.

    features: the last layer of the encoder, `frames` or `visual`: config.objective.features of that run.
    """
    parts = ["model/rectifier", "model/extractor"] + ["model/sequence_0", "model/sequence_1"] * (features == "frames")
    if workdir:
        config.init_from = tuple((part, workdir, part) for part in parts)
        config.init_allow_missing = ("model",)  # the rest of the model starts from random weights
    if frozen:
        config.optimizer.rules = {part: dict(frozen=True) for part in parts}


def real_sample() -> dict:
    """Evaluation rows: the 64 real words that come with the repository; none where jstr is installed without it."""
    return dict(real=dict(path=str(SAMPLE), labels="", protocol="alnum36")) if SAMPLE.is_dir() else {}


def benchmarks() -> dict:
    """Evaluation rows: the regular test sets under data_root, each a tar with labels.tsv."""
    folders = dict(IIIT5K="iiit5k", SVT="svt", IC13_857="icdar2013", IC13_1015="icdar2013")
    return {name: dict(path=f"{f}/test.tar", labels="", protocol="alnum36") for name, f in folders.items()}


def arguments(arg: str, **defaults) -> ConfigDict:
    """Parses the options after the colon of --config=configs/NAME.py:labels=0.1,runlocal, with the types of `defaults`.

    A name alone means True. `runlocal` is an option of every config.

    Raises:
      ValueError: an unknown option, or a value of the wrong type.
    """
    options = dict(runlocal=False) | defaults
    for item in filter(None, arg.split(",")):
        name, equals, value = item.partition("=")
        if name not in options:
            raise ValueError(f"unknown config argument {name!r}; there are {', '.join(options)}")
        kind = type(options[name])
        if kind is bool:
            value, kind = (value or "true").lower(), dict(true=True, false=False).__getitem__
        try:
            options[name] = kind(value)
        except (KeyError, ValueError):
            raise ValueError(f"config argument {item!r}: {value!r} is not a value of {name}") from None
    return ConfigDict(options)


def apply(config: ConfigDict, arg: str) -> ConfigDict:
    """Applies the option `runlocal` of --config=configs/NAME.py:runlocal: everything tiny, on rendered words."""
    if arguments(arg).runlocal:
        config.model.width = 0.0625
        if config.model.get("features") == "resnet":
            config.model.features = "vgg"  # a quarter of the layers to compile
        shallow = dict(blocks=(1, 1, 1, 1, 1), num_layers=1, language_layers=1, iterations=1)  # ABINet
        config.model.update({name: value for name, value in shallow.items() if name in config.model})
        rows = [*config.streams.values(), *config.held_back.values()]
        reads_text = any("words" in source for row in rows for source in row.sources.values())
        for i, row in enumerate(rows):
            labelled = all(source.get("labelled", True) for source in row.sources.values())
            row.batch_size = 8
            if reads_text:
                row.sources = dict(english=dict(words=dict(path="english", seed=i)))
                continue
            row.sources = dict(rendered=rendered(seed=i + 1))
            if not labelled:
                row.sources.unlabelled = rendered(seed=i + 11) | dict(labelled=False)
        for row in config.held_back.values():
            row.batches = 1
        config.evals = {} if reads_text else dict(rendered=rendered(seed=99, size=16) | dict(protocol="alnum36"))
        config.init_from, config.init_allow_missing, config.images = (), (), ""
        config.self_training = {}  # no source reads images any more
        if config.teacher:
            config.teacher.workdir = ""
        config.num_workers = 0
        config.steps, config.log_every, config.eval_every, config.save_every = 2, 1, 2, 2
    return config


def example_image() -> str:
    """A sample image for the command printed at the end of a run; a relative path if it lies in the current folder.

    "" where jstr is installed without its tests.
    """
    path = SAMPLE / "iiit5k_685_2.png"
    if not path.is_file():
        return ""
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)
