"""Where in an image the characters of a text stand."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def ctc_frames_of(rows: np.ndarray, numbers: Sequence[int]) -> list[tuple[int, int]]:
    """(first, last) frame of each character on the most probable path of a text (Viterbi).

    rows [T, 1 + V]: probabilities of the blank and of the characters. numbers: of the characters of the text; []
    where they do not fit into T frames.
    """
    labels = np.zeros(2 * len(numbers) + 1, np.int64)
    labels[1::2] = np.asarray(numbers, np.int64) + 1
    logs = np.log(np.maximum(rows, 1e-30))[:, labels]
    skips = np.zeros(len(labels), bool)  # from the character before, without a blank
    skips[3::2] = labels[3::2] != labels[1:-2:2]
    best, moves = np.full(len(labels), -np.inf), np.zeros(logs.shape, np.int64)
    best[:2] = logs[0, :2]
    for t in range(1, len(rows)):
        ways = np.full((3, len(labels)), -np.inf)
        ways[0], ways[1, 1:], ways[2, 2:] = best, best[:-1], best[:-2]
        ways[2, ~skips] = -np.inf
        moves[t] = ways.argmax(axis=0)
        best = ways.max(axis=0) + logs[t]
    place = len(labels) - 1 if len(labels) < 2 or best[-1] >= best[-2] else len(labels) - 2
    if not numbers or best[place] == -np.inf:
        return []
    places = np.zeros(len(rows), np.int64)
    for t in range(len(rows) - 1, -1, -1):
        places[t] = place
        place -= moves[t, place]
    frames = [np.flatnonzero(places == 2 * i + 1) for i in range(len(numbers))]
    return [(int(f[0]), int(f[-1])) for f in frames]


def extents(centres: Sequence[float]) -> list[tuple[float, float]]:
    """(left, right) of characters whose centres (0 to 1, ascending) are known: they meet halfway between centres.

    The outer half of the first and of the last is as wide as their inner half; a single one takes the whole width.
    """
    if not centres:
        return []
    middles = [(a + b) / 2 for a, b in zip(centres, centres[1:], strict=False)]
    if middles:
        first, last = 2 * centres[0] - middles[0], 2 * centres[-1] - middles[-1]
    else:
        first, last = 0.0, 1.0
    edges = [min(max(edge, 0.0), 1.0) for edge in (first, *middles, last)]
    return list(zip(edges, edges[1:], strict=False))
