"""Finds lines of text in a photograph: once as a whole and, where it is large, in tiles for its small words."""

from __future__ import annotations

import math
from collections.abc import Iterator

import cv2
import numpy as np

from jstr.data.photos.boxes import Box, area, boxes_of_map, overlap, size
from jstr.data.photos.models import DETECTOR, OnnxModel

LEAST_SIDE = 736  # pixels: smaller photographs are enlarged, so that small words are seen
WHOLE = 2000  # pixels of the longer side, when a photograph is looked at as a whole
TILE, SHARED = 1280, 160  # pixels of a tile, and of them shared with the next one
_STEP = 32  # sides are multiples of it
_COARSE = 20  # pixels: lower lines of the whole may be several lines, which the tiles tell apart
_SAME = 0.5  # of the area of a box: it is found twice
_SURER = 0.1  # score
_BLANK = 12  # grey levels, from the darkest to the lightest: a tile without anything on it


class Detector:
    """A DB detector. min_score: of a box, see boxes_of_map. reach: pixels of the longer side: the detail that is used.

    threads: of one call; threads of Python may share a detector.
    """

    def __init__(self, min_score: float = 0.5, reach: int = 4096, threads: int = 1):
        """Raises InputError: the optional packages are missing."""
        self._model = OnnxModel(DETECTOR, threads)
        self._min_score, self._reach = min_score, reach

    def find(self, photograph: np.ndarray) -> list[Box]:
        """The boxes of lines in a photograph RGB uint8 [H, W, 3], in its pixels."""
        short, long = sorted(photograph.shape[:2])
        scale = min(max(1.0, LEAST_SIDE / short), WHOLE / long)
        found = self._look(photograph, scale)
        fine = min(1.0, self._reach / long)
        if fine < 1.2 * scale:
            return found
        small = cv2.resize(photograph, None, fx=fine, fy=fine, interpolation=cv2.INTER_AREA) if fine < 1 else photograph
        return _merged(found, self._in_tiles(small, fine), _COARSE / scale)

    def _look(self, image: np.ndarray, scale: float) -> list[Box]:
        """The boxes of an image that is scaled first, in pixels of the image."""
        height, width = image.shape[:2]
        wide, high = (max(round(side * scale / _STEP), 1) * _STEP for side in (width, height))
        method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        resized = cv2.resize(image, (wide, high), interpolation=method)
        boxes = boxes_of_map(self._model(resized[None])[0, 0], min_score=self._min_score)
        back = np.float32([width / wide, height / high])
        edge = np.float32([width, height])
        return [Box(np.clip(box.corners * back, 0, edge), box.score) for box in boxes]

    def _in_tiles(self, image: np.ndarray, scale: float) -> list[Box]:
        """The boxes of tiles of an image, in pixels before `scale`. A box that a tile cuts is left to its neighbour."""
        found = []
        height, width = image.shape[:2]
        for top, left in tiles(height, width):
            tile = image[top : top + TILE, left : left + TILE]
            if _is_blank(tile):
                continue
            cuts = (left > 0, top > 0, left + TILE < width, top + TILE < height)
            for box in self._look(tile, 1.0):
                if not _touches(box.corners, tile.shape, cuts):
                    found.append(Box((box.corners + np.float32([left, top])) / scale, box.score))
        return _without_copies(found)


def _is_blank(tile: np.ndarray) -> bool:
    """Whether a quarter of its size shows nothing, in any colour."""
    small = cv2.resize(tile, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    return int(np.ptp(small.reshape(-1, small.shape[-1]), axis=0).max()) < _BLANK


def tiles(height: int, width: int) -> Iterator[tuple[int, int]]:
    """(top, left) of tiles that cover an image, each sharing SHARED pixels or more with its neighbours."""
    for top in _starts(height):
        for left in _starts(width):
            yield top, left


def _starts(length: int) -> list[int]:
    if length <= TILE:
        return [0]
    count = math.ceil((length - SHARED) / (TILE - SHARED))
    return [round(i * (length - TILE) / (count - 1)) for i in range(count)]


def _touches(corners: np.ndarray, shape: tuple[int, ...], cuts: tuple[bool, bool, bool, bool]) -> bool:
    """Whether a box reaches an edge (left, top, right, bottom) beyond which the photograph goes on."""
    (left, top), (right, bottom) = corners.min(0), corners.max(0)
    near = (left < 3, top < 3, right > shape[1] - 4, bottom > shape[0] - 4)
    return any(a and b for a, b in zip(near, cuts, strict=True))


def _without_copies(boxes: list[Box]) -> list[Box]:
    """Without those that two tiles have seen: the larger one stays."""
    kept: list[Box] = []
    for box in sorted(boxes, key=lambda box: -area(box.corners)):
        if all(overlap(box.corners, other.corners) < _SAME * area(box.corners) for other in kept):
            kept.append(box)
    return kept


def _merged(whole: list[Box], fine: list[Box], coarse: float) -> list[Box]:
    """Boxes of the whole photograph, and of its tiles where these see more.

    coarse: pixels of height below which the tiles are right where both have seen something.
    """
    kept = [box for box in whole if min(size(box.corners)) >= coarse and not _surer_inside(box, fine)]
    low = [box for box in whole if min(size(box.corners)) < coarse]
    new = [b for b in fine if all(overlap(b.corners, k.corners) < _SAME * area(b.corners) for k in kept)]
    for box in low:
        if sum(overlap(box.corners, other.corners) for other in new) < _SAME * area(box.corners):
            kept.append(box)
    return kept + new


def _surer_inside(box: Box, fine: list[Box]) -> bool:
    """Whether the tiles show, with more certainty, that a box is a patch of small text or none at all."""
    inside = [b for b in fine if overlap(box.corners, b.corners) >= _SAME * area(b.corners)]
    return any(b.score > box.score + _SURER for b in inside)
