"""What a person should know about the labels of a set: marks for unreadable words, placeholders, contradictions."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

from jstr.messages import first_few

UNREADABLE = frozenset(["###", "don't care", "dont care", "do not care", "don’t care"])
# Labels that may be words but often stand for none; they are kept, and counted in a note where they are frequent.
SUSPICIOUS = frozenset(
    ["#", "##", "####", "*", "-", "--", "?", ".", "_", "n/a", "na", "nan", "none", "null", "unknown"]
)
_HELD_OUT = re.compile(r"(?<![a-z])(val|valid|validation|dev|test|testing|eval|evaluation|benchmarks?)(?![a-z])")


def readable(label: str | None) -> str | None:
    """The label, or None where it marks a word that nobody could read."""
    return None if label is None or label.strip().casefold() in UNREADABLE else label


def label_notes(labels: Iterable[str | None]) -> list[str]:
    """Remarks on labels that often stand for none: each of SUSPICIOUS on more than 1 % of the words, and 2 of them."""
    counts, total = Counter(), 0
    for label in labels:
        total += 1
        if label is not None and label.strip().casefold() in SUSPICIOUS:
            counts[label] += 1
    frequent = [(label, n) for label, n in counts.most_common() if n > max(2, 0.01 * total)]
    return [f"label {label!r} on {n:,} of {total:,} words: it may stand for none" for label, n in frequent]


def held_out_notes(path: str, folders: Iterable[str]) -> list[str]:
    """A warning where some of the folders that are read together are by their names for validation or testing."""
    names = sorted(set(folders))
    held_out = [name for name in names if _HELD_OUT.search(name.lower())]
    if not held_out or len(held_out) == len(names):
        return []
    return [f"{path}: WARNING: {_few(held_out)} by name are for validation or testing and are joined to the others"]


def conflicts(pairs: Iterable[tuple[str, str | None]], name: str) -> list[str]:
    """A note on files that occur with different labels."""
    first: dict[str, str | None] = {}
    different: dict[str, str] = {}
    for file, label in pairs:
        if first.setdefault(file, label) != label:
            different.setdefault(file, f"{file} ({first[file]!r}, {label!r})")
    if not different:
        return []
    return [f"{name}: {len(different):,} files have several labels, all of which are used: {_few(different.values())}"]


def _few(items: Iterable[str]) -> str:
    return first_few([item[:80] for item in items], 3)
