"""What a camera does to a rendered word: light, blur, resolution, noise, processing, compression."""

from __future__ import annotations

import functools
import math

import cv2
import numpy as np

from jstr.data.synth.background import PLANE, blend, colour, feathered, slope
from jstr.data.synth.style import Style, chance, skewed_uniform, uniform


def light(rng: np.random.Generator, image: np.ndarray, contrast: float, style: Style) -> float:
    """Lights the scene [3, H, W] in place: uneven, with a shadow or reflection, coloured or too dark.

    contrast: of the letters, in grey levels. Returns the contrast that remains.
    """
    shape = image.shape[1:]
    if chance(rng, style.lit):
        image *= 1 + slope(rng, shape) * np.float32(uniform(rng, style.light))
    if chance(rng, style.shaded):
        edge = slope(rng, shape) - np.float32(rng.random() - 0.5)
        image *= 1 - np.clip(edge * np.float32(3 + 12 * rng.random()), 0, 1) * np.float32(0.2 + 0.3 * rng.random())
    if chance(rng, style.glaring):
        x, y, wide, high = (rng.random(4) * (shape[1], shape[0], shape[0] * 0.7, shape[0] * 0.4)).tolist()
        across = np.exp(-0.5 * ((np.arange(shape[1], dtype=np.float32) - x) / (wide + 4)) ** 2)
        down = np.exp(-0.5 * ((np.arange(shape[0], dtype=np.float32) - y) / (high + 3)) ** 2)
        blend(image, np.outer(down, across) * np.float32(255 * (0.25 + 0.45 * rng.random())), np.float32(255))
    if chance(rng, style.cast):
        image *= (0.86 + 0.28 * rng.random((3, 1, 1))).astype(np.float32)
    if chance(rng, style.dim) and contrast > style.faint:
        left = max(uniform(rng, style.dimness), 0.5 * style.faint / contrast)
        image *= np.float32(left)
        contrast *= left
    return contrast


def occlude(rng: np.random.Generator, image: np.ndarray, style: Style) -> None:
    """Puts a pole, a leaf, a scratch or dirt in front of the word, small enough to leave it readable."""
    h, w = image.shape[1:]
    mask = np.zeros((h, w), np.uint8)
    kind, x, strength = rng.random(), int(rng.random() * w), 1.0
    if kind < 0.3:  # a pole or wire
        lean, wide = int((rng.random() - 0.5) * h), 1 + int(rng.random() * h * 0.06)
        cv2.line(mask, (x, -2), (x + lean, h + 2), 255, wide, cv2.LINE_AA)
        strength = 0.7  # an i behind it stays visible
    elif kind < 0.6:  # a leaf reaches in from an edge
        axes = (int(h * (0.15 + 0.5 * rng.random())), int(h * (0.08 + 0.17 * rng.random())))
        y = h if chance(rng, 0.5) else 0
        cv2.ellipse(mask, (x, y), axes, float(rng.random() * 60 - 30), 0, 360, 255, -1, cv2.LINE_AA)
    elif kind < 0.8:  # a scratch
        ends = (rng.random(4) * (w, h, w, h)).astype(int).tolist()
        cv2.line(mask, ends[:2], ends[2:], 255, 1, cv2.LINE_AA)
        strength = 0.8
    else:  # translucent dirt
        axes = (int(h * (0.1 + 0.5 * rng.random())), int(h * (0.1 + 0.3 * rng.random())))
        cv2.ellipse(mask, (x, int(rng.random() * h)), axes, float(rng.random() * 180), 0, 360, 255, -1)
        mask, strength = feathered(mask, h / 16), 0.25 + 0.3 * rng.random()
    blend(image, mask * np.float32(strength), colour(rng, style, 255 * rng.random()))


def camera(rng: np.random.Generator, image: np.ndarray, contrast: float, em: float, style: Style) -> np.ndarray:
    """Blur, low resolution, noise, sharpening and JPEG of float32 [3, H, W], in that order -> uint8 [H, W, 3].

    contrast: of the letters, in grey levels. em: of the letters, in pixels of an image that is 32 high. Both bound the
    loss by blur, noise and low resolution.
    """
    image = cv2.merge(list(image))
    height, width = image.shape[:2]
    image, soft = _blurred(rng, image, em, style)
    small = chance(rng, style.small) and contrast > style.faint and not soft
    factor = max(uniform(rng, style.resolution), style.finest / em) if small else 1.0
    if factor < 1:
        shape = (max(round(width * factor), 4), max(round(height * factor), 8))
        image = cv2.resize(image, shape, interpolation=cv2.INTER_AREA)
    if chance(rng, style.noisy):
        image = image + _noise(rng, image.shape[:2]) * np.float32(min(skewed_uniform(rng, style.noise), contrast / 6))
    if chance(rng, style.sharpened):  # halos around the letters, as phones make them
        more = uniform(rng, style.sharpening)
        image = cv2.addWeighted(image, 1 + more, feathered(image, 1 + rng.random()), -more, 0)
    image = cv2.convertScaleAbs(np.maximum(image, 0))  # saturates at 255
    if chance(rng, style.compressed):
        # OpenCV assumes BGR, in both directions.
        quality = int(rng.integers(style.quality[0], style.quality[1] + 1))
        image = cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_COLOR)
    if factor < 1:
        method = cv2.INTER_LINEAR if chance(rng, 0.4) else cv2.INTER_CUBIC
        image = cv2.resize(image, (width, height), interpolation=method)
    return image


def _blurred(rng: np.random.Generator, image: np.ndarray, em: float, style: Style) -> tuple[np.ndarray, bool]:
    """(image out of focus, shaken or slightly soft; whether it is too soft to lose resolution as well)."""
    unit = image.shape[0] / 32 * min(1.0, em / 24)
    if chance(rng, style.defocused):
        return cv2.filter2D(image, -1, _disc(round(uniform(rng, style.defocus) * unit * 4))), True
    if chance(rng, style.shaken):
        return _shake(rng, image, unit), True
    if chance(rng, style.blurred):
        return cv2.GaussianBlur(image, (0, 0), uniform(rng, style.blur) * unit), False
    return image, False


@functools.cache
def _disc(radius: int) -> np.ndarray:
    """The kernel of a lens out of focus. radius: in quarters of a pixel."""
    reach = radius // 4 + 1
    fine = np.zeros((8 * reach + 4,) * 2, np.float32)
    cv2.circle(fine, (4 * reach + 2,) * 2, radius, 1.0, -1)
    kernel = cv2.resize(fine, (2 * reach + 1,) * 2, interpolation=cv2.INTER_AREA)
    return kernel / kernel.sum()


def _shake(rng: np.random.Generator, image: np.ndarray, unit: float) -> np.ndarray:
    """Motion blur along a random direction."""
    angle, reach = rng.random() * math.pi, (1 + rng.random() * 1.8) * unit
    half = math.ceil(reach)
    kernel = np.zeros((2 * half + 1,) * 2, np.float32)
    dx, dy = math.cos(angle) * reach, math.sin(angle) * reach
    ends = [(round(half - dx), round(half - dy)), (round(half + dx), round(half + dy))]
    cv2.line(kernel, *ends, 1.0, 1)
    return cv2.filter2D(image, -1, kernel / kernel.sum())


@functools.cache
def _grain() -> np.ndarray:
    """Sensor noise after a camera's own smoothing: grains of about 1.5 pixels."""
    rng = np.random.Generator(np.random.Philox(key=1))
    tone, grey = rng.standard_normal((*PLANE, 3), np.float32), rng.standard_normal(PLANE, np.float32)
    plane = cv2.GaussianBlur(0.6 * tone + 0.8 * grey[..., None], (0, 0), 0.6)
    return plane / plane.std()


def _noise(rng: np.random.Generator, shape: tuple) -> np.ndarray:
    """Sensor noise [H, W, 3] of standard deviation 1, partly the same in the three colours."""
    y, x = int(rng.random() * (PLANE[0] // 2)), int(rng.random() * (PLANE[1] // 2))
    part = _grain()[y : y + shape[0], x : x + shape[1]]
    return part if part.shape[:2] == shape else cv2.resize(part, shape[::-1], interpolation=cv2.INTER_NEAREST)
