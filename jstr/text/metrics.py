"""Metrics of reading, in plain Python: word accuracy, ED1, 1-NED, CER, and the field's protocols."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

# Applied to label and prediction before they are compared. alnum36 is the protocol of the published numbers, from
# deep-text-recognition-benchmark's test.py (Baek et al. 2019): lower case, and only letters a-z and digits.
PROTOCOLS = {
    "alnum36": lambda text: re.sub(r"[^0-9a-z]", "", text.lower()),
    "case": lambda text: re.sub(r"[^0-9a-zA-Z]", "", text),
    "exact": lambda text: text,
}
PROTOCOL_HELP = "what is compared: alnum36 (default): a-z and digits; case: with their case; exact: every character"

# Subsets that the field scores: rules on the labels of the full set, applied before the protocol.
SUBSETS = {
    "IC13_1015": lambda label: re.fullmatch(r"[0-9A-Za-z]+", label) is not None,
    "IC13_857": lambda label: re.fullmatch(r"[0-9A-Za-z]{3,}", label) is not None,
}


def edit_distance(a: str, b: str) -> int:
    """Levenshtein distance in characters."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        diagonal, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (x != y))
    return row[-1]


@dataclass
class Examples:
    """How many of something there are, and the first few of them."""

    count: int = 0
    first: list[str] = field(default_factory=list)

    def add(self, example: str) -> None:
        """Counts one more."""
        self.count += 1
        if len(self.first) < 3:
            self.first.append(example)

    def __str__(self) -> str:
        return ", ".join(self.first) + (", ..." if self.count > len(self.first) else "")


@dataclass
class Score:
    """Sums over the words of one set. The properties are percentages except `confidence`; NaN when nothing was scored.

    ed1: words within one edit of their label (Aberdam et al. 2021).
    one_minus_ned: mean over words of 1 - edit distance / longer length, 0 when either string is empty (ICDAR 2019).
    cer: edit distance over all words / characters in all labels. It can exceed 100.
    left_out: words whose label the protocol cannot score or the subset leaves out. broken: keys of unreadable images.
    heads: of a recogniser with several heads, the score of each by name. notes: what a person should know about the
    labels, by kind, see jstr/inference/score.py.
    """

    words: int = 0
    correct: int = 0
    close: int = 0
    ned_sum: float = 0.0
    errors: int = 0
    characters: int = 0
    confidence_sum: float = 0.0
    left_out: int = 0
    broken: tuple[str, ...] = ()
    heads: dict[str, Score] = field(default_factory=dict)
    notes: dict[str, Examples] = field(default_factory=dict)

    def add(self, prediction: str, label: str, confidence: float) -> None:
        """Counts a word. Both strings have been through the protocol; the label is not empty."""
        distance = edit_distance(prediction, label)
        self.words += 1
        self.correct += distance == 0
        self.close += distance <= 1
        self.ned_sum += 1 - distance / max(len(prediction), len(label)) if prediction and label else 0.0
        self.errors += distance
        self.characters += len(label)
        self.confidence_sum += confidence

    @property
    def accuracy(self) -> float:
        """Words read exactly."""
        return 100 * _ratio(self.correct, self.words)

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % confidence interval of the accuracy, where the words are a random sample (Wilson 1927)."""
        return wilson(self.correct, self.words)

    @property
    def ed1(self) -> float:
        """Words within one edit."""
        return 100 * _ratio(self.close, self.words)

    @property
    def one_minus_ned(self) -> float:
        """Mean similarity of words."""
        return 100 * _ratio(self.ned_sum, self.words)

    @property
    def cer(self) -> float:
        """Character error rate."""
        return 100 * _ratio(self.errors, self.characters)

    @property
    def confidence(self) -> float:
        """Mean confidence, 0 to 1."""
        return _ratio(self.confidence_sum, self.words)

    def row(self) -> dict[str, float]:
        """The six reported figures by name, and HEAD/accuracy of every head."""
        figures = {
            "words": self.words,
            "accuracy": self.accuracy,
            "ED1": self.ed1,
            "1-NED": self.one_minus_ned,
            "CER": self.cer,
            "confidence": self.confidence,
        }
        return figures | {f"{name}/accuracy": head.accuracy for name, head in self.heads.items()}


def wilson(right: int, total: int, z: float = 1.96) -> tuple[float, float]:
    """The score interval of a share, in percent (Wilson 1927); NaN without any. z: 1.96 for 95 %."""
    if not total:
        return float("nan"), float("nan")
    share, scale = right / total, 1 + z * z / total
    middle = (share + z * z / (2 * total)) / scale
    half = z / scale * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    return max(100 * (middle - half), 0.0), min(100 * (middle + half), 100.0)  # rounding may lead beyond


def averages(scores: dict[str, Score]) -> dict[str, dict[str, float]]:
    """Both averages of the field: over all words of all sets, and over the sets."""
    total = _sum(scores.values())
    names = dict.fromkeys(name for s in scores.values() for name in s.heads)
    total.heads = {name: _sum(s.heads[name] for s in scores.values() if name in s.heads) for name in names}
    rows = [s.row() for s in scores.values()]
    arithmetic = {name: sum(r[name] for r in rows) / len(rows) for name in rows[0] if all(name in r for r in rows)}
    return {"average by words": total.row(), "average by sets": arithmetic | {"words": total.words}}


def table(scores: dict[str, Score]) -> str:
    """A Markdown table: a row per set, and both averages when there is more than one set.

    The accuracy of each head follows the six figures where the recogniser has several.
    """
    rows = {name: s.row() for name, s in scores.items()}
    if len(rows) > 1:
        rows |= averages(scores)
    width = max(len(name) for name in [*rows, "set"])
    heads = dict.fromkeys(key for r in rows.values() for key in r if key.endswith("/accuracy"))
    titles = {key: f"{key.removesuffix('/accuracy'):>8}" for key in heads}
    more = "".join(f" {title} |" for title in titles.values())
    lines = [f"| {'set':{width}} |  words | accuracy |    ED1 |  1-NED |    CER | confidence |{more}"]
    more = "".join(f" {'-' * (len(title) - 1)}: |" for title in titles.values())
    lines.append(f"| {'-' * width} | -----: | -------: | -----: | -----: | -----: | ---------: |{more}")
    for name, r in rows.items():
        more = "".join(f" {r.get(key, float('nan')):{len(title)}.2f} |" for key, title in titles.items())
        lines.append(
            f"| {name:{width}} | {r['words']:6,} | {r['accuracy']:8.2f} | {r['ED1']:6.2f} | {r['1-NED']:6.2f} "
            f"| {r['CER']:6.2f} | {r['confidence']:10.3f} |{more}"
        )
    return "\n".join(lines)


def _sum(scores: Iterable[Score]) -> Score:
    total = Score()
    for s in scores:
        for name in ("words", "correct", "close", "ned_sum", "errors", "characters", "confidence_sum"):
            setattr(total, name, getattr(total, name) + getattr(s, name))
    return total


def _ratio(a: float, b: float) -> float:
    return a / b if b else float("nan")
