"""Which word images are equal, so that a person corrects them once."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from jstr.data.analysis.fingerprints import DIFFERENCE, LIKE, candidates, copies, fingerprint, similarity, small

_SIZE = (100, 32)
MOST = 50_000  # pairs that are compared


def equal_images(images: Sequence[np.ndarray], texts: Sequence[str]) -> list[list[int]]:
    """Groups of the places of images RGB uint8 [h, w, 3] that are the same or nearly so, and read the same.

    Each group begins with its first place; groups are in the order of these.
    """
    prints = [fingerprint(cv2.resize(p, _SIZE, interpolation=cv2.INTER_AREA)) for p in images]
    numbers: dict[str, int] = {}
    words = np.array([numbers.setdefault(text, len(numbers)) for text in texts], np.int64)
    pixels, high, low = (np.array(column, np.uint64) for column in zip(*prints, strict=True))
    pairs = list(copies(pixels, words))
    smalls: dict[int, np.ndarray] = {}
    for i, j in candidates(words, np.stack([high, low], 1))[:MOST, :2].tolist():
        if words[i] == words[j] and _like(i, j, images, smalls):
            pairs.append((i, j))
    return _joined(len(images), [(i, j) for i, j in pairs if words[i] == words[j]])


def _like(i: int, j: int, images: Sequence[np.ndarray], smalls: dict[int, np.ndarray]) -> bool:
    for k in (i, j):
        if k not in smalls:
            smalls[k] = small(cv2.resize(images[k], _SIZE, interpolation=cv2.INTER_AREA))
    correlation, difference = similarity(smalls[i], smalls[j])
    return correlation >= LIKE and difference <= DIFFERENCE


def _joined(count: int, pairs: Sequence[tuple[int, int]]) -> list[list[int]]:
    """Groups of 0 to count - 1 that `pairs` connect."""
    i, j = np.array(pairs, np.int64).reshape(-1, 2).T
    _, group_of = connected_components(coo_array((np.ones(len(i)), (i, j)), shape=(count, count)), directed=False)
    groups: dict[int, list[int]] = {}
    for place, group in enumerate(group_of.tolist()):
        groups.setdefault(group, []).append(place)
    return list(groups.values())
