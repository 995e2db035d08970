"""Finds lines of text in a photograph: as a whole and, where it is large, again closely where small words may be."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from jstr.data.photos.boxes import Box, area, boxes_of_map, meeting, overlap, size
from jstr.data.photos.models import DETECTOR, OnnxModel
from jstr.data.photos.windows import Window, all_windows, windows

LEAST_SIDE = 736  # pixels: smaller photographs are enlarged, so that small words are seen
WHOLE = 2000  # pixels of the longer side, when a photograph is looked at as a whole
_STEP = 32  # sides are multiples of it
_COARSE = 20  # pixels: lower lines of the whole may be several lines, which the tiles tell apart
_SAME = 0.5  # of the area of a box: it is found twice
_SURER = 0.1  # score
_SETTLED = 0.7  # score of a large box that is not looked at again
_FAR = 2.5  # how much larger the close look is, from which on small words may leave no trace in the whole


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
        height, width = photograph.shape[:2]
        short, long = sorted((height, width))
        scale = min(max(1.0, LEAST_SIDE / short), WHOLE / long)
        probability = self._map(photograph, scale)
        found = self._boxes(probability, (height, width))
        fine = min(1.0, self._reach / long)
        if fine < 1.2 * scale:
            return found
        small = cv2.resize(photograph, None, fx=fine, fy=fine, interpolation=cv2.INTER_AREA) if fine < 1 else photograph
        if fine < _FAR * scale:
            places = windows(_unsettled(probability, found, scale), *small.shape[:2])
        else:
            places = all_windows(*small.shape[:2])
        return _merged(found, self._in_windows(small, fine, places), _COARSE / scale)

    def _map(self, image: np.ndarray, scale: float) -> np.ndarray:
        """The probability of text [h, w] in an image that is scaled first."""
        wide, high = (max(round(side * scale / _STEP), 1) * _STEP for side in image.shape[1::-1])
        method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        return self._model(cv2.resize(image, (wide, high), interpolation=method)[None])[0, 0]

    def _boxes(self, probability: np.ndarray, shape: tuple[int, int]) -> list[Box]:
        """The boxes of the map of an image of this height and width, in its pixels."""
        edge = np.float32(shape[::-1])
        back = edge / probability.shape[::-1]
        boxes = boxes_of_map(probability, min_score=self._min_score)
        return [Box(np.clip(box.corners * back, 0, edge), box.score) for box in boxes]

    def _in_windows(self, image: np.ndarray, scale: float, places: Sequence[Window]) -> list[Box]:
        """The boxes of windows of an image, in pixels before `scale`. What a window cuts is left to others."""
        found = []
        height, width = image.shape[:2]
        for left, top, right, bottom in places:
            part = image[top:bottom, left:right]
            cuts = (left > 0, top > 0, right < width, bottom < height)
            for box in self._boxes(self._map(part, 1.0), part.shape[:2]):
                if not _touches(box.corners, part.shape, cuts):
                    found.append(Box((box.corners + np.float32([left, top])) / scale, box.score))
        return _without_copies(found)


def _unsettled(probability: np.ndarray, found: list[Box], scale: float) -> np.ndarray:
    """The map without the boxes that are so large and sure that a closer look tells nothing more."""
    left = np.array(probability)
    for box in found:
        if box.score >= _SETTLED and min(size(box.corners)) * scale >= 2 * _COARSE:
            cv2.fillPoly(left, [np.int32(np.round(box.corners * scale))], 0.0)
    return left


def _touches(corners: np.ndarray, shape: tuple[int, ...], cuts: tuple[bool, bool, bool, bool]) -> bool:
    """Whether a box reaches an edge (left, top, right, bottom) beyond which the photograph goes on."""
    (left, top), (right, bottom) = corners.min(0), corners.max(0)
    near = (left < 3, top < 3, right > shape[1] - 4, bottom > shape[0] - 4)
    return any(a and b for a, b in zip(near, cuts, strict=True))


def _without_copies(boxes: list[Box]) -> list[Box]:
    """Without those that two tiles have seen: the larger one stays."""
    boxes = sorted(boxes, key=lambda box: -area(box.corners))
    corners = [box.corners for box in boxes]
    near, kept = meeting(corners, corners), np.zeros(len(boxes), bool)
    for i, box in enumerate(boxes):
        others = _chosen(boxes, near[i] & kept)
        kept[i] = all(overlap(box.corners, other.corners) < _SAME * area(box.corners) for other in others)
    return _chosen(boxes, kept)


def _merged(whole: list[Box], fine: list[Box], coarse: float) -> list[Box]:
    """Boxes of the whole photograph, and of its tiles where these see more.

    coarse: pixels of height below which the tiles are right where both have seen something.
    """
    near = meeting([box.corners for box in whole], [box.corners for box in fine])
    large = np.array([min(size(box.corners)) >= coarse for box in whole], bool)
    kept = np.array([large[w] and not _surer_inside(box, _chosen(fine, near[w])) for w, box in enumerate(whole)], bool)
    new = np.zeros(len(fine), bool)
    for f, box in enumerate(fine):
        others = _chosen(whole, near[:, f] & kept)
        new[f] = all(overlap(box.corners, other.corners) < _SAME * area(box.corners) for other in others)
    low = []
    for w in np.flatnonzero(~large):
        box, others = whole[w], _chosen(fine, near[w] & new)
        if sum(overlap(box.corners, other.corners) for other in others) < _SAME * area(box.corners):
            low.append(box)
    return _chosen(whole, kept) + low + _chosen(fine, new)


def _chosen(boxes: list[Box], which: np.ndarray) -> list[Box]:
    return [boxes[i] for i in np.flatnonzero(which)]


def _surer_inside(box: Box, fine: list[Box]) -> bool:
    """Whether the tiles show, with more certainty, that a box is a patch of small text or none at all."""
    inside = [b for b in fine if overlap(box.corners, b.corners) >= _SAME * area(b.corners)]
    return any(b.score > box.score + _SURER for b in inside)
