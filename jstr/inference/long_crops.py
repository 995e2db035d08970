"""Crops that are wider than a recogniser can hold: read in parts that overlap, whose frames are joined. CTC only."""

from __future__ import annotations

import math

import numpy as np

from jstr.data.images import ImageSpec
from jstr.decoding.beam_search import ctc_texts
from jstr.decoding.ranking import Found, ranked
from jstr.inference.details import Searches
from jstr.text import tidy

OVERLAP = 0.375  # of a part
MAX_PARTS = 128  # what is wider still is squeezed into them


def parts_of(image: np.ndarray, spec: ImageSpec) -> tuple[np.ndarray, np.ndarray, float]:
    """(parts [N, H, W, C] as the model sees them, their left edges [N], their width) of uint8 [h, w, C], in pixels.

    Parts have the shape of the model's images, so that nothing is squeezed, and spread evenly.
    """
    h, w = image.shape[:2]
    width = h * spec.size[1] / spec.size[0]
    count = min(max(2, math.ceil((w - width) / (width * (1 - OVERLAP))) + 1), MAX_PARTS)
    width = max(width, w / (1 + (count - 1) * (1 - OVERLAP)))
    starts = np.linspace(0, w - width, count)
    cuts = [image[:, round(s) : max(round(s) + 1, round(s + width))] for s in starts]
    return np.stack([spec.fit(np.ascontiguousarray(cut)) for cut in cuts]), starts, width


def join_rows(rows: np.ndarray, starts: np.ndarray, width: float) -> np.ndarray:
    """The frames [T', 1 + V] of a whole crop from those of its parts [N, T, 1 + V].

    Neighbours are joined where both are most certain of a blank, near the middle of what they share.
    """
    count = rows.shape[1]
    joined, first = [], 0
    for i in range(len(rows) - 1):
        shift = (starts[i + 1] - starts[i]) / width * count  # of the next part, in frames
        shared = np.arange(math.ceil(shift), count)
        others = np.clip(np.round(shared - shift).astype(int), 0, count - 1)
        inner = slice(len(shared) // 4, max(len(shared) - len(shared) // 4, len(shared) // 4 + 1))
        shared, others = shared[inner], others[inner]
        blank = np.log(np.maximum(rows[i, shared, 0], 1e-9)) + np.log(np.maximum(rows[i + 1, others, 0], 1e-9))
        aside = np.abs(np.arange(len(shared)) - (len(shared) - 1) / 2)
        best = int(np.argmax(blank - 0.02 * aside))
        joined.append(rows[i, first : shared[best] + 1])
        first = int(others[best]) + 1
    return np.concatenate([*joined, rows[-1, first:]])


def read_long(reader: Searches, image: np.ndarray, spec: ImageSpec) -> Found:
    """What is found in an image uint8 [h, w, C] that is wider than `spec`, and its joined frames.

    Without a prior and a pattern this is the most probable path, as in greedy decoding.
    """
    parts, starts, width = parts_of(image, spec)
    rows = join_rows(reader.frames(parts), starts, width)
    characters, rules = reader.charset.characters, reader.rules
    if not rules.expect:
        path = rows.argmax(axis=1)
        new = np.diff(path, prepend=0) != 0
        text = tidy("".join(characters[i - 1] for i in path[new & (path > 0)]), characters)
        return Found([(text, float(rows.max(axis=1).prod()) if text else 0.0)], rows)
    return Found(ranked(ctc_texts(rows, rules), rules.characters, rules.pattern), rows)
