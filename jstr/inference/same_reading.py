"""Whether two readers read the same: texts, probabilities and time, on the sample words or on images of the user."""

from __future__ import annotations

import string
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from jstr.data.sources.open import open_source
from jstr.data.synth.source import RenderedWords
from jstr.inference.exported_reader import ExportedReader
from jstr.inference.read_source import decoded
from jstr.inference.reader import Reader
from jstr.inference.score import comparable, fitting_protocol
from jstr.inference.widths import chunks, padded
from jstr.text import Charset
from jstr.text.messages import InputError

SAMPLES = Path(__file__).resolve().parents[2] / "tests/data/real_words"  # in the repository, not in the package
SAMPLE_WORDS, RENDERED = "sample words", "rendered words"
BATCH = 16
SHOWN = 3


class Words(NamedTuple):
    """images: N, uint8 [H, W, C] each, as the model sees them. labels: one each, None where unknown."""

    name: str
    images: list[np.ndarray]
    labels: list[str | None]


@dataclass
class Comparison:
    """What JAX and an exported network read in the same words.

    difference: largest of probabilities, up to the end of each word. seconds: of JAX and of the export, to read all.
    protocol: of the accuracies.
    """

    name: str
    words: int = 0
    protocol: str = "alnum36"
    same: int = 0
    examples: list[str] = field(default_factory=list)
    difference: float = 0.0
    confidence_difference: float = 0.0
    seconds: tuple[float, float] = (0.0, 0.0)
    labelled: int = 0
    right: tuple[int, int] = (0, 0)

    @property
    def is_same(self) -> bool:
        """Whether all texts are equal."""
        return self.same == self.words

    def lines(self) -> list[str]:
        """The result for a person."""
        lines = [f"{self.name}: {self.same} of {self.words} texts identical"]
        lines += [f"  {example}" for example in self.examples]
        lines.append(
            f"largest difference of probabilities {self.difference:.1e}, of confidences "
            f"{self.confidence_difference:.1e}"
        )
        jax_ms, export_ms = (1000 * s / self.words for s in self.seconds)
        lines.append(f"wall-clock time a word, {BATCH} at a time: JAX {jax_ms:.1f} ms, exported {export_ms:.1f} ms")
        if self.labelled:
            exact = "" if self.protocol == "alnum36" else f" ({self.protocol})"
            first, second = (100 * n / self.labelled for n in self.right)
            lines.append(f"word accuracy{exact} on {self.labelled} words: JAX {first:.1f} %, exported {second:.1f} %")
            if self.name == SAMPLE_WORDS:
                lines.append("  (a comparison, no score: readers may have been trained on these words)")
            elif self.name == RENDERED:
                lines.append("  (a comparison, no score: random letters, with every effect)")
        return lines


def sample_words(path: str | None, labels: str | None, reader: Reader) -> Words:
    """The words of a data set, or the sample words, or where they are not installed rendered ones.

    Raises:
      InputError: the data set cannot be opened, or no image of it can be read.
    """
    if path is not None:
        name, source = path, open_source(path, labels=labels, labelled=labels is not None or _is_labelled(path))
    else:
        name, source = _without_data(reader.charset)
    found = [r for r in decoded(source, reader.spec, 2 * BATCH) if r.image is not None]
    if not found:
        raise InputError(f"--check={path}: no image can be read")
    return Words(name, [r.image for r in found], [r.label for r in found])


def _without_data(charset: Charset) -> tuple[str, Any]:
    """The sample words, which are English; of a charset without Latin letters, rendered words that it can read.

    Raises:
      InputError: the sample words are not installed, and no font has the characters.
    """
    if SAMPLES.is_dir() and set(string.ascii_letters) & set(charset.characters):
        return SAMPLE_WORDS, open_source(SAMPLES)
    try:
        return RENDERED, RenderedWords(0, 64, charset.characters)
    except InputError as error:
        if not SAMPLES.is_dir():
            raise InputError(f"--check=DATA is missing: no words can be rendered to compare with ({error})") from error
    return SAMPLE_WORDS, open_source(SAMPLES)


def compare(reader: Reader, exported: Reader | ExportedReader, words: Words) -> Comparison:
    """Reads the words with both, as `read` does."""
    result = Comparison(words.name, len(words.images), protocol=fitting_protocol(reader.charset, words.labels))
    seconds, right = np.zeros(2), np.zeros(2, int)
    widths = [image.shape[1] for image in words.images]
    known = set()
    for places in _same_width(widths):
        batch, labels = np.stack([words.images[i] for i in places]), [words.labels[i] for i in places]
        if batch.shape[2] not in known:
            for other in (reader, exported):
                other.read_checked(padded(batch, BATCH))  # compiles, or allocates
            known.add(batch.shape[2])
        readings = []
        for which, other in enumerate((reader, exported)):
            start = time.perf_counter()
            texts, confidences = other.read_checked(padded(batch, BATCH))
            seconds[which] += (time.perf_counter() - start) * len(batch) / BATCH
            readings.append((texts[: len(batch)], confidences[: len(batch)]))
        (ours, our_values), (theirs, their_values) = readings
        result.confidence_difference = max(result.confidence_difference, float(np.abs(our_values - their_values).max()))
        result.difference = max(result.difference, _difference(reader, exported, batch))
        for a, b, label in zip(ours, theirs, labels, strict=True):
            result.same += a == b
            if a != b and len(result.examples) < SHOWN:
                result.examples.append(f"{a!r} became {b!r}")
            expected, *read = (comparable(reader.charset, t, "", result.protocol) for t in (label, a, b))
            if expected:
                result.labelled += 1
                right += [text == expected for text in read]
    result.seconds, result.right = tuple(seconds.tolist()), tuple(right.tolist())
    return result


def _same_width(widths: list[int]) -> Iterator[list[int]]:
    """Batches of places whose images have the same width, in order."""
    for width in sorted(set(widths)):
        yield from chunks((i for i, w in enumerate(widths) if w == width), BATCH)


def _difference(reader: Reader, exported: Reader | ExportedReader, images: np.ndarray) -> float:
    """The largest difference of probabilities [B, T, C], after EOS left out."""
    ours = _probabilities(reader, images)
    theirs = _probabilities(exported, images)
    difference = np.abs(ours - theirs)
    eos = reader.model_config.eos_id
    if eos is not None:
        ended = np.cumsum(ours.argmax(axis=-1) == eos, axis=1)
        after = np.pad(ended, ((0, 0), (1, 0)))[:, :-1] > 0
        difference[after] = 0.0
    return float(difference.max())


def _probabilities(reader: Reader | ExportedReader, images: np.ndarray) -> np.ndarray:
    if isinstance(reader, ExportedReader):
        return reader.probabilities(images)
    return np.asarray(jax.nn.softmax(reader.logits_batch(padded(images, BATCH)))[: len(images)])


def _is_labelled(path: str) -> bool:
    """Whether a data set has labels: they are not needed."""
    try:
        open_source(path)
    except InputError:
        return False
    return True
