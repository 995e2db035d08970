"""Images that occur twice, within sets and across them: the same pixels, or crops of one photograph (near duplicates).

Three steps, of which only the last reads images again, so that millions of them fit into memory (24 bytes each):
  1. `fingerprint`: a hash of the pixels, and 128 bits of light-dark order that survive scaling and other margins.
  2. `candidates`: pairs of the same label whose bits differ in at most 40 places; in at most 24 whatever the label.
  3. `similarity`: the two images are compared pixel by pixel where they fit best.
"""

from __future__ import annotations

import hashlib
import math
import unicodedata
from collections.abc import Iterator

import cv2
import numpy as np

BITS = 40  # of 128: nearly all duplicates in IIIT5K are within, and about an eighth of the pairs of the same word
ANY_BITS = 24  # of images without the same label: 233 of 300 words of IIIT5K are found again at 0.8 the size as JPEG
LARGE_GROUP = 4096  # from here on not all pairs of a label are compared, only those that share 16 bits in one place
_WORK = 20_000_000  # pairs looked at for each such place: all of 100,000 images, unless very many are alike
LIKE, DIFFERENCE = 0.94, 25.0  # looked at: IIIT5K, SVT, ICDAR; below, the same word in the same font passes too
_GREY = (96, 32)
_SMALL = (48, 16)
_MARGIN = 0.06  # of the gradients, left out at each edge


def label_key(label: str | None) -> str | None:
    """What must agree for two labels to be the same word: neither case nor punctuation, unless there is only that."""
    if label is None:
        return None
    text = unicodedata.normalize("NFKC", label).casefold()
    return "".join(c for c in text if unicodedata.category(c)[0] not in "PSZC") or text.strip()


def fingerprint(image: np.ndarray) -> tuple[int, int, int]:
    """(hash of the pixels, two times 64 bits of a difference hash) of RGB uint8 [h, w, 3].

    The difference hash (is a spot darker than its right neighbour?) is taken on 16x8 spots of the part that holds the
    strokes, so that crops with other margins agree. It is 0 for an image of one colour.
    """
    pixels = hashlib.blake2b(np.ascontiguousarray(image), digest_size=8, salt=b"%dx%d" % image.shape[:2]).digest()
    grey, top, bottom, left, right = _strokes(image)
    spots = cv2.resize(grey[top:bottom, left:right], (17, 8), interpolation=cv2.INTER_AREA)
    high, low = np.packbits(spots[:, 1:] > spots[:, :-1]).view(np.uint64)
    return int.from_bytes(pixels, "little"), int(high), int(low)


def _strokes(image: np.ndarray) -> tuple[np.ndarray, int, int, int, int]:
    """A small grey copy, and the part of it (top, bottom, left, right) that holds nearly all edges."""
    grey = cv2.resize(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), _GREY, interpolation=cv2.INTER_AREA)
    wide = grey.astype(np.int16)
    return grey, *_middle(np.abs(np.diff(wide, axis=0)).sum(1)), *_middle(np.abs(np.diff(wide, axis=1)).sum(0))


def _middle(gradients: np.ndarray) -> tuple[int, int]:
    """Start and end of the part outside which `_MARGIN` of the sum lies at either side."""
    running = np.cumsum(gradients)
    if not running[-1]:
        return 0, len(gradients) + 1
    ends = np.searchsorted(running, [_MARGIN * running[-1], (1 - _MARGIN) * running[-1]])
    return int(ends[0]), int(ends[1]) + 2


def copies(pixels: np.ndarray, set_of: np.ndarray) -> Iterator[tuple[int, int]]:
    """(earlier, later) positions with the same pixel hash [N] uint64: each later one with the first of each set."""
    order = np.argsort(pixels, kind="stable")
    for group in _runs(pixels[order]):
        firsts: dict[int, int] = {}
        for position in order[group].tolist():
            for first in firsts.values():
                yield first, position
            firsts.setdefault(int(set_of[position]), position)


def candidates(labels: np.ndarray, bits: np.ndarray) -> np.ndarray:
    """Pairs that may be near duplicates, int64 [M, 3]: earlier position, later position, bits that differ.

    labels: [N] int, the same number for the same word, -1 without one. bits: [N, 2] uint64. Images whose bits are
    all 0 are left out.

    All pairs of a label with at most `BITS` different bits are found where the label has at most `LARGE_GROUP`
    images; of more frequent ones, those that also agree in a row or two columns of spots (16 bits). Over different
    labels, or without one, `ANY_BITS` may differ in those; of equal bits, each image is paired with the one before it.
    """
    seen = np.flatnonzero(bits.any(1))
    order = seen[np.argsort(labels[seen], kind="stable")]
    found = []
    for group in _runs(labels[order]):
        members = order[group]
        if labels[members[0]] >= 0:
            found.append(
                _close(members, bits) if len(members) <= LARGE_GROUP else _close_pieces(members, bits, 0, BITS)
            )
    found.append(_close_pieces(seen, bits, 1, ANY_BITS))
    found.append(_equal_bits(seen, labels, bits))
    pairs = np.unique(np.concatenate(found), axis=0)
    return pairs[np.argsort(pairs[:, 2], kind="stable")]


def _runs(sorted_keys: np.ndarray) -> Iterator[slice]:
    """Runs of two or more equal keys."""
    edges = np.flatnonzero(np.concatenate([[True], sorted_keys[1:] != sorted_keys[:-1], [True]]))
    for i in np.flatnonzero(np.diff(edges) > 1):
        yield slice(int(edges[i]), int(edges[i + 1]))


def _distance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.bitwise_count(a ^ b).sum(-1, dtype=np.int64)


def _rows(a: np.ndarray, b: np.ndarray, distance: np.ndarray) -> np.ndarray:
    return np.stack([np.minimum(a, b), np.maximum(a, b), distance], 1).astype(np.int64)


def _close(members: np.ndarray, bits: np.ndarray) -> np.ndarray:
    mine, found = bits[members], []
    for row in range(0, len(members), 256):  # a stripe at a time bounds the memory
        distance = _distance(mine[row : row + 256, None], mine[None])
        i, j = np.nonzero(distance <= BITS)
        i, j = i[j > i + row], j[j > i + row]
        found.append(_rows(members[i + row], members[j], distance[i, j]))
    return np.concatenate(found)


def _close_pieces(members: np.ndarray, bits: np.ndarray, least: int, most: int) -> np.ndarray:
    """Pairs with `least` to `most` different bits among those that share a piece, with at most `_WORK` for each piece:
    where very many share one, each is compared with the next ones only."""
    found = [np.zeros((0, 3), np.int64)]
    for piece in _pieces(bits[members]).T:
        order = np.argsort(piece, kind="stable")
        at, step = np.arange(len(order)), 0
        while len(at) and step < max(_WORK // len(order), 1):  # the pairs `step` places apart whose piece is the same
            step += 1
            at = at[at + step < len(order)]
            at = at[piece[order[at]] == piece[order[at + step]]]
            a, b = members[order[at]], members[order[at + step]]
            distance = _distance(bits[a], bits[b])
            near = (distance >= least) & (distance <= most)
            found.append(_rows(a[near], b[near], distance[near]))
    return np.concatenate(found)


def _pieces(bits: np.ndarray) -> np.ndarray:
    """The eight rows and the eight pairs of columns of spots of bits [N, 2] uint64: uint16 [N, 16]."""
    spots = np.unpackbits(np.ascontiguousarray(bits).view(np.uint8), axis=1).reshape(-1, 8, 16)
    columns = np.ascontiguousarray(spots.transpose(0, 2, 1)).reshape(-1, 8, 16)
    return np.packbits(np.concatenate([spots, columns], 1), axis=2).view(np.uint16)[..., 0]


def _equal_bits(seen: np.ndarray, labels: np.ndarray, bits: np.ndarray) -> np.ndarray:
    order = seen[np.lexsort((seen, bits[seen, 1], bits[seen, 0]))]
    a, b = order[:-1], order[1:]
    same = (bits[a] == bits[b]).all(1) & ((labels[a] != labels[b]) | (labels[a] < 0))
    return _rows(a[same], b[same], np.zeros(same.sum(), np.int64))


def small(image: np.ndarray) -> np.ndarray:
    """RGB uint8 [h, w, 3] in the form that `similarity` takes: all of it, and its strokes, float32 [2, 16, 48, 3]."""
    _, top, bottom, left, right = _strokes(image)
    y, x = image.shape[0] / _GREY[1], image.shape[1] / _GREY[0]
    part = image[int(top * y) : math.ceil(bottom * y), int(left * x) : math.ceil(right * x)]
    return np.stack([cv2.resize(p, _SMALL, interpolation=cv2.INTER_AREA) for p in (image, part)]).astype(np.float32)


def similarity(a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    """(correlation, mean difference in grey levels) of two `small` images where they fit best: 2 cuts, 21 shifts.

    Near duplicates have a correlation of at least `LIKE` and a difference of at most `DIFFERENCE`.
    """
    return max(_shifted(p, q) for p, q in zip(a, b, strict=True))


def _shifted(a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    height, width = a.shape[:2]
    best = (-1.0, 255.0)
    for y in (-1, 0, 1):
        for x in range(-3, 4):
            p = a[max(y, 0) : height + min(y, 0), max(x, 0) : width + min(x, 0)]
            q = b[max(-y, 0) : height + min(-y, 0), max(-x, 0) : width + min(-x, 0)]
            p, q = p.ravel() - p.mean(), q.ravel() - q.mean()
            correlation = float(p @ q) / (float(p @ p) * float(q @ q) + 1e-6) ** 0.5
            best = max(best, (correlation, float(np.abs(p - q).mean())))
    return best
