"""Order, levels and ranges of the operations that host and device share: each number is stated here and nowhere else.

CR: Zheng et al. 2022, https://github.com/Caiyuan-Zheng/Consistency_Regularization_STR, `tools/rand_aug.py`. Its levels
are whole numbers; functions of a level take a number or an array.
SeqCLR: Aberdam et al. 2021, appendix A, with the definitions of imgaug 0.4, which the published implementations use.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any

Range = tuple[float, float]  # limits of a uniform draw
Level = Any  # a number or an array of them

# CR, weak view: half-widths of the uniform draws of ColorJitter.
BRIGHTNESS, CONTRAST, SATURATION, HUE = 0.2, 0.1, 0.1, 0.05


class Spatial(IntEnum):
    """First stage of CR's strong view: operations that move pixels."""

    SHEAR_X = 0
    SHEAR_Y = 1
    SHIFT_X = 2
    SHIFT_Y = 3
    ROTATE = 4


class Channel(IntEnum):
    """Second stage of CR's strong view: operations on the values of pixels."""

    AUTOCONTRAST = 0
    BRIGHTNESS = 1
    SATURATION = 2
    CONTRAST = 3
    EQUALISE = 4
    POSTERISE = 5
    SOLARISE = 6
    SOLARISE_ADD = 7


SPATIAL_LEVELS, CHANNEL_LEVELS = 4, 9  # levels are drawn from 1 to these
SPATIAL_COUNT, CHANNEL_COUNT = 2, 2  # operations drawn in each stage, with replacement
PROBABILITY = 0.5  # of applying a drawn operation
SOLARISE_ADD_THRESHOLD = 128
# FixMatch's cutout (Sohn et al. 2020), which the published pools lack: a square whose side is a share of the height.
CUTOUT_SIDE, CUTOUT_GREY = 0.5, 127


def move(level: Level) -> Level:
    """Shear, or shift as a share of the width or height: 0.12 to 0.18."""
    return 0.02 * level + 0.1


def rotation(level: Level) -> Level:
    """Degrees: 11 to 14."""
    return 10.0 + level


def factor(level: Level) -> Level:
    """Of brightness, saturation and contrast: 0.28 to 1.72."""
    return (18.0 * level + 10) / 100


def posterise_bits(level: Level) -> Level:
    """Upper bits that posterising keeps: 4 to 7."""
    return 4 + (2 * level) // 5


def solarise_threshold(level: Level) -> Level:
    """Values from here on are inverted: 231 to 26."""
    return 256 - (128 * level) // 5


def solarise_offset(level: Level) -> Level:
    """What solarise-add adds or subtracts before it inverts: 11 to 99."""
    return 11 * level


class Seqclr(IntEnum):
    """SeqCLR's seven operations."""

    LINEAR_CONTRAST = 0
    GAUSSIAN_BLUR = 1
    VERTICAL_CROP = 2
    HORIZONTAL_CROP = 3
    SHARPEN = 4
    PIECEWISE_AFFINE = 5
    PERSPECTIVE_INWARDS = 6


SEQCLR_COUNT = (1, 5)  # operations in a view, without repetition, both ends included
CONTRAST_FACTOR: Range = (0.5, 1.0)
BLUR_SIGMA: Range = (0.5, 1.5)  # pixels
BLUR_REACH = 2  # pixels on each side of the middle of the blur's kernel
VERTICAL_CUT: Range = (0.0, 0.4)  # share of the height, at the top and again at the bottom
HORIZONTAL_CUT: Range = (0.0, 0.02)  # share of the width, left and right
SHARPEN_ALPHA: Range = (0.0, 0.5)
SHARPEN_LIGHTNESS: Range = (0.0, 0.5)
GRID_SCALE: Range = (0.02, 0.03)  # standard deviation of piecewise affine, as a share of height and width
GRID_POINTS = (2, 4)  # rows and columns of its grid, both ends included
CORNER_SCALE: Range = (0.01, 0.02)  # standard deviation of perspective, as a share of height and width
