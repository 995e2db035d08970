"""What the configs share. Plain Python: configs import nothing of jstr, so they load anywhere."""

from pathlib import Path

from ml_collections import ConfigDict

REPOSITORY = Path(__file__).resolve().parents[1]


def base() -> ConfigDict:
    """The keys that every config has, with their defaults."""
    return ConfigDict(
        dict(
            seed=0,
            data_root="",  # where relative paths start; else the environment's JSTR_DATA, else the current folder
            # lower and nfkc normalise labels; drop_outside deletes characters instead of leaving the label out.
            charset=dict(
                characters="36",  # a name (36, 62, 94), the characters themselves, or file:PATH
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
            num_workers=0,  # processes that prepare batches; 0: a thread of this one
            optimizer=adam(1e-3),
            init_from=(),  # rows of (to prefix, workdir, from prefix), such as ("model", "runs/a", "model")
            init_allow_missing=(),  # prefixes that need not be found there
            steps=1000,
            log_every=50,
            eval_every=500,
            save_every=500,
            keep_checkpoints=2,
            evals=dict(),
            example_image="",
        )
    )


def crnn(width: float = 1.0) -> dict:
    """None-VGG-BiLSTM-CTC (Shi et al. 2015)."""
    return dict(
        name="four_stage", transformation="none", features="vgg", sequence="bilstm", prediction="ctc", width=width,
        dtype="float32",
    )  # fmt: skip


def trba(width: float = 1.0) -> dict:
    """TPS-ResNet-BiLSTM-Attention (Baek et al. 2019)."""
    return dict(
        name="four_stage", transformation="tps", features="resnet", sequence="bilstm", prediction="attention",
        width=width, dtype="float32",
    )  # fmt: skip


def adam(peak: float, schedule: str = "one_cycle", **options) -> dict:
    return dict(
        name="adam", schedule=dict(name=schedule, peak=peak, **options), clip_norm=5.0, weight_decay=0.0, options={},
        rules={},
    )  # fmt: skip


def adamw(peak: float, weight_decay: float = 0.01, **options) -> dict:
    return adam(peak, **options) | dict(name="adamw", weight_decay=weight_decay)


def adadelta(peak: float = 1.0) -> dict:
    return adam(peak, "constant") | dict(name="adadelta", options=dict(rho=0.95, eps=1e-8))


def rendered(seed: int, size: int = 1_000_000_000, **options) -> dict:
    """A source row of words rendered on the fly."""
    return dict(rendered=dict(seed=seed, size=size, **options))


def stream(batch_size: int, sources: dict, view: dict | None = None) -> dict:
    return dict(batch_size=batch_size, sources=sources, views=dict(image=view or {}))


def real_sample() -> dict:
    """An evaluation row: the 64 real words that come with the repository."""
    return dict(path=str(REPOSITORY / "tests/data/real_words"), labels="", protocol="alnum36")


def benchmarks() -> dict:
    """Evaluation rows: the regular test sets under data_root, in the form of a tar with labels.tsv."""
    folders = dict(IIIT5K="iiit5k", SVT="svt", IC13_857="icdar2013", IC13_1015="icdar2013")
    return {name: dict(path=f"{f}/test.tar", labels="", protocol="alnum36") for name, f in folders.items()}


def apply(config: ConfigDict, arg: str) -> ConfigDict:
    """What stands behind the colon of --config=configs/NAME.py:runlocal: everything tiny, on rendered words."""
    if arg == "runlocal":
        config.model.width = 0.0625
        for i, stream_row in enumerate(config.streams.values()):
            stream_row.batch_size = 8
            stream_row.sources = dict(rendered=rendered(seed=i + 1))
        config.evals = dict(rendered=rendered(seed=99, size=16) | dict(protocol="alnum36"))
        config.num_workers = 0
        config.steps, config.log_every, config.eval_every, config.save_every = 2, 1, 2, 2
    elif arg:
        raise ValueError(f"unknown config argument {arg!r}; there is only runlocal")
    return config


def example_image() -> str:
    """A shipped picture for the command that a run ends with; relative when we stand in the repository."""
    path = REPOSITORY / "tests/data/real_words/iiit5k_685_2.png"
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)
