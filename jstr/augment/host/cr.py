"""The weak and the strong augmentation of CR (Zheng et al. 2022, `tools/rand_aug.py` of the official code).

(image uint8 [h, w, c], rng, **parameters) -> image uint8 of the same shape, c = 1 or 3. Results are those of the Pillow
operations that the published code uses. Operations on colour leave grey images as they are.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.random import Generator

from jstr.augment import spec
from jstr.augment.host.pixels import luminance, turn
from jstr.augment.spec import Channel, Spatial

Image = np.ndarray  # uint8 [h, w, c]
LevelOperation = Callable[[Image, Generator, int], Image]
_VALUES = np.arange(256, dtype=np.float64)


def _look_up(image: Image, table: np.ndarray) -> Image:
    return cv2.LUT(image, np.clip(table, 0, 255).astype(np.uint8)).reshape(image.shape)


def _brightness(image: Image, factor: float) -> Image:
    return _look_up(image, _VALUES * factor)


def _contrast(image: Image, factor: float) -> Image:
    mean = int(cv2.mean(luminance(image))[0] + 0.5)
    return _look_up(image, mean + factor * (_VALUES - mean))


def _saturation(image: Image, factor: float) -> Image:
    if image.shape[-1] == 1:
        return image
    grey = cv2.cvtColor(luminance(image), cv2.COLOR_GRAY2RGB)
    return cv2.addWeighted(image, factor, grey, 1 - factor, -0.4999)  # which rounds, and Pillow cuts off


def _hue(image: Image, turn: float) -> Image:
    """turn: a fraction of the colour circle."""
    if image.shape[-1] == 1:
        return image
    hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV_FULL)
    hsv[..., 0] += np.uint8(int(turn * 255) % 256)
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB_FULL)


def cr_weak(
    image: Image,
    rng: Generator,
    *,
    brightness: float = spec.BRIGHTNESS,
    contrast: float = spec.CONTRAST,
    saturation: float = spec.SATURATION,
    hue: float = spec.HUE,
) -> Image:
    """Colour jitter in random order: three factors in 1 +- the range, and a turn of the hue by up to +- `hue`."""
    factors = 1 + rng.uniform(-1, 1, 3) * (brightness, contrast, saturation)
    steps = [*zip((_brightness, _contrast, _saturation), factors, strict=True), (_hue, rng.uniform(-hue, hue))]
    for i in rng.permutation(len(steps)):
        op, value = steps[i]
        image = op(image, value)
    return image


def _warp(image: Image, matrix) -> Image:
    """Pixel (x, y) of the result is the pixel of the image at `matrix` (x, y, 1); outside is black.

    Nearest neighbour in Pillow's arithmetic: coordinates at the middle of pixels, in whole numbers of 2^-16. OpenCV's
    own (warpAffine) differs between versions where a coordinate is half way between two pixels.
    """
    matrix = np.asarray(matrix, np.float64).copy()
    matrix[:, 2] += matrix[:, :2] @ (0.5, 0.5)
    h, w = image.shape[:2]
    whole = np.int32 if h + w < 2**15 else np.int64
    rows, columns = np.arange(h, dtype=whole)[:, None], np.arange(w, dtype=whole)
    places = np.empty((h, w, 2), np.int16)
    for axis, (by_column, by_row, start) in enumerate(np.floor(matrix * 2**16 + 0.5).astype(whole)):
        grid = start + by_row * rows
        places[..., axis] = (grid + by_column * columns if by_column else grid) >> 16
    return cv2.remap(image, places, None, cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT).reshape(image.shape)


def _sign(rng: Generator) -> int:
    return -1 if rng.random() < 0.5 else 1


def _shear_x(image: Image, rng: Generator, level: int) -> Image:
    return _warp(image, [[1, _sign(rng) * spec.move(level), 0], [0, 1, 0]])


def _shear_y(image: Image, rng: Generator, level: int) -> Image:
    return _warp(image, [[1, 0, 0], [_sign(rng) * spec.move(level), 1, 0]])


def _shift_x(image: Image, rng: Generator, level: int) -> Image:
    return _warp(image, [[1, 0, int(_sign(rng) * spec.move(level) * image.shape[1])], [0, 1, 0]])


def _shift_y(image: Image, rng: Generator, level: int) -> Image:
    return _warp(image, [[1, 0, 0], [0, 1, int(_sign(rng) * spec.move(level) * image.shape[0])]])


def _rotate(image: Image, rng: Generator, level: int) -> Image:
    """About the middle of the image."""
    h, w = image.shape[:2]
    matrix = turn(np.deg2rad(_sign(rng) * spec.rotation(level)))
    centre = np.array([w / 2, h / 2])
    return _warp(image, np.column_stack([matrix, centre - matrix @ centre]))


def _autocontrast(image: Image, rng: Generator, level: int) -> Image:
    """Stretches every channel to the whole range."""
    del rng, level
    rows = image.reshape(len(image), -1)  # NumPy is slow over the last axis of all but the smallest arrays
    low = cv2.reduce(rows, 0, cv2.REDUCE_MIN).reshape(image.shape[1:]).min(axis=0).astype(np.float64)
    high = cv2.reduce(rows, 0, cv2.REDUCE_MAX).reshape(image.shape[1:]).max(axis=0).astype(np.float64)
    scale = np.where(high > low, 255 / np.maximum(high - low, 1), 1.0)
    return _look_up(image, _per_channel((_VALUES[:, None] - np.where(high > low, low, 0)) * scale))


def _equalise(image: Image, rng: Generator, level: int) -> Image:
    """Equalises every channel by its own histogram, in the steps of Pillow."""
    del rng, level
    tables = []
    for channel in range(image.shape[-1]):
        counts = cv2.calcHist([image], [channel], None, [256], [0, 256]).ravel().astype(np.int64)
        used = counts[counts > 0]
        step = (used.sum() - used[-1]) // 255
        before = np.cumsum(counts) - counts
        tables.append((step // 2 + before) // step if step and len(used) > 1 else np.arange(256))
    return _look_up(image, _per_channel(np.stack(tables, axis=1)))


def _per_channel(table: np.ndarray) -> np.ndarray:
    """[256, c] in the form that cv2.LUT takes."""
    return table[None] if table.shape[1] > 1 else table[:, 0]


def _posterise(image: Image, rng: Generator, level: int) -> Image:
    """Keeps the upper bits."""
    del rng
    return image & np.uint8((0xFF << (8 - spec.posterise_bits(level))) & 0xFF)


def _solarise(image: Image, rng: Generator, level: int) -> Image:
    """Inverts bright values."""
    del rng
    return _invert_from(image, spec.solarise_threshold(level))


def _solarise_add(image: Image, rng: Generator, level: int) -> Image:
    """Adds or subtracts, then inverts bright values."""
    shifted = _look_up(image, _VALUES + _sign(rng) * spec.solarise_offset(level))
    return _invert_from(shifted, spec.SOLARISE_ADD_THRESHOLD)


def _invert_from(image: Image, threshold: int) -> Image:
    return _look_up(image, np.where(threshold > _VALUES, _VALUES, 255 - _VALUES))


def _by_level(op: Callable[[Image, float], Image]) -> LevelOperation:
    """An operation with a factor as one with a level."""
    return lambda image, rng, level: op(image, spec.factor(level))


SPATIAL: dict[Spatial, LevelOperation] = {
    Spatial.SHEAR_X: _shear_x,
    Spatial.SHEAR_Y: _shear_y,
    Spatial.SHIFT_X: _shift_x,
    Spatial.SHIFT_Y: _shift_y,
    Spatial.ROTATE: _rotate,
}
CHANNEL: dict[Channel, LevelOperation] = {
    Channel.AUTOCONTRAST: _autocontrast,
    Channel.BRIGHTNESS: _by_level(_brightness),
    Channel.SATURATION: _by_level(_saturation),
    Channel.CONTRAST: _by_level(_contrast),
    Channel.EQUALISE: _equalise,
    Channel.POSTERISE: _posterise,
    Channel.SOLARISE: _solarise,
    Channel.SOLARISE_ADD: _solarise_add,
}


def _cutout(image: Image, rng: Generator) -> Image:
    """A grey square about a random point of the image."""
    h, w = image.shape[:2]
    y, x, half = rng.uniform(0, h), rng.uniform(0, w), h * spec.CUTOUT_SIDE / 2
    out = image.copy()
    rows, columns = (slice(max(round(m - half), 0), max(round(m + half), 0)) for m in (y, x))
    out[rows, columns] = spec.CUTOUT_GREY
    return out


def cr_strong(
    image: Image,
    rng: Generator,
    *,
    spatial: int = spec.SPATIAL_COUNT,
    channel: int = spec.CHANNEL_COUNT,
    probability: float = spec.PROBABILITY,
    cutout: float = 0.0,
) -> Image:
    """Draws `spatial` geometric operations, then `channel` operations on the values, both with replacement.

    Each is applied with `probability`, at a random level. Words move by up to 18 % of the width, so frames of two views
    do not correspond; spatial=0 leaves pixels in place. cutout: the probability of a grey square on top, which the
    published code does not draw.
    """
    stages = (SPATIAL, spatial, spec.SPATIAL_LEVELS), (CHANNEL, channel, spec.CHANNEL_LEVELS)
    for ops, count, levels in stages:
        for i in rng.integers(len(ops), size=count):
            level = int(rng.integers(1, levels + 1))
            if rng.random() < probability:
                image = ops[int(i)](image, rng, level)
    return _cutout(image, rng) if cutout and rng.random() < cutout else image
