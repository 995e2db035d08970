"""The augmentation of ABINet (Fang et al. 2021, `transforms.py` of the official code), the weak view of SemiMTR.

(image uint8 [h, w, c], rng, **parameters) -> image uint8; geometry makes the canvas grow to hold the word.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.random import Generator

from jstr.augment.host.cr import cr_weak
from jstr.augment.host.pixels import corners, turn, with_channels

INTERPOLATIONS = (cv2.INTER_NEAREST, cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_AREA)


class Choice(NamedTuple):
    """What the published code draws once for a whole run, and this one, unless frozen, for every image."""

    geometry: int
    order: tuple[int, ...]
    variance: int  # of the noise, 1 to 20, mostly low
    blur: int  # length in pixels, 1 to 6, mostly short
    blur_angle: float  # degrees
    halvings: int  # 0 to 4

    @classmethod
    def draw(cls, rng: Generator) -> Choice:
        variance, blur = (max(int(_asymmetric(rng, limit)), 1) for limit in (20, 6))
        return cls(
            int(rng.integers(3)),
            tuple(rng.permutation(3).tolist()),
            variance,
            blur,
            rng.uniform(-90, 90),
            round(rng.uniform(0, 4)),
        )


def abinet(
    image: np.ndarray,
    rng: Generator,
    *,
    geometry: float = 0.5,
    deterioration: float = 0.25,
    colour: float = 0.25,
    frozen: int = -1,
) -> np.ndarray:
    """Geometry, deterioration and colour jitter, each with its probability.

    geometry: one of rotation, affine map and perspective. deterioration: noise, motion blur and rescaling, in random
    order. frozen: a seed for the kind of geometry and the strength and order of the deterioration, the same for all
    images, as in the published code; -1: each image draws its own.
    """
    choice = Choice.draw(rng if frozen < 0 else np.random.default_rng(frozen))
    if rng.random() < geometry:
        image = (_rotate, _affine, _perspective)[choice.geometry](image, rng)
    if rng.random() < deterioration:
        for i in choice.order:
            image = (_noise, _motion_blur, _rescale)[i](image, rng, choice).reshape(image.shape)
    if rng.random() < colour:
        image = cr_weak(image, rng, brightness=0.5, contrast=0.5, saturation=0.5, hue=0.1)
    return image


def _symmetric(rng: Generator, limit: float) -> float:
    """In +-limit, mostly near 0."""
    return (rng.beta(4, 4) - 0.5) * 2 * limit


def _asymmetric(rng: Generator, limit: float, size=None):
    """From 0 to `limit`, mostly near 0."""
    return rng.beta(1, 4, size) * limit


def _interpolation(rng: Generator) -> int:
    return INTERPOLATIONS[rng.integers(len(INTERPOLATIONS))]


def _rotate(image: np.ndarray, rng: Generator) -> np.ndarray:
    """By up to 45 degrees."""
    return _map(image, rng, turn(np.deg2rad(_symmetric(rng, 45))))


def _affine(image: np.ndarray, rng: Generator) -> np.ndarray:
    """Rotation, then shear of up to 45 degrees along x and 15 along y, and scaling by 0.5 to 2."""
    angle, shear_x, shear_y = (np.deg2rad(_symmetric(rng, limit)) for limit in (45, 45, 15))
    shear = np.array([[1, np.tan(shear_x)], [0, 1]]) @ np.array([[1, 0], [np.tan(shear_y), 1]])
    return _map(image, rng, shear @ turn(angle) / rng.uniform(0.5, 2))


def _map(image: np.ndarray, rng: Generator, matrix: np.ndarray) -> np.ndarray:
    """The image under a linear map [2, 2], on the canvas that holds it; borders repeat the edge."""
    moved = corners(*image.shape[:2]) @ matrix.T
    low, high = moved.min(axis=0), moved.max(axis=0)
    size = np.maximum(np.rint(high - low).astype(int), 1).tolist()
    matrix = np.column_stack([matrix, -low])
    flags = _interpolation(rng)
    return with_channels(cv2.warpAffine(image, matrix, size, flags=flags, borderMode=cv2.BORDER_REPLICATE))


def _perspective(image: np.ndarray, rng: Generator) -> np.ndarray:
    """Moves every corner inwards by up to a quarter of the sides, and cuts to the corners' box."""
    h, w = image.shape[:2]
    before = corners(h, w)
    inwards = np.sign(np.array([w, h]) / 2 - before)
    after = before + inwards * _asymmetric(rng, 0.25, (4, 2)) * (w, h)
    low, high = after.min(axis=0), after.max(axis=0)
    size = np.maximum(np.rint(high - low).astype(int), 1).tolist()
    matrix = cv2.getPerspectiveTransform(before.astype(np.float32), (after - low).astype(np.float32))
    flags = _interpolation(rng)
    return with_channels(cv2.warpPerspective(image, matrix, size, flags=flags, borderMode=cv2.BORDER_REPLICATE))


def _noise(image: np.ndarray, rng: Generator, choice: Choice) -> np.ndarray:
    return np.clip(image + rng.normal(0, choice.variance**0.5, image.shape), 0, 255).astype(np.uint8)


def _motion_blur(image: np.ndarray, rng: Generator, choice: Choice) -> np.ndarray:
    """Along a line in any direction. As published, a turned line may change the brightness."""
    del rng
    size = choice.blur
    kernel = np.zeros((size, size), np.float32)
    kernel[size // 2] = 1 / size
    matrix = cv2.getRotationMatrix2D((size // 2, size // 2), choice.blur_angle, 1)
    return cv2.filter2D(image, -1, cv2.warpAffine(kernel, matrix, (size, size)))


def _rescale(image: np.ndarray, rng: Generator, choice: Choice) -> np.ndarray:
    """Resizes to 128x512 pixels, halves that `choice.halvings` times, and resizes back."""
    if not choice.halvings:
        return image
    h, w = image.shape[:2]
    small = cv2.resize(image, (512, 128), interpolation=_interpolation(rng))
    for _ in range(choice.halvings):
        small = cv2.pyrDown(small)
    return cv2.resize(small, (w, h), interpolation=_interpolation(rng))
