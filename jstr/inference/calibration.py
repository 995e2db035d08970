"""What a reader's confidence is worth, measured on labelled words, and thresholds that keep a wanted precision."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import betaincinv

from jstr.inference.read_source import read_source
from jstr.inference.reader import Reader
from jstr.text.messages import InputError
from jstr.text.metrics import PROTOCOLS

NAME = "calibration.json"
PRECISIONS = (0.9, 0.95, 0.98, 0.99, 0.995)
LEAST = 30  # words, below which nothing is promised
LEVEL = 0.95  # of the interval


def _isotonic(y: np.ndarray) -> np.ndarray:
    """The nearest values to `y` [N] that never fall."""
    from scipy.optimize import isotonic_regression  # takes a quarter of a second, which reading need not wait for

    return isotonic_regression(y).x


@dataclass(frozen=True)
class Calibration:
    """Confidences of labelled words, each with whether it was read right.

    confidences [N], descending, and rights [N], 0 or 1. about: the data, the words and patterns that were expected.
    sets [N]: number of the data set of each word, () for one. A promise must hold on each of them.
    """

    confidences: tuple[float, ...]
    rights: tuple[int, ...]
    about: Mapping[str, Any]
    sets: tuple[int, ...] = ()

    @classmethod
    def of(
        cls, confidences: np.ndarray, rights: np.ndarray, about: Mapping[str, Any], sets: np.ndarray | None = None
    ) -> Calibration:
        """Raises InputError: too few words to promise anything."""
        if len(confidences) < LEAST:
            raise InputError(f"{len(confidences)} labelled words are too few to calibrate; give at least {LEAST}")
        order = np.argsort(-np.asarray(confidences), kind="stable")
        confidences = np.floor(np.asarray(confidences, np.float64)[order] * 1e6) / 1e6  # a threshold keeps its words
        numbers = () if sets is None else tuple(np.asarray(sets, int)[order].tolist())
        return cls(tuple(confidences.tolist()), tuple(np.asarray(rights, int)[order].tolist()), dict(about), numbers)

    @classmethod
    def of_all(cls, some: Sequence[Calibration], about: Mapping[str, Any]) -> Calibration:
        """The words of several sets, whose promises must hold on each."""
        if len(some) == 1:
            return some[0]
        numbers = np.repeat(np.arange(len(some)), [len(one.rights) for one in some])
        both = [np.concatenate([getattr(one, key) for one in some]) for key in ("confidences", "rights")]
        return cls.of(*both, about, numbers)

    def probability(self, confidence: float) -> float:
        """The share of words that are right at a confidence: isotonic regression, linear between its steps."""
        x, y = np.array(self.confidences[::-1]), np.array(self.rights[::-1], np.float64)
        return float(np.interp(confidence, x, _isotonic(y)))

    def kept(self, threshold: float) -> tuple[int, int]:
        """(words with at least this confidence, how many of them are right)."""
        count = int(np.searchsorted(-np.array(self.confidences), -threshold, side="right"))
        return count, sum(self.rights[:count])

    def threshold(self, precision: float) -> float | None:
        """The least confidence from which on words are right with this precision, by the lower end of the interval.

        None: no threshold promises it. Only thresholds at which at least LEAST words are kept are looked at.
        """
        return min((least for least, promised in self.promises() if promised >= precision), default=None)

    def promises(self) -> list[tuple[float, float]]:
        """(threshold, the precision that it promises) of every threshold that is best for some precision."""
        confidences, rights = np.array(self.confidences), np.array(self.rights)
        ends = np.flatnonzero(np.append(np.diff(confidences) != 0, True)) + 1  # after the last of equal confidences
        sets, promised = np.array(self.sets or np.zeros(len(rights), int)), np.ones(len(ends))
        for number in np.unique(sets):
            kept = np.cumsum(sets == number)[ends - 1]
            right = np.cumsum(rights * (sets == number))[ends - 1]
            known = (kept >= LEAST) & (right > 0)
            right = np.maximum(right, 1)
            low = betaincinv(right, np.maximum(kept - right, 0) + 1, (1 - LEVEL) / 2)
            promised = np.minimum(promised, np.where(known, low, 0.0))
        later = np.append(np.maximum.accumulate(promised[::-1])[::-1][1:], 0.0)  # the best of those that keep more
        return [(float(confidences[ends[i] - 1]), float(promised[i])) for i in np.flatnonzero(promised > later)]

    def lines(self, promised: Calibration | None = None) -> list[str]:
        """The table of thresholds, its own or those of another calibration, on these words."""
        total = len(self.rights)
        lines = [f"{total:,} words, {100 * sum(self.rights) / total:.1f} % right; {100 * LEVEL:.0f} % intervals"]
        for precision in PRECISIONS:
            least = (promised or self).threshold(precision)
            if least is None:
                lines.append(f"precision {precision:.3f}: no threshold promises it on these words")
                continue
            count, right = self.kept(least)
            if not count:
                lines.append(f"precision {precision:.3f}: confidence >= {least:.6f} keeps none of the words")
                continue
            low, high = interval(right, count)
            lines.append(
                f"precision {precision:.3f}: confidence >= {least:.6f} keeps {100 * count / total:.1f} % of the words, "
                f"{100 * right / count:.2f} % of them right ({100 * low:.2f} to {100 * high:.2f} %)"
            )
        return lines


def interval(right: int, count: int) -> tuple[float, float]:
    """The exact interval of a share (Clopper and Pearson 1934): wider than evaluate's, because it is a promise."""
    low = float(betaincinv(right, count - right + 1, (1 - LEVEL) / 2)) if right else 0.0
    high = float(betaincinv(right + 1, count - right, (1 + LEVEL) / 2)) if right < count else 1.0
    return low, high


def measure(reader: Reader, source: Any, protocol: str, about: Mapping[str, Any]) -> Calibration:
    """Reads every labelled image as `predict` does. Raises InputError: too few of them."""
    prepare, confidences, rights = PROTOCOLS[protocol], [], []
    for reading in read_source(reader, source, checked=True):
        expected = prepare(reader.charset.fold(reading.label or ""))
        if reading.answer is not None and expected:
            confidences.append(reading.answer.confidence)
            rights.append(prepare(reader.charset.fold(reading.answer.text)) == expected)
    return Calibration.of(np.array(confidences), np.array(rights), about)


def expected_texts(reader: Reader) -> dict[str, str | None]:
    """What a confidence depends on beside the reader: a checksum of the words, their weight, and the pattern.

    Frequencies do not count: a packed file has them rounded.
    """
    pattern, words = reader.rules.pattern, None
    if reader.rules.prior is not None:
        grams = [array for name, array in reader.rules.prior.arrays.items() if name.startswith("grams")]
        checksum = zlib.crc32(b"".join(array.tobytes() for array in grams))
        words = f"list {checksum:08x}, weight {reader.rules.weight:g}"
    return dict(words=words, pattern=None if pattern is None else str(pattern.spec))


def differences(about: Mapping[str, Any], expected: Mapping[str, Any]) -> list[str]:
    """What a calibration says of itself that is not so where it is used, a line each; older ones do not know all."""
    return [
        f"calibrated with {key}={about[key]}, not {value}"
        for key, value in expected.items()
        if key in about and about[key] != value
    ]


def file_of(workdir: str | os.PathLike) -> Path:
    """Where the calibration of a workdir or packed file lies."""
    place = Path(workdir)
    return place / NAME if place.is_dir() else place.with_name(f"{place.name}.{NAME}")


def read(file: str | os.PathLike) -> Calibration:
    """Raises InputError: it is missing, or no calibration."""
    try:
        found = json.loads(Path(file).read_text(encoding="utf-8"))
        return Calibration(
            *(tuple(found[key]) for key in ("confidences", "rights")), found["about"], tuple(found.get("sets", ()))
        )
    except OSError as error:
        raise InputError(f"{file}: {error.strerror}; make it with jstr calibrate, or give --calibration") from error
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{file} holds no calibration; make it with jstr calibrate") from error


def plot(calibration: Calibration, file: str) -> None:
    """A reliability diagram: confidence and share of right words in ten bins of as many words, and the regression."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise InputError("--plot needs matplotlib: pip install matplotlib") from error
    x, y = np.array(calibration.confidences[::-1]), np.array(calibration.rights[::-1], np.float64)
    figure = Figure(figsize=(4, 4), dpi=120, layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="0.7", linewidth=1)
    axes.plot(x, _isotonic(y), color="C1", linewidth=1, label="isotonic")
    for some, rights in zip(np.array_split(x, 10), np.array_split(y, 10), strict=True):
        low, high = interval(int(rights.sum()), len(rights))
        axes.plot([some.mean()] * 2, [low, high], color="C0", linewidth=1)
        axes.plot(some.mean(), rights.mean(), "o", color="C0", markersize=4)
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="confidence", ylabel="share of words that are right")
    axes.legend()
    figure.savefig(file)
