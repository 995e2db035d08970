"""Pairs of equal or nearly equal images across data sets, with the keys by which a person can look them up."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from jstr.data.analysis.fingerprints import DIFFERENCE, LIKE, candidates, copies, similarity, small
from jstr.data.images import RGB
from jstr.text.messages import escape

_EXAMPLES = 10  # of two sets, in the text


@dataclass(frozen=True)
class Pair:
    """Two images. kind: "same" pixels or "near". sets, places: which set, and where in it, of either."""

    kind: str
    sets: tuple[int, int]
    places: tuple[int, int]
    keys: tuple[str, str]
    labels: tuple[str | None, str | None]
    other_label: bool

    def row(self, names: Sequence[str]) -> dict:
        """For the JSON file."""
        ends = [dict(set=names[s], key=k, label=x) for s, k, x in zip(self.sets, self.keys, self.labels, strict=True)]
        return dict(kind=self.kind, other_label=self.other_label, pictures=ends)


class NearDuplicates:
    """All pairs that were found, as arrays; `pairs` looks some of them up.

    reports: a SetSummary for each set. unseen: pairs with similar bits beyond the limit of `compare`.
    """

    def __init__(self, reports: Sequence):
        self._sources = [report.source for report in reports]
        self._set = np.concatenate([np.full(len(r.whole), s) for s, r in enumerate(reports)])
        self._place = np.concatenate([r.whole for r in reports])
        self.pixels, self.bits, self.words = (
            np.concatenate([getattr(r, name)[r.whole] for r in reports]) for name in ("pixels", "bits", "words")
        )
        same = np.array(list(copies(self.pixels, self._set)), np.int64).reshape(-1, 2)
        self._found = np.concatenate([same, np.zeros((len(same), 1), np.int64)], 1)  # earlier, later, 1: near
        self.unseen = 0

    def compare(self, limit: int, progress: Callable[[str], None] = lambda line: None) -> None:
        """Finds the near duplicates. limit: how many pairs with similar bits are compared: pairs across two sets
        first, then the closest ones."""
        maybe = candidates(self.words, self.bits)[:, :2]
        maybe = maybe[self.pixels[maybe[:, 0]] != self.pixels[maybe[:, 1]]]
        maybe = maybe[np.argsort(self._set[maybe[:, 0]] == self._set[maybe[:, 1]], kind="stable")]
        self.unseen = max(len(maybe) - limit, 0)
        read = lru_cache(maxsize=4096)(lambda i: small(self.image(int(self._set[i]), int(self._place[i]))))
        near, said = [], time.monotonic()
        for number, (i, j) in enumerate(maybe[:limit].tolist()):
            correlation, difference = similarity(read(i), read(j))
            if correlation >= LIKE and difference <= DIFFERENCE:
                near.append((i, j, 1))
            if time.monotonic() - said > 2:
                said = time.monotonic()
                progress(f"near duplicates: {number:,} of {min(limit, len(maybe)):,} pairs compared")
        self._found = np.concatenate([self._found, np.array(near, np.int64).reshape(-1, 3)])

    def image(self, which: int, place: int) -> np.ndarray:
        """Image `place` of set `which`, RGB uint8 [h, w, 3]."""
        return RGB.decode(self._sources[which][place]["image"])

    def counts(self) -> dict[tuple[int, int], dict[str, int]]:
        """(first set, second set) -> images of the second with a copy in the first: same, near, other_label."""
        i, j, near = self._found.T
        other = self._other()
        table = {}
        for a, b in np.unique(self._set[self._found[:, :2]], axis=0).tolist():
            mine = (self._set[i] == a) & (self._set[j] == b)
            kinds = dict(same=near == 0, near=near == 1, other_label=other)
            table[a, b] = {name: len(np.unique(j[mine & kind])) for name, kind in kinds.items()}
        return table

    def lines(self, names: Sequence[str]) -> list[str]:
        """The table of `counts` with examples, for a person."""
        lines = ["images that occur twice (of the second set in the first; within a set: again)"]
        table, wide = self.counts(), max(10, *map(len, names))
        head = f"  {'first set':{wide}}  {'second set':{wide}}  same pixels  near copies  with another label"
        lines.append(head if table else "  none")
        for (a, b), kinds in sorted(table.items(), key=lambda item: (item[0][0] == item[0][1], item[0])):
            lines.append(
                f"  {names[a]:{wide}}  {names[b]:{wide}}  {kinds['same']:11,}  {kinds['near']:11,}  "
                f"{kinds['other_label']:18,}{'' if a == b else '  <- in both sets'}"
            )
            for pair in self.pairs(_EXAMPLES, (a, b)):
                ends = [f"{escape(key)} {label!r}" for key, label in zip(pair.keys, pair.labels, strict=True)]
                lines.append(f"    {pair.kind}: {' and '.join(ends)}{'  <- labels differ' if pair.other_label else ''}")
        if self.unseen:
            lines.append(f"  {self.unseen:,} more pairs of similar images were not compared (see --compare)")
        return lines

    def pairs(self, count: int, sets: tuple[int, int] | None = None) -> list[Pair]:
        """At most `count` pairs (of two sets), pairs across two sets first, then pairs with different labels, which are
        mistakes."""
        i, j, near = self._found.T
        other, within = self._other(), self._set[i] == self._set[j]
        order = np.lexsort((~other, within))
        if sets:
            order = order[(self._set[i[order]] == sets[0]) & (self._set[j[order]] == sets[1])]
        return [self._pair(int(i[k]), int(j[k]), "near" if near[k] else "same", bool(other[k])) for k in order[:count]]

    def _other(self) -> np.ndarray:
        first, second = self.words[self._found[:, 0]], self.words[self._found[:, 1]]
        return (first != second) & (first >= 0) & (second >= 0)

    def _pair(self, i: int, j: int, kind: str, other: bool) -> Pair:
        sets, places = (int(self._set[i]), int(self._set[j])), (int(self._place[i]), int(self._place[j]))
        samples = [self._sources[s][p] for s, p in zip(sets, places, strict=True)]
        keys, labels = tuple(s["key"] for s in samples), tuple(s["label"] for s in samples)
        return Pair(kind, sets, places, keys, labels, other)
