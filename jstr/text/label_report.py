"""Which labels of a data set are used, and why the others are left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from jstr.text import Charset, frames_needed
from jstr.text.messages import InputError

EXAMPLES = 5  # different labels of each reason that are shown


@dataclass
class LabelReport:
    """Counts which labels of a data set are used, and why the others are not.

    frames: T of a CTC model, or None. CTC needs a frame per character, and one for a blank between equal neighbours.
    """

    charset: Charset
    frames: int | None = None
    used: int = 0
    altered: int = 0
    skipped: Counter = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)
    outside: Counter = field(default_factory=Counter)

    @classmethod
    def of(cls, charset: Charset, labels: Iterable[str]) -> LabelReport:
        """The report of `labels`, for no model in particular."""
        report = cls(charset)
        for label in labels:
            report.usable(label)
        return report

    def usable(self, label: str | None) -> bool:
        """Counts a label; returns whether it can be trained on."""
        reason, text = self._reason(label)
        if reason is None:
            self.used += 1
            self.altered += text != label
            return True
        self.skipped[reason] += 1
        examples = self.examples.setdefault(reason, [])
        if label and len(examples) <= EXAMPLES and label not in examples:
            examples.append(label)
        return False

    def _reason(self, label: str | None) -> tuple[str | None, str]:
        if label is None:
            return "no label", ""
        text = self.charset.normalise(label)
        outside = self.charset.outside(text)
        if outside:
            self.outside.update(outside)
            return "outside the charset", text
        if not text:
            return "empty", text
        if len(text) > self.charset.max_length:
            return f"longer than max_length={self.charset.max_length}", text
        if self.frames is not None and frames_needed(text) > self.frames:
            return f"longer than the {self.frames} frames of the model", text
        return None, text

    def lines(self, name: str) -> list[str]:
        """The report as text, a line per reason."""
        total = self.used + sum(self.skipped.values())
        altered = f", {self.altered:,} changed by normalisation" if self.altered else ""
        lines = [f"{name}: {self.used:,} of {total:,} labels used{altered}"]
        for reason, count in self.skipped.most_common():
            examples = self.examples.get(reason, [])
            few = ", ".join(repr(e[:40]) for e in examples[:EXAMPLES])
            shown = f": {few}{', ...' if len(examples) > EXAMPLES else ''}" if few else ""
            lines.append(f"  skipped {count:,} {reason}{shown}")
        if self.outside:
            worst = " ".join(f"{c!r} ({n:,})" for c, n in self.outside.most_common(20))
            lines.append(f"  characters outside the charset: {worst}")
        return lines

    def require_some(self, name: str) -> None:
        """Raises InputError, naming rules and characters, when no label is left."""
        if self.used:
            return
        if not self.skipped:
            raise InputError(f"{name} holds no samples")
        rules = ", ".join(f"{count:,} {reason}" for reason, count in self.skipped.most_common())
        characters = "".join(c for c, _ in self.outside.most_common(40))
        outside = f"; characters outside the charset: {characters!r}" if characters else ""
        raise InputError(f"{name} has no usable sample: {rules}{outside}; change config.charset or the labels")
