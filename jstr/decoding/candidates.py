"""Which characters a beam search tries in a frame or at a step."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from jstr.data.patterns.pattern import Pattern

MARGIN = 8.0  # characters and texts less probable than exp(-MARGIN) are pruned
MAX_CANDIDATES = 8  # characters tried per frame

Candidates = list[tuple[str, int, float]]  # characters, their numbers and log probabilities, the most probable first
Frame = tuple[float, Candidates, list[float]]  # log of the blank, the characters worth trying, and logs of all


def allowed(candidates: Candidates, bits: int) -> Candidates:
    """The candidates whose numbers are among `bits`, as far as they are not much worse than the first of them."""
    found: Candidates = []
    for candidate in candidates:
        if bits >> candidate[1] & 1:
            if len(found) == MAX_CANDIDATES or (found and candidate[2] < found[0][2] - MARGIN):
                break
            found.append(candidate)
    return found


def rows_of(probabilities: np.ndarray, characters: str, pattern: Pattern | None) -> Iterator[tuple[float, Candidates]]:
    """Of each row of [T, 1 + V]: log of the first probability, and the characters that may be tried, with theirs.

    These are the most probable ones, or with a pattern all that it has.
    """
    used = None if pattern is None else pattern.numbers
    some = probabilities[:, 1:] if used is None else probabilities[:, 1 + used]
    order = np.argsort(-some, axis=1)[:, : MAX_CANDIDATES if used is None else None]
    logs = np.log(np.maximum(np.take_along_axis(some, order, axis=1), 1e-30)).tolist()
    firsts = np.log(np.maximum(probabilities[:, 0], 1e-30)).tolist()
    least = -MARGIN if used is None else -math.inf
    for first, row_order, row in zip(firsts, (order if used is None else used[order]).tolist(), logs, strict=True):
        yield first, [(characters[i], i, log) for i, log in zip(row_order, row, strict=True) if log >= least]


def ctc_frames(
    probabilities: np.ndarray, characters: str, pattern: Pattern | None, margin: float = MARGIN
) -> list[tuple[Frame, int]]:
    """Frames, and how many more come after each. Those where no character has exp(-margin) are merged: blanks only."""
    count = len(probabilities)
    tried = np.flatnonzero(probabilities[:, 1:].max(axis=1) >= math.exp(-margin)).tolist()
    blanks = np.append(0.0, np.cumsum(np.log(np.maximum(probabilities[:, 0], 1e-30)))).tolist()
    logs = np.log(np.maximum(probabilities[tried, 1:], 1e-30)).tolist()
    frames, before = [], 0
    for number, (blank, candidates), row in zip(
        tried, rows_of(probabilities[tried], characters, pattern), logs, strict=True
    ):
        if number > before:
            frames.append(((blanks[number] - blanks[before], [], []), count - number))
        frames.append(((blank, candidates, row), count - number - 1))
        before = number + 1
    if count > before:
        frames.append(((blanks[count] - blanks[before], [], []), 0))
    return frames
