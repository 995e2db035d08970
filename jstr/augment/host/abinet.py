"""The augmentation of ABINet (Fang et al. 2021), the weak view of SemiMTR. semimtr.md section 11.

(image uint8 [h, w, c], rng, **parameters) -> image uint8; geometry makes the canvas grow to hold the word.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from jstr.augment.host.cr import cr_weak

INTERPOLATIONS = (cv2.INTER_NEAREST, cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_AREA)


class Choice(NamedTuple):
    """What the published code draws once for a whole run, and we, unless it is frozen, for every image."""

    geometry: int
    order: tuple[int, ...]
    variance: int  # of the noise, 1 to 20, mostly low
    blur: int  # length in pixels, 1 to 6, mostly short
    blur_angle: float  # degrees
    halvings: int  # 0 to 4

    @classmethod
    def draw(cls, rng) -> Choice:
        variance, blur = (max(int(_asymmetric(rng, most)), 1) for most in (20, 6))
        return cls(
            int(rng.integers(3)),
            tuple(rng.permutation(3).tolist()),
            variance,
            blur,
            rng.uniform(-90, 90),
            round(rng.uniform(0, 4)),
        )


def abinet(image, rng, *, geometry=0.5, deterioration=0.25, colour=0.25, frozen=-1):
    """With these probabilities: one of rotation, affine map and perspective; noise, motion blur and rescaling in random
    order; jitter of the colours. frozen: a seed from which the kind of geometry and the strength and order of the
    deterioration are drawn, alike for all images, as the published code does; -1: each image draws its own.
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


def _symmetric(rng, most):
    """Around 0, up to +-most."""
    return (rng.beta(4, 4) - 0.5) * 2 * most


def _asymmetric(rng, most, size=None):
    """0 to `most`, mostly little."""
    return rng.beta(1, 4, size) * most


def _interpolation(rng) -> int:
    return INTERPOLATIONS[rng.integers(len(INTERPOLATIONS))]


def _corners(h, w):
    return np.array([[0, 0], [w, 0], [w, h], [0, h]], np.float64)


def _rotate(image, rng):
    """Up to 45 degrees, mostly few."""
    angle = np.deg2rad(_symmetric(rng, 45))
    return _map(image, rng, np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]))


def _affine(image, rng):
    """Rotation, then shear of up to 45 degrees along x and 15 along y, and size by 0.5 to 2."""
    angle, shear_x, shear_y = (np.deg2rad(_symmetric(rng, most)) for most in (45, 45, 15))
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    shear = np.array([[1, np.tan(shear_x)], [0, 1]]) @ np.array([[1, 0], [np.tan(shear_y), 1]])
    return _map(image, rng, shear @ turn / rng.uniform(0.5, 2))


def _map(image, rng, matrix):
    """The image under a linear map [2, 2], on the canvas that holds it; the border repeats."""
    corners = _corners(*image.shape[:2]) @ matrix.T
    low, high = corners.min(axis=0), corners.max(axis=0)
    w, h = np.maximum(np.rint(high - low).astype(int), 1).tolist()
    matrix = np.column_stack([matrix, -low])
    return _with_channels(
        cv2.warpAffine(image, matrix, (w, h), flags=_interpolation(rng), borderMode=cv2.BORDER_REPLICATE)
    )


def _perspective(image, rng):
    """Every corner moves inwards by up to a quarter of the sides, mostly little; then what is inside is cut out."""
    h, w = image.shape[:2]
    inwards = np.sign(np.array([w, h]) / 2 - _corners(h, w))
    moved = _corners(h, w) + inwards * _asymmetric(rng, 0.25, (4, 2)) * (w, h)
    low, high = moved.min(axis=0), moved.max(axis=0)
    size = np.maximum(np.rint(high - low).astype(int), 1).tolist()
    matrix = cv2.getPerspectiveTransform(_corners(h, w).astype(np.float32), (moved - low).astype(np.float32))
    return _with_channels(
        cv2.warpPerspective(image, matrix, size, flags=_interpolation(rng), borderMode=cv2.BORDER_REPLICATE)
    )


def _noise(image, rng, choice):
    return np.clip(image + rng.normal(0, choice.variance**0.5, image.shape), 0, 255).astype(np.uint8)


def _motion_blur(image, rng, choice):
    """Along a line in any direction. As published, a turned line may change the brightness."""
    del rng
    size = choice.blur
    kernel = np.zeros((size, size), np.float32)
    kernel[size // 2] = 1 / size
    turn = cv2.getRotationMatrix2D((size // 2, size // 2), choice.blur_angle, 1)
    return cv2.filter2D(image, -1, cv2.warpAffine(kernel, turn, (size, size)))


def _rescale(image, rng, choice):
    """From 128x512 pixels, halved so often, and back."""
    if not choice.halvings:
        return image
    h, w = image.shape[:2]
    small = cv2.resize(image, (512, 128), interpolation=_interpolation(rng))
    for _ in range(choice.halvings):
        small = cv2.pyrDown(small)
    return cv2.resize(small, (w, h), interpolation=_interpolation(rng))


def _with_channels(image):
    return image if image.ndim == 3 else image[..., None]
