"""The recipes of tools/recipe.py, in order of value. Each is a function of a Run, which says what it does as it goes.

Sizes are those of one large accelerator; in a dry run every config is its own `runlocal` form and takes two steps.
"""

from __future__ import annotations

import json
import os
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

from recipe_run import SCENE, Run

ROOT = Path(__file__).resolve().parents[1]
WORKERS = max((os.cpu_count() or 2) - 2, 1)
PPOCR = "ppocrv6-small.npz"  # under the data folder: that reader, packed, where its package cannot be installed
BFLOAT16 = "--config.model.dtype=bfloat16"
# What `bench` times: config, options, and the published batch of one device.
BENCH = {
    "trba": ("configs/trba.py", ["--config.streams.labelled.batch_size=384"]),
    "cr": ("configs/cr_str.py", []),
    "seqclr": ("configs/seqclr.py", []),
    "semimtr": ("configs/semimtr.py", []),
    "abinet_vision": ("configs/abinet_vision.py:supervised", []),
    "crnn": ("configs/crnn.py", ["--config.streams.labelled.batch_size=2048"]),
}


def _config(this: Run, name: str, *arguments: str) -> str:
    """configs/NAME.py with arguments behind the colon; in a dry run its tiny form."""
    arguments = ("runlocal",) if this.tiny else tuple(filter(None, arguments))
    return f"configs/{name}.py" + (f":{','.join(arguments)}" if arguments else "")


def _sizes(this: Run, **batch_sizes: int) -> list[str]:
    """Batch size by stream, worker processes and bfloat16; nothing in a dry run."""
    if this.tiny:
        return []
    sizes = [f"--config.streams.{name}.batch_size={size}" for name, size in batch_sizes.items()]
    return [*sizes, f"--config.num_workers={WORKERS}", BFLOAT16]


def _real_words(this: Run) -> None:
    """LMDBs MJ, ST, L and U of the real train words, so that the published configs have input to read."""
    if not this.data:
        return
    import lmdb

    from jstr.data.sources.open import open_source

    folder = this.work / "lmdbs"
    folder.mkdir()
    tars = [this.data / name / "train.tar" for name in ("iiit5k", "svt", "icdar2003", "icdar2015")]
    with lmdb.open(str(folder / "MJ"), map_size=2**31) as env, env.begin(write=True) as txn:
        count = 0
        for source in map(open_source, filter(Path.is_file, tars)):
            for sample in (source[i] for i in range(len(source))):
                count += 1
                txn.put(b"image-%09d" % count, sample["image"])
                txn.put(b"label-%09d" % count, sample["label"].encode())
        txn.put(b"num-samples", str(count).encode())
    for name in ("ST", "L", "U"):
        (folder / name).symlink_to(folder / "MJ")
    this.say(f"{count:,} real words as LMDBs")


def bench(this: Run, args: Namespace) -> None:
    """Throughput of every method in bfloat16 and float32, beside the official PyTorch code on the same card."""
    _real_words(this)
    rows = [(name, dtype) for dtype in ("bfloat16", "float32") for name in BENCH]
    for name, dtype in rows[:2] if this.tiny else rows:
        config, options = BENCH[name]
        config = config.split(":")[0] + ":runlocal" if this.tiny else config
        real = dtype == "bfloat16"
        file = this.work / f"{name}_{dtype}.json"
        command = [
            "tools/bench_train.py", f"--config={config}", f"--config.model.dtype={dtype}", f"--json={file}",
            f"--config.data_root={this.work / 'lmdbs'}", f"--config.num_workers={0 if this.tiny else WORKERS}",
            f"--bench_real_input={real and not this.tiny}",
            *(["--bench_steps=2", "--bench_windows=2"] if this.tiny else ["--bench_steps=10", *options]),
        ]  # fmt: skip
        if name == "trba" and real:
            command.append(f"--profile={this.work / 'profile'}")
        done = this.command(*command, limit=max(this.left / 3, 60))
        found = json.loads(file.read_text()) if file.exists() else {"failed": done.tail[-500:]}
        this.note(f"{name} {dtype}", **found)
        if name == "trba" and real:
            _profile(this)
            _official(this, args.official, "trba")
        if name == "crnn" and real:
            _official(this, args.official, "crnn")


def _profile(this: Run) -> None:
    """The kernels that a step spends its time in, from the trace of bench_train.py."""
    file = this.work / "kernels.json"
    done = this.command("tools/read_profile.py", this.work / "profile", f"--json={file}", limit=60)
    this.say("\n" + done.tail)
    if file.exists():
        this.note("trba bfloat16", kernels=json.loads(file.read_text()))


def _official(this: Run, folder: str | None, name: str) -> None:
    """The official code (clovaai/deep-text-recognition-benchmark) on the same card: as published, and compiled."""
    if not folder:
        this.note(f"official {name}", left_out="no --official=DIR was given")
        return
    for how in ("published", "compiled"):
        file = this.work / f"official_{name}_{how}.json"
        batch = BENCH[name][1][-1].rpartition("=")[2]
        command = ["tools/bench_official.py", f"--code={folder}", f"--model={name}", f"--how={how}", f"--json={file}"]
        done = this.command(
            *command, f"--batch={4 if this.tiny else batch}", *(["--tiny"] if this.tiny else []), limit=80
        )
        this.note(f"official {name}", **{how: json.loads(file.read_text()) if file.exists() else done.tail[-300:]})


def reader(this: Run, args: Namespace, words: str = "both") -> Path | None:
    """The compact reader of the package, on rendered and real words at full speed."""
    arm = "reader" if words == "both" else "reader-no-labels"
    options = _sizes(this, labelled=512)
    if not this.tiny:
        options += ["--config.optimizer.schedule.peak=2e-3", "--config.optimizer.schedule.decay=0.4"]
    share = 0.8 if words == "both" else 0.5
    workdir = this.train(arm, _config(this, "reader", f"words={words}"), share * this.left, *options)
    if workdir:
        this.evaluate(arm, workdir, "--language_model=none", key="greedy")
        this.evaluate(arm, workdir, "--language_model=english", key="english")
        this.pack(arm, workdir)
    return workdir


def reader_no_labels(this: Run, args: Namespace) -> None:
    """The same without any human label: rendered words, then rounds on what it reads surely in real ones."""
    start = reader(this, args, "rendered")
    if not start or (this.left < 60 and not this.tiny):
        return
    config = f"configs/distill.py:teacher={start},start={start},finish,every=1000"
    options = _sizes(this, labelled=512)
    if this.tiny:
        images = ROOT / "tests/data/real_words"
        config += f",images={images}"
        options += ["--config.model.width=0.0625", "--config.streams.labelled.batch_size=4"]
        options.append("--config.streams.labelled.sources.images.read_by.threshold=0.0")  # an untrained start's
        options += [f"--config.evals.{name}.path={images}" for name in ("IIIT5K", "SVT", "IC13_857", "IC13_1015")]
    workdir = this.train("no-labels-rounds", config, this.left - 40, *options, rounds=1 if this.tiny else 3)
    if workdir:
        this.evaluate("no-labels-rounds", workdir, "--language_model=english", key="english")
        this.pack("reader-no-labels", workdir)


def seqclr(this: Run, args: Namespace) -> None:
    """Window-to-instance, frame-to-instance and all-to-instance for equal minutes; the encoders are kept."""
    for number, mapping in enumerate(("window", "frame", "all")):
        options = _sizes(this, unlabelled=256) + [f"--config.objective.mapping={mapping}"]
        if not this.tiny:
            options += ["--config.augment.where=device"]
        workdir = this.train(
            f"seqclr-{mapping}", _config(this, "seqclr", "compact"), this.left / (3 - number) - 20, *options
        )
        if workdir:
            this.pack(f"seqclr-{mapping}", workdir)
            for picture in sorted((workdir / "pictures").glob("*.png"))[-1:]:
                this.keep(picture, f"seqclr-{mapping}.png")


def cr(this: Run, args: Namespace) -> None:
    """TRBA of half width: supervised on rendered words, then supervised against CR for equal minutes."""
    wide = [] if this.tiny else ["--config.model.width=0.5", "--config.model.features=resnet"]
    options = [*_sizes(this, labelled=384), *wide]
    start = this.train("cr-source", _config(this, "source_only", "compact", "weak"), 0.5 * this.left, *options)
    if not start:
        return
    this.evaluate("cr-source", start)
    this.pack("cr-source", start)
    go_on = f"--config.init_from=(('model', '{start}', 'model'),)"
    fresh = "--config.init_allow_missing=('model/decoder/projection',)"
    rate = [] if this.tiny else ["--config.optimizer.schedule.peak=3e-4"]
    arms = {
        "cr-supervised": (_config(this, "source_only", "compact", "weak"), [*options, *rate, go_on]),
        "cr": (
            _config(this, "cr_str", "compact", "weak"),
            [*_sizes(this, labelled=384, unlabelled=288), *wide, *rate, go_on, fresh],
        ),
    }
    for number, (arm, (config, more)) in enumerate(arms.items()):
        workdir = this.train(arm, config, this.left / (2 - number) - 30, *more)
        if workdir:
            this.evaluate(arm, workdir)
            this.pack(arm, workdir)


def semimtr(this: Run, args: Namespace) -> None:
    """ABINet, compact: vision from labels until it reads, then ABINet against SemiMTR with a threshold of 0.9."""
    language = args.language
    if not language:
        words = this.train(
            "language", _config(this, "abinet_language", "compact"), 0.15 * this.left, *_sizes(this, text=512)
        )
        language = words
    vision = this.train(
        "vision", _config(this, "abinet_vision", "compact", "supervised"), 0.5 * this.left, *_sizes(this, labelled=256)
    )
    if not (vision and language):
        return
    this.evaluate("vision", vision)
    this.pack("vision", vision)
    parts = [f"--config.init_from=(('model/vision', '{vision}', 'model'), ('model/language', '{language}', 'model'))"]
    parts += ["--config.init_allow_missing=('model/fusion',)"]
    for number, (arm, weight) in enumerate({"abinet": 0.0, "semimtr": 1.0}.items()):
        config = _config(this, "semimtr", "compact", "threshold=0.9", f"cons_weight={weight}")
        options = [*_sizes(this, mixed=128), *parts]
        workdir = this.train(arm, config, this.left / (2 - number) - 20, *options)
        if workdir:
            this.evaluate(arm, workdir)
            this.pack(arm, workdir)


def adapt(this: Run, args: Namespace) -> None:
    """PP-OCRv6 small, the whole network, on handwriting and on scene words without labels, in three rounds."""
    start = this.data / PPOCR if this.data and (this.data / PPOCR).is_file() else "ppocrv6-small"
    start = reader(this, args, "rendered") if this.tiny else start
    sets = {"handwriting": ("gw/train", dict(gw="gw/test")), "scene": ("mlt17_latin/unlabelled", SCENE)}
    for number, (name, (images, tests)) in enumerate(list(sets.items())[: 1 if this.tiny else None]):
        arm, shipped = f"adapt-{name}", ROOT / "tests/data/real_words"
        options = [f"--config.images={shipped if this.tiny else this.data / f'{images}.tar'}"]
        if this.tiny:
            options += ["--config.streams.labelled.batch_size=4", "--config.held_back.labelled.batch_size=4"]
        else:
            first = next(iter(tests.values()))
            options += [f"--config.test={this.data / f'{first}.tar'}", BFLOAT16]
        config = f"configs/adapt.py:start={start}," + ("labels_only" if this.tiny else "whole,rounds=3")
        rounds = 1 if this.tiny else 3
        workdir = this.train(arm, config, this.left / (2 - number) - 40, *options, rounds=rounds)
        for words in ("none", "english") if workdir else ():
            this.evaluate(arm, workdir, f"--language_model={words}", key=words, sets=tests)
        if workdir:
            this.pack(arm, workdir)


RECIPES: dict[str, Callable[[Run, Namespace], object]] = {
    "bench": bench,
    "reader": reader,
    "reader-no-labels": reader_no_labels,
    "seqclr": seqclr,
    "cr": cr,
    "semimtr": semimtr,
    "adapt": adapt,
}
