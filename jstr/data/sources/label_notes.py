"""What a person should know about the labels of a set: marks for unreadable words, placeholders, contradictions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from jstr.text.messages import escape, first_few

UNREADABLE = frozenset(["###", "don't care", "dont care", "do not care", "don’t care"])
# Labels that may be words but often stand for none; they are kept, and counted in a note where they are frequent.
SUSPICIOUS = frozenset(
    ["#", "##", "####", "*", "-", "--", "?", ".", "_", "n/a", "na", "nan", "none", "null", "unknown"]
)
_HELD_OUT = re.compile(r"(?<![a-z])(val|valid|validation|dev|test|testing|eval|evaluation|benchmarks?)(?![a-z])")


def readable(label: str | None) -> str | None:
    """The label, or None where it marks a word that nobody could read."""
    return None if label is None or label.strip().casefold() in UNREADABLE else label


def is_suspicious(label: str | None) -> bool:
    """Whether a label may stand for none, see SUSPICIOUS."""
    return label is not None and label.strip().casefold() in SUSPICIOUS


def label_notes(suspicious: Mapping[str, int], total: int) -> list[str]:
    """Remarks on suspicious labels that are frequent: on more than 1 % of all words, and on more than 2.

    suspicious: each of these labels and how often it occurs.
    """
    frequent = sorted((n, label) for label, n in suspicious.items() if n > max(2, 0.01 * total))
    return [f"label {label!r} on {n:,} of {total:,} words: it may stand for none" for n, label in reversed(frequent)]


def held_out_notes(path: str, folders: Iterable[str]) -> list[str]:
    """A warning where some of the folders that are read together are by their names for validation or testing."""
    names = sorted(set(folders))
    held_out = [name for name in names if _HELD_OUT.search(name.lower())]
    if not held_out or len(held_out) == len(names):
        return []
    return [
        f"{path}: WARNING: {few_names(held_out)} by name are for validation or testing and are joined to the others"
    ]


def conflicts(pairs: Iterable[tuple[str, str | None]], name: str) -> list[str]:
    """A note on files that occur with different labels."""
    first: dict[str, str | None] = {}
    different: dict[str, str] = {}
    for file, label in pairs:
        if first.setdefault(file, label) != label:
            different.setdefault(file, f"{file} ({first[file]!r}, {label!r})")
    if not different:
        return []
    return [
        f"{name}: {len(different):,} files have several labels, all of which are used: {few_names(different.values())}"
    ]


def few_names(names: Iterable[str], count: int = 3) -> str:
    """The first of some names of files, in a form that stays on one line."""
    return first_few([escape(name[:80]) for name in names], count)
