"""Which word pictures are equal, so that a person corrects them once."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from jstr.data.analysis.fingerprints import DIFFERENCE, LIKE, candidates, copies, fingerprint, similarity, small

_SIZE = (100, 32)
MOST = 50_000  # pairs that are compared


def equal_pictures(pictures: Sequence[np.ndarray], texts: Sequence[str]) -> list[list[int]]:
    """Groups of the places of pictures RGB uint8 [h, w, 3] that are the same or nearly so, and read the same.

    Each group begins with its first place; groups are in the order of these.
    """
    prints = [fingerprint(cv2.resize(p, _SIZE, interpolation=cv2.INTER_AREA)) for p in pictures]
    numbers: dict[str, int] = {}
    words = np.array([numbers.setdefault(text, len(numbers)) for text in texts], np.int64)
    pixels, high, low = (np.array(column, np.uint64) for column in zip(*prints, strict=True))
    pairs = [pair for pair in copies(pixels, words)]
    smalls: dict[int, np.ndarray] = {}
    for i, j in candidates(words, np.stack([high, low], 1))[:MOST, :2].tolist():
        if words[i] == words[j] and _like(i, j, pictures, smalls):
            pairs.append((i, j))
    return _joined(len(pictures), [(i, j) for i, j in pairs if words[i] == words[j]])


def _like(i: int, j: int, pictures: Sequence[np.ndarray], smalls: dict[int, np.ndarray]) -> bool:
    for k in (i, j):
        if k not in smalls:
            smalls[k] = small(cv2.resize(pictures[k], _SIZE, interpolation=cv2.INTER_AREA))
    correlation, difference = similarity(smalls[i], smalls[j])
    return correlation >= LIKE and difference <= DIFFERENCE


def _joined(count: int, pairs: Sequence[tuple[int, int]]) -> list[list[int]]:
    first = list(range(count))

    def root(i: int) -> int:
        while first[i] != i:
            i = first[i]
        return i

    for i, j in pairs:
        a, b = sorted((root(i), root(j)))
        first[b] = a
    groups: dict[int, list[int]] = {}
    for i in range(count):
        groups.setdefault(root(i), []).append(i)
    return list(groups.values())
