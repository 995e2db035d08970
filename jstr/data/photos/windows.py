"""Where a large photograph is looked at closely: windows around what may be text, no larger than a tile."""

from __future__ import annotations

import math
from typing import NamedTuple

import cv2
import numpy as np

TILE, SHARED = 1280, 160  # pixels of the side of a window at most, and of them shared with the next one
_CELL = 16  # pixels: places are known as exactly as this
_AROUND = 2  # cells: what may be text is one piece where it is twice as near
_CONTEXT = 3  # cells of surroundings on each side of a piece, by which the detector knows text
_SMALLEST = 28  # cells of the side of a window: in less, texture is taken for text
_SIDE = 32  # pixels: sides of windows are multiples of it where the image allows
_TRACE = 8  # times as probable as its surroundings: what may be text
_NEAR = 15  # cells of these surroundings
_LEAST, _MOST = 0.001, 0.02  # probabilities of a cell that is never text, and that may be whatever surrounds it


class Window(NamedTuple):
    """A part of an image, in pixels; without the last row and column."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def area(self) -> int:
        return (self.right - self.left) * (self.bottom - self.top)


def windows(probability: np.ndarray, height: int, width: int) -> list[Window]:
    """Windows of an image [height, width] around what may be text.

    probability: of text [h, w], of the whole image when it was looked at with half the pixels or fewer on each side.
    Words of 8 pixels leave only a trace there: less than 0.01, but ten times as much as what surrounds them.
    """
    grid = (math.ceil(width / _CELL), math.ceil(height / _CELL))
    cells = cv2.resize(probability, grid, interpolation=cv2.INTER_AREA)
    logs = np.log(cells + 1e-5)
    trace = (logs - cv2.blur(logs, (_NEAR, _NEAR)) > math.log(_TRACE)) & (cells > _LEAST)
    around = np.ones(2 * (2 * _AROUND + 1,), np.uint8)
    marked = cv2.dilate((trace | (cells > _MOST)).astype(np.uint8), around)
    _, _, found, _ = cv2.connectedComponentsWithStats(marked)
    pieces = []
    for x, y, w, h, _ in found[1:].tolist():
        (left, right), (top, bottom) = _grown(x, w, grid[0]), _grown(y, h, grid[1])
        pieces.append(Window(left, top, right, bottom))
    return [part for piece in _joined(pieces) for part in _parts(piece, height, width)]


def _grown(start: int, length: int, most: int) -> tuple[int, int]:
    """(start, stop) of a piece with its surroundings, in cells, of which there are `most`."""
    side = min(max(length + 2 * _CONTEXT, _SMALLEST), most)
    start = min(max(start + (length - side) // 2, 0), most - side)
    return start, start + side


def all_windows(height: int, width: int) -> list[Window]:
    """Tiles that cover an image."""
    return [
        Window(left, top, min(left + TILE, width), min(top + TILE, height))
        for top in _starts(height)
        for left in _starts(width)
    ]


def _parts(piece: Window, height: int, width: int) -> list[Window]:
    """A window in cells as one in pixels, or several where it is larger than a tile."""
    left, right = _side(piece.left, piece.right, width)
    top, bottom = _side(piece.top, piece.bottom, height)
    parts = all_windows(bottom - top, right - left)
    return [Window(left + p.left, top + p.top, left + p.right, top + p.bottom) for p in parts]


def _side(start: int, stop: int, length: int) -> tuple[int, int]:
    """The pixels of cells, a multiple of _SIDE if the image is long enough."""
    start, stop = start * _CELL, min(stop * _CELL, length)
    side = min(math.ceil((stop - start) / _SIDE) * _SIDE, length)
    start = min(start, length - side)
    return start, start + side


def _joined(pieces: list[Window]) -> list[Window]:
    """Windows in cells, as one wherever that is no larger than the two are, and fits into a tile."""
    waiting, kept = pieces, []
    while waiting:
        one = waiting.pop()
        for i, other in enumerate(kept):
            both = Window(*map(min, one[:2], other[:2]), *map(max, one[2:], other[2:]))
            fits = max(both.right - both.left, both.bottom - both.top) * _CELL <= TILE
            if fits and both.area <= one.area + other.area:
                kept.pop(i)
                waiting.append(both)
                break
        else:
            kept.append(one)
    return kept


def _starts(length: int) -> list[int]:
    if length <= TILE:
        return [0]
    count = math.ceil((length - SHARED) / (TILE - SHARED))
    return [round(i * (length - TILE) / (count - 1)) for i in range(count)]
