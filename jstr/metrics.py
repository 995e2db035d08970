"""How well words were read, in plain Python: word accuracy, 1-NED, character error rate, and the field's protocols."""

from __future__ import annotations

import re
from dataclasses import dataclass

# What is deleted from label and prediction before they are compared, and whether case is folded.
# alnum36 is the protocol of the published numbers (recognizers.md section 9).
PROTOCOLS = {
    "alnum36": lambda text: re.sub(r"[^0-9a-z]", "", text.lower()),
    "case": lambda text: re.sub(r"[^0-9a-zA-Z]", "", text),
    "exact": lambda text: text,
}

# Subsets that the field scores; they are rules on the label of the full set, applied before the protocol.
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
class Score:
    """Sums over the words of one set. The properties are percentages except `confidence`; NaN when nothing was scored.

    one_minus_ned: mean over words of 1 - edit distance / longer length, 0 when either string is empty (ICDAR 2019).
    cer: edit distance over all words / characters in all labels. It can exceed 100.
    left_out: words whose label the protocol cannot score or the subset leaves out. broken: keys of unreadable images.
    """

    words: int = 0
    correct: int = 0
    ned_sum: float = 0.0
    errors: int = 0
    characters: int = 0
    confidence_sum: float = 0.0
    left_out: int = 0
    broken: tuple[str, ...] = ()

    def add(self, prediction: str, label: str, confidence: float) -> None:
        """Counts one word; both strings have been through the protocol, and the label is not empty."""
        distance = edit_distance(prediction, label)
        self.words += 1
        self.correct += distance == 0
        self.ned_sum += 1 - distance / max(len(prediction), len(label)) if prediction and label else 0.0
        self.errors += distance
        self.characters += len(label)
        self.confidence_sum += confidence

    @property
    def accuracy(self) -> float:
        return 100 * _ratio(self.correct, self.words)

    @property
    def one_minus_ned(self) -> float:
        return 100 * _ratio(self.ned_sum, self.words)

    @property
    def cer(self) -> float:
        return 100 * _ratio(self.errors, self.characters)

    @property
    def confidence(self) -> float:
        return _ratio(self.confidence_sum, self.words)

    def row(self) -> dict[str, float]:
        """The five reported figures by name."""
        return {
            "words": self.words,
            "accuracy": self.accuracy,
            "1-NED": self.one_minus_ned,
            "CER": self.cer,
            "confidence": self.confidence,
        }


def averages(scores: dict[str, Score]) -> dict[str, dict[str, float]]:
    """Both averages of the field: over all words of all sets, and arithmetic over the sets."""
    total = Score()
    for s in scores.values():
        for name in ("words", "correct", "ned_sum", "errors", "characters", "confidence_sum"):
            setattr(total, name, getattr(total, name) + getattr(s, name))
    rows = [s.row() for s in scores.values()]
    arithmetic = {name: sum(r[name] for r in rows) / len(rows) for name in rows[0]}
    return {"average by words": total.row(), "average by sets": arithmetic | {"words": total.words}}


def table(scores: dict[str, Score]) -> str:
    """A Markdown table: a row per set, and both averages when there is more than one set."""
    rows = {name: s.row() for name, s in scores.items()}
    if len(rows) > 1:
        rows |= averages(scores)
    width = max(len(name) for name in [*rows, "set"])
    lines = [f"| {'set':{width}} |  words | accuracy |  1-NED |    CER | confidence |"]
    lines.append(f"| {'-' * width} | -----: | -------: | -----: | -----: | ---------: |")
    for name, r in rows.items():
        lines.append(
            f"| {name:{width}} | {r['words']:6,} | {r['accuracy']:8.2f} | {r['1-NED']:6.2f} | {r['CER']:6.2f} "
            f"| {r['confidence']:10.3f} |"
        )
    return "\n".join(lines)


def _ratio(a: float, b: float) -> float:
    return a / b if b else float("nan")
