"""Other readers beside jstr's: python tools/bench_peers.py --data=NAME=PATH [--data=...] [--count=N] [--json=FILE]

Tesseract (`pip install tesserocr`, and its English data), RapidOCR with PP-OCRv4 mobile (`pip install
rapidocr-onnxruntime==1.4.4`) and with PP-OCRv6 small (`pip install '.[ppocr]'`), each where it is installed, beside
jstr's readers: word accuracy and words a second of the same labelled words, one at a time, on one core, in one run. The
time is that of decoding and reading.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import io
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import measuring

from jstr.cli import Parser, cli, named_paths, path
from jstr.data.decode import decode_file
from jstr.text.messages import InputError
from jstr.text.metrics import PROTOCOLS, Score

Read = Callable[[bytes], str]  # an encoded image -> its text
WARM_UP = 20  # words, not timed


def tesseract(data: str | None) -> tuple[str, Read]:
    """(name and version, a function that reads a word). data: where eng.traineddata is, if not where it usually is."""
    import tesserocr
    from PIL import Image

    api = tesserocr.PyTessBaseAPI(psm=tesserocr.PSM.SINGLE_WORD, **({"path": data} if data else {}))

    def read(encoded: bytes) -> str:
        with Image.open(io.BytesIO(encoded)) as image:
            api.SetImage(image.convert("RGB"))
        return api.GetUTF8Text().strip()

    return f"Tesseract {api.Version()}", read


def rapidocr() -> tuple[str, Read]:
    """(its name and version, a function that reads one word with the recogniser alone, without detection)."""
    from rapidocr_onnxruntime import RapidOCR

    engine = RapidOCR(intra_op_num_threads=1, inter_op_num_threads=1)

    def read(encoded: bytes) -> str:
        found, _ = engine(decode_file(encoded, 3)[..., ::-1], use_det=False, use_cls=False, use_rec=True)
        return found[0][0] if found else ""

    return f"RapidOCR {importlib.metadata.version('rapidocr-onnxruntime')}, PP-OCRv4 mobile", read


def rapidocr3() -> tuple[str, Read]:
    """The same of RapidOCR 3, which comes with PP-OCRv6 small."""
    from rapidocr import RapidOCR

    threads = {f"EngineConfig.onnxruntime.{kind}_op_num_threads": 1 for kind in ("intra", "inter")}
    engine = RapidOCR(params={"Global.log_level": "error", **threads})

    def read(encoded: bytes) -> str:
        found = engine(decode_file(encoded, 3)[..., ::-1], use_det=False, use_cls=False, use_rec=True)
        return found.txts[0] if found.txts else ""

    return f"RapidOCR {importlib.metadata.version('rapidocr')}, PP-OCRv6 small", read


def ours(workdir: str, words: str) -> tuple[str, Read]:
    """(its name, a function that reads one word)."""
    import jstr

    reader = jstr.load(workdir, words)
    name = f"jstr, {workdir}" + (f", {words} words" if words != "none" else "")
    return name, lambda encoded: reader.read([encoded])[0][0]


def readers(data: str | None) -> dict[str, Read]:
    """What is installed, by name."""
    others = {"tesserocr": lambda: tesseract(data), "rapidocr_onnxruntime": rapidocr, "rapidocr": rapidocr3}
    installed = [name for name in others if importlib.util.find_spec(name)]
    if not installed:
        raise InputError("no other reader is installed: pip install tesserocr, or rapidocr-onnxruntime==1.4.4")
    workdirs = ["bundled", *["ppocrv6-small"] * ("rapidocr" in installed)]
    found = [ours(workdir, words) for workdir in workdirs for words in ("none", "english")]
    return dict(found + [others[name]() for name in installed])


def measure(read: Read, source: Any, count: int | None) -> tuple[Score, float]:
    """(the score, words a second) of the words of a source that the protocol can score."""
    prepare, result = PROTOCOLS["alnum36"], Score()
    samples = [source[i] for i in range(len(source) if count is None else min(count, len(source)))]
    for sample in samples[:WARM_UP]:
        read(sample["image"])
    start = time.perf_counter()
    texts = [read(sample["image"]) for sample in samples]
    seconds = time.perf_counter() - start
    for text, sample in zip(texts, samples, strict=True):
        if label := prepare(sample["label"] or ""):
            result.add(prepare(text), label, float("nan"))
    return result, len(samples) / seconds


def run(argv: list[str] | None = None) -> None:
    """Prints a line for each reader and set."""
    parser = Parser("python tools/bench_peers.py", __doc__)
    parser.add_argument("--data", action="append", required=True, metavar="NAME=PATH", help="a labelled set")
    parser.add_argument("--count", type=int, help="only the first words of each set")
    parser.add_argument("--tessdata", metavar="FOLDER", help="where eng.traineddata is")
    parser.add_argument("--json", type=path, metavar="FILE")
    args = parser.parse_args(argv)
    measuring.check_folder(args.json)
    if hasattr(os, "sched_setaffinity"):  # before anything starts its threads
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    from jstr.data.sources.open import open_source

    sources = {name: open_source(at) for name, at in named_paths("--data", args.data).items()}
    found: dict[str, Any] = {}
    for name, read in readers(args.tessdata).items():
        for of, source in sources.items():
            score, rate = measure(read, source, args.count)
            print(f"{name}: {of} {score.accuracy:.1f} % of {score.words:,} words, {rate:.0f} words/s", flush=True)
            row = {"words": score.words, "accuracy": round(score.accuracy, 2), "words_per_second": round(rate, 1)}
            found.setdefault(name, {})[of] = row
    if args.json:
        Path(args.json).write_text(json.dumps(measuring.record() | {"readers": found}, indent=2) + "\n")


if __name__ == "__main__":
    cli(run)
