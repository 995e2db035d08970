"""Labels pictures with a trained recogniser: python tools/pseudo_label.py --workdir=DIR --data=PATH --out=FILE.tar

The confident words go into a tar with labels.tsv, a source for configs/pseudo_label.py:kept=FILE.tar. Repeat with the
run that comes of it as the teacher, for two or three rounds. With --language_model=english, or another word list, the
teacher reads far better and knows better when it is right. PATH is any source; --data may be given many times. Prints
how confidence is spread and, where PATH has labels (--check), how often words are right. baselines.md sections 1 and 2.
"""

from __future__ import annotations

import argparse
import io
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from jstr.cli import cli
from jstr.core import InputError
from jstr.data.pipeline import padded_batches
from jstr.data.sources.open import open_source
from jstr.inference.reader import WORDS_HELP, Reader, batch_size, load
from jstr.metrics import PROTOCOLS
from jstr.objectives.parts import pseudo_labels
from jstr.objectives.parts.consistency_terms import read, strings


class Word(NamedTuple):
    """One reading: where it stands in the source, text, confidence, whether EOS ended it, the label or None."""

    index: int
    text: str
    confidence: float
    whole: bool
    label: str | None


def words(reader: Reader, source, confidence: str) -> Iterator[Word | str]:
    """Every picture of a source in order; the key of one that cannot be read."""
    index = -1
    for batch in padded_batches(source, reader.spec, batch_size()):
        texts, scores, whole = read_batch(reader, batch["image"], confidence)
        for i, key in enumerate(batch["keys"]):
            index += 1
            if batch["mask"][i]:
                yield Word(index, texts[i], float(scores[i]), bool(whole[i]), batch["labels"][i])
            else:
                yield key


def read_batch(reader: Reader, images: np.ndarray, confidence: str) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Texts, confidences and whether each is whole. With a language model, the confidence is that of its search."""
    if reader.prior:
        return *reader.read_batch(images), np.ones(len(images), bool)
    reading = read(reader.logits(list(images)), reader.model_config)
    texts = [reader.charset.decode(row) for row in np.asarray(strings(reading, reader.model_config)).tolist()]
    return texts, np.asarray(pseudo_labels.CONFIDENCES[confidence](reading)), np.asarray(reading.whole)


class Tar:
    """An uncompressed tar with pictures and labels.tsv; it appears under its name when it is complete."""

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


def statistics(found: list[Word], kept: list[Word], protocol: str) -> list[str]:
    """Lines for a person: how confidence is spread, and how often words are right where labels are known."""
    lines = []
    counts, _ = np.histogram([w.confidence for w in found], np.linspace(0, 1, 11))
    for i, count in enumerate(counts):
        lines.append(f"  {i / 10:.1f} to {(i + 1) / 10:.1f}  {count:8,}  {100 * count / max(len(found), 1):5.1f} %")
    prepare = PROTOCOLS[protocol]
    for name, some in (("all", found), ("kept", kept)):
        known = [prepare(w.text) == prepare(w.label) for w in some if w.label is not None and prepare(w.label)]
        if known:
            lines.append(f"  {name}: {100 * np.mean(known):.1f} % of {len(known):,} right ({protocol})")
    return lines


def run(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--workdir", required=True, help="the teacher: a run, converted weights or a packed file")
    parser.add_argument("--language_model", metavar="WORDS", help=WORDS_HELP)
    parser.add_argument("--data", action="append", required=True, metavar="PATH", help="may be given many times")
    parser.add_argument("--out", required=True, metavar="FILE.tar")
    parser.add_argument("--confidence", default="geometric_mean", choices=pseudo_labels.CONFIDENCES)
    parser.add_argument("--threshold", type=float, default=0.9, help="words that are less confident are left out")
    parser.add_argument("--check", action="store_true", help="compare with the labels of PATH; nothing else uses them")
    parser.add_argument("--protocol", default="alnum36", choices=PROTOCOLS, help="of that comparison")
    args = parser.parse_args(argv)
    if not 0 <= args.threshold <= 1:
        raise InputError(f"--threshold={args.threshold}: give a number from 0 to 1")
    if not args.out.endswith(".tar"):
        raise InputError(f"--out={args.out}: the name must end with .tar")
    reader = load(args.workdir, args.language_model)
    confidence = "share of the beam" if reader.prior else args.confidence
    sources = [open_source(path, labelled=args.check) for path in args.data]
    tar, total = Tar(args.out), 0
    for path, source in zip(args.data, sources, strict=True):
        results = list(words(reader, source, args.confidence))
        found = [w for w in results if isinstance(w, Word)]
        kept = [w for w in found if w.text and w.whole and w.confidence >= args.threshold]
        for word in kept:
            tar.add(source[word.index]["image"], word.text)
        total += len(kept)
        print(f"{path}: {len(kept):,} of {len(results):,} kept; {confidence} of all words:")
        print("\n".join(statistics(found, kept, args.protocol)))
        empty, cut = sum(not w.text for w in found), sum(not w.whole for w in found)
        broken = [key for key in results if isinstance(key, str)]
        print(f"  left out: {empty:,} read as empty, {cut:,} without an end, {len(broken):,} broken {broken[:5] or ''}")
    if not total:
        tar.discard()
        raise InputError(f"no word has {confidence} {args.threshold} or more; lower --threshold")
    tar.close()
    print(f"{args.out}: {total:,} labelled words")


if __name__ == "__main__":
    cli(run)
