"""Every random range of the word renderer, in one place, and the draws from them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from numpy.random import Generator

from jstr.text.messages import InputError, are_numbers, is_number

Range = tuple[float, float]
# Values that are neither shares nor ranges: their limits.
_LIMITS = {
    "temper": (0.0, 10.0),
    "decorative": (0.0, math.inf),
    "tilt": (0.0, 180.0),
    "strong_tilt": (0.0, 180.0),
    "vivid": (0.0, 1.0),
    "finest": (0.0, math.inf),
    "faint": (0.0, 255.0),
}
# Ranges: how far they may reach, where that is not from 0 to infinity.
_REACH = {
    "random_length": (1, math.inf),
    "spacing": (-0.5, 5.0),
    "bend": (0.0, 3.0),
    "texture": (0.0, 10.0),
    "blur": (0.0, 20.0),
    "defocus": (0.0, 20.0),
    "noise": (0.0, 255.0),
    "sharpening": (0.0, 20.0),
    "stretch": (0.05, 20.0),
    "slant": (-2.0, 2.0),
    "foreshortening": (0.0, 0.9),
    "margin_x": (-0.3, 20.0),
    "margin_y": (-0.3, 20.0),
    "contrast": (0.0, 255.0),
    "light": (0.0, 1.0),
    "dimness": (0.0, 1.0),
    "resolution": (0.01, 1.0),
    "quality": (0, 100),
}


@dataclass(frozen=True)
class Style:
    """What is written and how it looks. Shares are probabilities; a pair is the range of a uniform draw.

    Lengths are fractions of the height of the text, angles are degrees, tones are grey levels of 0..255.

    Raises:
      InputError: a value of another type, a share that is no probability, a range that is reversed or too wide.
    """

    # What is written.
    kinds: tuple[float, float, float] = (0.72, 0.14, 0.14)  # words of the lexicon, numbers, random characters
    temper: float = 0.5  # a word is drawn in proportion to frequency ** temper
    cases: tuple[float, float, float] = (0.24, 0.48, 0.28)  # lower, UPPER, Capitalised
    mixed: float = 0.03  # iNNer capitals, TwoWords joined
    addresses: float = 0.02  # of the web and of mail
    punctuation: float = 0.10  # a mark at an end of a word, where the charset has any
    unlabelled_marks: float = 0.05  # where it has none: shown, but not in the label, as in the 36-character protocol
    random_length: tuple[int, int] = (1, 8)
    phrases: float = 0.3  # two to four words, where the charset has the space

    # How it is set.
    decorative: float = (
        0.3  # how often a script, blackletter... among the bundled fonts is drawn, relative to a plain one
    )
    sizes: tuple[int, ...] = (34, 46)  # em in pixels; few, so that font faces stay cached
    spaced: float = 0.2
    spacing: Range = (-0.03, 0.30)  # between letters, in em
    small_capitals: float = 0.04  # a first capital larger than the others
    bolder: float = 0.12
    thinner: float = 0.08
    bent: float = 0.10
    bend: Range = (0.05, 0.80)  # rise of the middle of a baseline on a circle; short words stay straight

    # How it is seen.
    stretch: Range = (0.72, 1.40)  # width
    slanted: float = 0.2
    slant: Range = (-0.15, 0.35)
    tilt: float = 2.0  # standard deviation
    tilted: float = 0.15
    strong_tilt: float = 9.0
    turned: float = 0.002  # short words that run up or down
    perspective: float = 0.07  # largest shift of a corner
    foreshortened: float = 0.12  # seen from the side: one end is lower
    foreshortening: Range = (0.05, 0.40)
    margin_x: Range = (-0.02, 0.50)
    margin_y: Range = (-0.02, 0.42)

    # Colours and surroundings.
    contrast: Range = (50.0, 235.0)
    extreme: float = 0.25  # as dark or as light as possible
    grey: float = 0.2
    vivid: float = 0.9  # the strongest colours
    hues: tuple[tuple[float, float, float], ...] = ((0.52, 22, 24), (0.38, 212, 20), (0.10, 120, 60))  # share, mean, sd
    gradient: float = 0.4
    textured: float = 0.35
    texture: Range = (0.03, 0.28)  # of the contrast
    photographed: float = 0.5  # background from a photograph, where a folder of them is given
    graded: float = 0.10  # letters whose colour changes from top to bottom
    filled: float = 0.08  # texture inside the letters
    outlined: float = 0.08
    doubly: float = 0.3  # of these: a second line around the first
    hollow: float = 0.015  # letters are outlines
    embossed: float = 0.06  # raised or engraved
    engraved: float = 0.25  # of these: letters of nearly the colour of the background
    glowing: float = 0.02
    shadowed: float = 0.15
    panelled: float = 0.10  # the edge of the sign is visible
    neighbours: float = 0.20  # parts of the words before, behind, above and below
    underlined: float = 0.04
    occluded: float = 0.05  # by a pole, a leaf, a scratch, dirt
    lit: float = 0.25  # uneven light
    light: Range = (0.1, 0.5)
    shaded: float = 0.05  # the edge of a cast shadow
    glaring: float = 0.05  # a reflection

    # The camera.
    cast: float = 0.3  # coloured light
    dim: float = 0.06  # too dark
    dimness: Range = (0.3, 0.7)
    blurred: float = 0.42
    blur: Range = (0.3, 1.1)  # sigma in pixels at 32 pixels height
    defocused: float = 0.06
    defocus: Range = (0.8, 1.8)  # radius in pixels at 32 pixels height
    shaken: float = 0.06
    small: float = 0.42
    resolution: Range = (0.42, 0.95)  # of the height
    finest: float = 13.0  # em in pixels at 32 pixels height: low resolution leaves letters this large
    faint: float = (
        75.0  # below this contrast the resolution stays: low contrast and low resolution together cannot be read
    )
    noisy: float = 0.40
    noise: Range = (1.0, 14.0)  # standard deviation in grey levels; small values are common
    sharpened: float = 0.15
    sharpening: Range = (0.3, 1.5)
    compressed: float = 0.4
    quality: tuple[int, int] = (15, 85)  # JPEG

    def __post_init__(self) -> None:
        for field in fields(self):
            _check(field.name, str(field.type), getattr(self, field.name))


def _check(name: str, kind: str, value: Any) -> None:
    """Raises InputError when a field of Style has a value that it cannot take. kind: its annotation."""
    if kind == "float":
        low, high = _LIMITS.get(name, (0.0, 1.0))
        good = is_number(value) and low <= value <= high
        wanted = f"a number from {low:g} to {high:g}"
    elif name == "sizes":
        good = are_numbers(value) and len(value) > 0 and all(isinstance(v, int) and 8 <= v <= 400 for v in value)
        wanted = "whole numbers from 8 to 400"
    elif name == "hues":
        rows = isinstance(value, Sequence) and not isinstance(value, str) and len(value) > 0
        good = rows and all(are_numbers(row, 3) and row[0] >= 0 and row[2] >= 0 for row in value)
        wanted = "(share, mean, standard deviation) of each hue"
    elif name in ("kinds", "cases"):
        good = are_numbers(value, 3) and min(value) >= 0 and sum(value) > 0
        wanted = "three shares, not all zero"
    else:
        low, high = _REACH.get(name, (0.0, math.inf))
        good = are_numbers(value, 2) and low <= value[0] <= value[1] <= high
        good = good and ("int" not in kind or all(isinstance(v, int) for v in value))
        wanted = f"(lowest, highest), {'whole numbers ' if 'int' in kind else ''}from {low:g} to {high:g}"
    if not good:
        raise InputError(f"rendered style: {name}={value!r}; give {wanted}")


def chance(rng: Generator, share: float) -> bool:
    """True with this probability."""
    return rng.random() < share


def uniform(rng: Generator, limits: Range) -> float:
    """A uniform draw between the limits."""
    return limits[0] + (limits[1] - limits[0]) * rng.random()


def skewed_uniform(rng: Generator, limits: Range) -> float:
    """A draw between the limits of which small values are common and large ones rare."""
    return limits[0] + (limits[1] - limits[0]) * rng.random() ** 2
