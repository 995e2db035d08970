"""Every random range of the word renderer, in one place."""

from __future__ import annotations

from dataclasses import dataclass

Range = tuple[float, float]


@dataclass(frozen=True)
class Style:
    """What is written and how it looks. Shares are probabilities; a pair is the range of a uniform draw.

    Lengths are fractions of the height of the text, angles are degrees, tones are grey levels of 0..255.
    """

    # What is written.
    kinds: tuple[float, float, float] = (0.66, 0.14, 0.20)  # words of the lexicon, numbers, random characters
    temper: float = 0.5  # a word is drawn in proportion to frequency ** temper
    cases: tuple[float, float, float] = (0.24, 0.50, 0.26)  # lower, UPPER, Capitalised
    punctuation: float = 0.10  # a mark at an end of a word, where the charset has any
    unlabelled_marks: float = 0.05  # where it has none: shown, but not in the label, as in the 36-character protocol
    random_length: tuple[int, int] = (1, 8)

    # How it is set.
    sizes: tuple[int, ...] = (34, 46)  # em in pixels; few, so that font faces stay cached
    spaced: float = 0.2
    spacing: Range = (-0.03, 0.30)  # between letters, in em
    bolder: float = 0.15
    thinner: float = 0.10
    bent: float = 0.10
    bend: Range = (0.05, 0.35)  # rise of the middle of a curved baseline; short words stay straight

    # How it is seen.
    stretch: Range = (0.70, 1.45)  # width
    slanted: float = 0.25
    slant: Range = (-0.15, 0.35)
    tilt: float = 2.0  # standard deviation
    tilted: float = 0.15
    strong_tilt: float = 8.0
    perspective: float = 0.09  # largest shift of a corner
    margin_x: Range = (-0.02, 0.40)
    margin_y: Range = (-0.03, 0.30)

    # Colours and surroundings.
    contrast: Range = (45.0, 235.0)
    grey: float = 0.3
    gradient: float = 0.4
    textured: float = 0.45
    texture: Range = (0.03, 0.30)  # of the contrast
    filled: float = 0.2  # texture or gradient inside the letters
    outlined: float = 0.10
    shadowed: float = 0.18
    panelled: float = 0.12  # the edge of the sign is in sight
    neighbours: float = 0.14  # parts of the lines above and below
    underlined: float = 0.04
    lit: float = 0.25  # uneven light
    light: Range = (0.1, 0.5)

    # The camera.
    blurred: float = 0.5
    blur: Range = (0.3, 1.2)  # sigma in pixels at 32 pixels height
    shaken: float = 0.08
    small: float = 0.45
    resolution: Range = (0.4, 0.95)  # of the height
    faint: float = 75.0  # below this contrast the resolution is left alone: both together cannot be read
    noisy: float = 0.45
    noise: Range = (2.0, 16.0)  # standard deviation in grey levels
    compressed: float = 0.4
    quality: tuple[int, int] = (15, 80)  # JPEG
