"""What a line of text says about itself: which way is up, and where its words end.

PP-OCR's line reader knows 18,000 characters and the space. Its frames say where the spaces lie, its confidence which
turn is right, and its characters whether the text is of a script that is also written in columns. What it reads is not
used otherwise.
"""

from __future__ import annotations

import itertools
import math
import re
from typing import NamedTuple

import cv2
import numpy as np

from jstr.data.photos.boxes import Box, cut, is_standing, part_of, turned
from jstr.data.photos.models import LINE_READER, OnnxModel

HEIGHT, LEAST_WIDTH, MOST_WIDTH = 48, 64, 3200  # pixels that the line reader is given
_SURE = 0.9  # a line that is read with more stands upright
_BETTER = 0.1  # confidence by which another turn must be surer
_HAN = re.compile("[\u3005-\u3007\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")  # kana, and Han


class Line(NamedTuple):
    """confidence: 0..1, the mean of its characters. spaces: (start, stop) of each, as shares of the width. han: whether
    most characters are Chinese or Japanese."""

    characters: int
    confidence: float
    spaces: list[tuple[float, float]]
    han: bool = False


class LineReader:
    """Threads may share it. threads: of one call."""

    def __init__(self, threads: int = 1):
        """Raises InputError: the optional packages are missing."""
        self._model = OnnxModel(LINE_READER, threads)
        characters = (self._model.metadata("character") or "").split("\n")
        self._han = np.array([False, *(bool(_HAN.match(character)) for character in characters)])

    def read(self, image: np.ndarray) -> Line:
        """image: RGB uint8 [h, w, 3] of one line."""
        height, width = image.shape[:2]
        wide = min(max(math.ceil(HEIGHT * width / height), LEAST_WIDTH), MOST_WIDTH)
        method = cv2.INTER_AREA if height > HEIGHT else cv2.INTER_LINEAR
        frames = self._model(cv2.resize(image, (wide, HEIGHT), interpolation=method)[None])[0]
        return line_of_frames(frames, self._han)


def line_of_frames(probabilities: np.ndarray, han: np.ndarray | None = None) -> Line:
    """What CTC's frames [T, C] say: class 0 is the blank, the last class the space.

    han: which classes are Chinese or Japanese characters, bool [C or less]; None: none.
    """
    best = probabilities.argmax(1)
    starts = (best != 0) & (best != np.concatenate([[0], best[:-1]]))
    space = probabilities.shape[1] - 1
    letters = np.flatnonzero(starts & (best != space))
    if not letters.size:
        return Line(0, 0.0, [])
    values = probabilities[letters, best[letters]]
    spaces = []
    for frame in np.flatnonzero(starts & (best == space)):
        before, after = letters[letters < frame], letters[letters > frame]
        if before.size and after.size:
            last = before[-1]
            while last + 1 < len(best) and best[last + 1] == best[last]:
                last += 1
            spaces.append(((last + 1) / len(best), after[0] / len(best)))
    of_han = han is not None and 2 * np.isin(best[letters], np.flatnonzero(han)).sum() > letters.size
    return Line(len(letters), float(values.mean()), list(dict.fromkeys(spaces)), bool(of_han))


def with_turn(photograph: np.ndarray, box: Box, reader: LineReader) -> tuple[Box, Line]:
    """The box, turned to where its text is read best, and what is read there.

    A box that stands is tried as running up and as running down (and, short ones, as it is: one letter, or stacked
    ones); another one upside down where it is not read with confidence. One that stands and is Chinese or Japanese is a
    column, unless it runs up.
    """
    stands = is_standing(box.corners)
    order = (3, 1, 0) if stands else (0, 2)
    best, least = None, 0.0
    for quarters in order:
        tried = box._replace(corners=turned(box.corners, quarters))
        line = reader.read(cut(photograph, tried.corners))
        tried = tried._replace(column=stands and line.han and quarters != 3)
        if best is None or line.confidence > least + _BETTER:
            best, least = (tried, line), line.confidence
        if least > _SURE:
            break
    return best


def words_of(photograph: np.ndarray, box: Box, line: Line) -> list[Box]:
    """The box of each word of a line. A space is cut in its middle, where the image is emptiest; columns stay whole."""
    if not line.spaces or box.column:
        return [box]
    image = cut(photograph, box.corners)
    busy = _busy(image)
    edges = [0.0, *(_emptiest(busy, start, stop) for start, stop in line.spaces), 1.0]
    return [Box(part_of(box.corners, a, b), box.score) for a, b in itertools.pairwise(edges)]


def _busy(image: np.ndarray) -> np.ndarray:
    """How much there is to see in each column: mean absolute differences [w], smoothed a little."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    across = np.abs(np.diff(grey, axis=1, append=grey[:, -1:])).mean(0) + np.abs(np.diff(grey, axis=0)).mean(0)
    wide = max(len(image) // 8, 1)
    return np.convolve(np.pad(across, wide // 2, mode="edge"), np.ones(wide) / wide, mode="same")[
        wide // 2 : wide // 2 + image.shape[1]
    ]


def _emptiest(busy: np.ndarray, start: float, stop: float) -> float:
    """Where to cut a line between two shares of its width, as such a share."""
    first = min(int(start * len(busy)), len(busy) - 1)
    last = max(min(math.ceil(stop * len(busy)), len(busy)), first + 1)
    return (first + int(np.argmin(busy[first:last])) + 0.5) / len(busy)
