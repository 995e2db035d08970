"""Labels images with a trained recogniser: python tools/pseudo_label.py --workdir=DIR --data=PATH --out=FILE.tar

The confident words go into a tar with labels.tsv, a source for configs/pseudo_label.py:kept=FILE.tar. For further
rounds, repeat with the resulting run as the teacher. With --language_model=english, or another word list, the teacher
reads better, and its confidence tells better which words are right. PATH is any source; --data may be given many
times. Prints how confidence is spread and, where PATH has labels (--check), how often words are right.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
import tarfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from jstr.cli import Parser, cli, path
from jstr.data.sources.open import open_source
from jstr.inference.crops import Answer, read_batch
from jstr.inference.read_source import Reading, read_source
from jstr.inference.reader import WORDS_HELP, Reader, load
from jstr.objectives.parts import pseudo_labels
from jstr.text.messages import InputError, first_few
from jstr.text.metrics import PROTOCOLS


class Cut(Answer):
    """An answer of a decoder that ran out of steps before it wrote EOS."""


def answers(reader: Reader, images: np.ndarray, confidence: str) -> list[Answer]:
    """Answers for images [B, H, W, C], scored as --confidence says. A beam search scores its texts itself."""
    if reader.rules.expect:
        return read_batch(reader, images)
    reading = pseudo_labels.read(reader.logits(list(images)), reader.model_config)
    strings = np.asarray(pseudo_labels.strings(reading, reader.model_config))
    texts = [reader.charset.decode(row) for row in strings.tolist()]
    values = np.asarray(pseudo_labels.CONFIDENCES[confidence](reading)).tolist()
    complete = np.asarray(reading.whole).tolist()
    return [(Answer if ok else Cut)(text, value) for text, value, ok in zip(texts, values, complete, strict=True)]


class Tar:
    """An uncompressed tar with images and labels.tsv; it appears under its name when it is complete."""

    def __init__(self, path: str):
        self.path, self._lines = Path(path), []
        self._part = self.path.with_name(self.path.name + ".part")
        try:
            self._tar = tarfile.open(self._part, "w")
        except OSError as error:
            raise InputError(f"--out={path}: {error.strerror}") from error

    def add(self, image: bytes | np.ndarray, label: str) -> None:
        if isinstance(image, np.ndarray):
            image = cv2.imencode(".png", image[..., ::-1])[1].tobytes()
        name = f"{len(self._lines):09d}{'.png' if image[:4] == bytes([137]) + b'PNG' else '.jpg'}"
        self._write(name, image)
        self._lines.append(f"{name}\t{label}\n")

    def _write(self, name: str, data: bytes) -> None:
        info = tarfile.TarInfo(name)
        info.size = len(data)
        self._tar.addfile(info, io.BytesIO(data))

    def close(self) -> None:
        self._write("labels.tsv", "".join(self._lines).encode())
        self._tar.close()
        os.replace(self._part, self.path)

    def discard(self) -> None:
        self._tar.close()
        self._part.unlink()


def statistics(found: list[Reading], kept: list[Reading], protocol: str) -> list[str]:
    """Lines for a person: how confidence is spread, and how often words are right where labels are known."""
    lines = []
    counts, _ = np.histogram([r.answer.confidence for r in found], np.linspace(0, 1, 11))
    for i, count in enumerate(counts):
        lines.append(f"  {i / 10:.1f} to {(i + 1) / 10:.1f}  {count:8,}  {100 * count / max(len(found), 1):5.1f} %")
    prepare = PROTOCOLS[protocol]
    for name, some in (("all", found), ("kept", kept)):
        right = [prepare(r.answer.text) == prepare(r.label) for r in some if r.label is not None and prepare(r.label)]
        if right:
            lines.append(f"  {name}: {100 * np.mean(right):.1f} % of {len(right):,} right ({protocol})")
    return lines


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = Parser("python tools/pseudo_label.py", __doc__)
    parser.add_argument(
        "--workdir", type=path, required=True, help="the teacher: a run, converted weights or a packed file"
    )
    parser.add_argument("--language_model", metavar="WORDS", help=WORDS_HELP)
    parser.add_argument("--data", action="append", required=True, metavar="PATH", help="may be given many times")
    parser.add_argument("--out", type=path, required=True, metavar="FILE.tar")
    parser.add_argument("--confidence", default="geometric_mean", choices=pseudo_labels.CONFIDENCES)
    parser.add_argument("--threshold", type=float, default=0.9, help="words that are less confident are left out")
    parser.add_argument("--check", action="store_true", help="compare with the labels of PATH; nothing else uses them")
    parser.add_argument("--protocol", default="alnum36", choices=PROTOCOLS, help="of that comparison")
    args = parser.parse_args(argv)
    if not 0 <= args.threshold <= 1:
        raise InputError(f"--threshold={args.threshold}: give a number from 0 to 1")
    if not args.out.endswith(".tar"):
        raise InputError(f"--out={args.out}: the name must end with .tar")
    return args


def _label(reader: Reader, source: Any, tar: Tar, args: argparse.Namespace) -> int:
    """Adds the confident words of a source to `tar` and prints what was done; returns how many were added."""
    readings = read_source(reader, source, read=lambda images: answers(reader, images, args.confidence))
    results = [reading._replace(image=None) for reading in readings]
    found = [reading for reading in results if reading.answer]
    whole = [r for r in found if r.answer.text and not isinstance(r.answer, Cut)]
    kept = [r for r in whole if r.answer.confidence >= args.threshold]
    for reading in kept:
        tar.add(source[reading.index]["image"], reading.answer.text)
    print(f"{source.path}: {len(kept):,} of {len(results):,} kept; {_confidence(reader, args)} of all words:")
    print("\n".join(statistics(found, kept, args.protocol)))
    empty, cut = sum(not r.answer.text for r in found), sum(isinstance(r.answer, Cut) for r in found)
    broken = [r.key for r in results if r.answer is None]
    print(f"  left out: {empty:,} read as empty, {cut:,} without an end, {len(broken):,} broken {first_few(broken)}")
    return len(kept)


def _confidence(reader: Reader, args: argparse.Namespace) -> str:
    return "share of the beam" if reader.rules.expect else args.confidence


def run(argv: list[str] | None = None) -> None:
    """Writes the tar and prints statistics of each source. Raises InputError: nothing is confident enough."""
    args = _parse(argv)
    reader = load(args.workdir, args.language_model)
    sources = [open_source(path, labelled=args.check) for path in args.data]
    for source in sources:
        print("".join(f"{note}\n" for note in source.notes), end="", file=sys.stderr)
    tar = Tar(args.out)
    total = sum(_label(reader, source, tar, args) for source in sources)
    if not total:
        tar.discard()
        raise InputError(f"no word has {_confidence(reader, args)} {args.threshold} or more; lower --threshold")
    tar.close()
    print(f"{args.out}: {total:,} labelled words")


if __name__ == "__main__":
    cli(run)
