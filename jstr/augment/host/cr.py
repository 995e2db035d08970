"""The weak and the strong augmentation of CR (Zheng et al. 2022), cr.md section 3.

(image uint8 [h, w, c], rng, **parameters) -> image uint8 of the same shape, c = 1 or 3, with the results of the Pillow
operations that the published code uses. Operations on colour leave grey pictures as they are.
"""

from __future__ import annotations

import cv2
import numpy as np

_VALUES = np.arange(256, dtype=np.float64)


def _look_up(image, table):
    return cv2.LUT(image, np.clip(table, 0, 255).astype(np.uint8)).reshape(image.shape)


def _grey(image):
    """[h, w, 3] to [h, w], the luminance of Pillow."""
    return image[..., 0] if image.shape[-1] == 1 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)


def _brightness(image, factor):
    return _look_up(image, _VALUES * factor)


def _contrast(image, factor):
    mean = int(cv2.mean(_grey(image))[0] + 0.5)
    return _look_up(image, mean + factor * (_VALUES - mean))


def _saturation(image, factor):
    if image.shape[-1] == 1:
        return image
    grey = cv2.cvtColor(_grey(image), cv2.COLOR_GRAY2RGB)
    return cv2.addWeighted(image, factor, grey, 1 - factor, -0.4999)  # which rounds, and Pillow cuts off


def _hue(image, turn):
    """turn: a fraction of the circle."""
    if image.shape[-1] == 1:
        return image
    hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV_FULL)
    hsv[..., 0] += np.uint8(int(turn * 255) % 256)
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB_FULL)


def cr_weak(image, rng, *, brightness=0.2, contrast=0.1, saturation=0.1, hue=0.05):
    """Colour jitter in random order: three factors in 1 +- the range, and a turn of the hue of up to +- `hue`."""
    factors = 1 + rng.uniform(-1, 1, 3) * (brightness, contrast, saturation)
    steps = [*zip((_brightness, _contrast, _saturation), factors, strict=True), (_hue, rng.uniform(-hue, hue))]
    for i in rng.permutation(len(steps)):
        op, value = steps[i]
        image = op(image, value)
    return image


def _warp(image, matrix):
    """Pixel (x, y) of the result is the pixel of the image at `matrix` (x, y, 1); outside is black.

    Nearest neighbour, with coordinates at the middle of pixels, as Pillow does it.
    """
    matrix = np.asarray(matrix, np.float64).copy()
    matrix[:, 2] += matrix[:, :2] @ (0.5, 0.5) - 0.5
    h, w = image.shape[:2]
    flags = cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(image, matrix, (w, h), flags=flags, borderMode=cv2.BORDER_CONSTANT).reshape(image.shape)


def _sign(rng) -> int:
    return -1 if rng.random() < 0.5 else 1


def _shear_x(image, rng, level):
    return _warp(image, [[1, _sign(rng) * (0.02 * level + 0.1), 0], [0, 1, 0]])


def _shear_y(image, rng, level):
    return _warp(image, [[1, 0, 0], [_sign(rng) * (0.02 * level + 0.1), 1, 0]])


def _shift_x(image, rng, level):
    return _warp(image, [[1, 0, int(_sign(rng) * (0.02 * level + 0.1) * image.shape[1])], [0, 1, 0]])


def _shift_y(image, rng, level):
    return _warp(image, [[1, 0, 0], [0, 1, int(_sign(rng) * (0.02 * level + 0.1) * image.shape[0])]])


def _rotate(image, rng, level):
    """11 to 14 degrees about the middle, for the levels 1 to 4."""
    h, w = image.shape[:2]
    angle = np.deg2rad(_sign(rng) * (10 + level))
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    centre = np.array([w / 2, h / 2])
    return _warp(image, np.column_stack([turn, centre - turn @ centre]))


def _autocontrast(image, rng, level):
    """Every channel over the whole range."""
    del rng, level
    rows = image.reshape(len(image), -1)  # numpy takes long over the last axis of all but the smallest arrays
    low = cv2.reduce(rows, 0, cv2.REDUCE_MIN).reshape(image.shape[1:]).min(axis=0).astype(np.float64)
    high = cv2.reduce(rows, 0, cv2.REDUCE_MAX).reshape(image.shape[1:]).max(axis=0).astype(np.float64)
    scale = np.where(high > low, 255 / np.maximum(high - low, 1), 1.0)
    return _look_up(image, _per_channel((_VALUES[:, None] - np.where(high > low, low, 0)) * scale))


def _equalise(image, rng, level):
    """Every channel by its own histogram, in the steps of Pillow."""
    del rng, level
    tables = []
    for channel in range(image.shape[-1]):
        counts = cv2.calcHist([image], [channel], None, [256], [0, 256]).ravel().astype(np.int64)
        used = counts[counts > 0]
        step = (used.sum() - used[-1]) // 255
        before = np.cumsum(counts) - counts
        tables.append((step // 2 + before) // step if step and len(used) > 1 else np.arange(256))
    return _look_up(image, _per_channel(np.stack(tables, axis=1)))


def _per_channel(table):
    """[256, c] as cv2.LUT takes it."""
    return table[None] if table.shape[1] > 1 else table[:, 0]


def _posterise(image, rng, level):
    """Keeps the upper 4 to 7 bits."""
    del rng
    return image & np.uint8((0xFF << (8 - _bits(level))) & 0xFF)


def _bits(level) -> int:
    return int(0.4 * level) + 4


def _solarise(image, rng, level):
    """Inverts what is 231 to 26, or brighter."""
    del rng
    return _invert_from(image, 256 - int(25.6 * level))


def _solarise_add(image, rng, level):
    """Adds +-11 to 99, then inverts what is 128 or brighter."""
    shifted = _look_up(image, _VALUES + _sign(rng) * 11 * level)
    return _invert_from(shifted, 128)


def _invert_from(image, threshold):
    return _look_up(image, np.where(threshold > _VALUES, _VALUES, 255 - _VALUES))


def _by_level(op):
    """A colour operation with a factor of 0.28 to 1.72."""
    return lambda image, rng, level: op(image, round(0.18 * level + 0.1, 2))


SPATIAL = (_shear_x, _shear_y, _shift_x, _shift_y, _rotate)
CHANNEL = (
    _autocontrast,
    _by_level(_brightness),
    _by_level(_saturation),
    _by_level(_contrast),
    _equalise,
    _posterise,
    _solarise,
    _solarise_add,
)


def _cutout(image, rng):
    """A grey square, half as high as the picture, about a point anywhere in it (FixMatch)."""
    h, w = image.shape[:2]
    y, x, half = rng.uniform(0, h), rng.uniform(0, w), h / 4
    out = image.copy()
    out[max(round(y - half), 0) : max(round(y + half), 0), max(round(x - half), 0) : max(round(x + half), 0)] = 127
    return out


def cr_strong(image, rng, *, spatial=2, channel=2, probability=0.5, cutout=0.0):
    """Draws `spatial` geometric operations, then `channel` operations on the values; one may come twice.

    Each is applied with `probability`, at a level drawn from 1 to 4, or 1 to 9. Words move by up to 18 % of the width,
    so frames of two views do not correspond; spatial=0 leaves the pixels where they are. cutout: the probability of a
    grey square on top, which the published pools lack.
    """
    for ops, count, levels in ((SPATIAL, spatial, 5), (CHANNEL, channel, 10)):
        for i in rng.integers(len(ops), size=count):
            level = int(rng.integers(1, levels))
            if rng.random() < probability:
                image = ops[i](image, rng, level)
    return _cutout(image, rng) if cutout and rng.random() < cutout else image
