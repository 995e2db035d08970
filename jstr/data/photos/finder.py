"""Finds the words of one photograph: their boxes in reading order, each turned the right way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from jstr.data.photos.boxes import Box, cut, grown, reading_order, size
from jstr.data.photos.detector import Detector
from jstr.data.photos.lines import LineReader, with_turn, words_of
from jstr.text.messages import InputError, check_choice, check_known, check_probability

SPLITS = ("words", "lines")


@dataclass(frozen=True)
class FindOptions:
    """What is looked for.

    split: "words", cut at spaces, or whole "lines" as the detector finds them. min_score: of the detector, 0..1.
    min_height: pixels of the photograph, across the text. reach: pixels of the longer side: larger photographs are made
    smaller first; less is faster and loses small words. margin: how much a box is grown on each side, as a share of its
    height; the detector's own boxes are wide, so that it is less than 0.
    """

    split: str = "words"
    min_score: float = 0.5
    min_height: int = 8
    reach: int = 4096
    margin: float = -0.12

    @classmethod
    def make(cls, given: Mapping[str, Any], prefix: str = "config.find.") -> FindOptions:
        """From a config or the options of a command. Raises InputError: unknown keys, or values that cannot be."""
        check_known(prefix.rstrip(".-") or "options", given, [field.name for field in fields(cls)])
        options = cls(**dict(given))
        check_choice(f"{prefix}split", options.split, SPLITS)
        check_probability(f"{prefix}min_score", options.min_score)
        for name, least, most in (("min_height", 1, 10_000), ("reach", 320, 20_000), ("margin", -0.3, 1)):
            if not least <= getattr(options, name) <= most:
                raise InputError(f"{prefix}{name}={getattr(options, name)}: give {least} to {most}")
        return options


class Finder:
    """Threads may share it. threads: of one call of a network."""

    def __init__(self, options: FindOptions | None = None, threads: int = 1):
        """Raises InputError: the optional packages are missing."""
        self.options = options or FindOptions()
        self._detector = Detector(self.options.min_score, self.options.reach, threads)
        self._lines = LineReader(threads)

    def find(self, photograph: np.ndarray) -> list[Box]:
        """The words (or lines) of a photograph RGB uint8 [H, W, 3], in reading order."""
        found = []
        for box in self._detector.find(photograph):
            if min(size(box.corners)) < self.options.min_height:
                continue
            box, line = with_turn(photograph, box, self._lines)
            found += words_of(photograph, box, line) if self.options.split == "words" else [box]
        edge = np.float32(photograph.shape[1::-1])
        found = [b._replace(corners=np.clip(grown(b.corners, self.options.margin), 0, edge)) for b in found]
        found = [box for box in found if min(size(box.corners)) >= self.options.min_height]
        return [found[i] for i in reading_order(found)]

    def crops(self, photograph: np.ndarray, boxes: list[Box]) -> list[np.ndarray]:
        """The words in boxes of a photograph, level: RGB uint8 [h, w, 3] each."""
        return [cut(photograph, box.corners) for box in boxes]
