"""General operations for views of labelled words: (image uint8 [h, w, c], rng, **parameters) -> image uint8."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.random import Generator

from jstr.augment.host.pixels import corners, turn


def affine(
    image: np.ndarray,
    rng: Generator,
    *,
    rotate: float = 3.0,
    shear: float = 0.1,
    scale: float = 0.1,
    shift: float = 0.05,
) -> np.ndarray:
    """Small rotation (degrees), horizontal shear, scaling and shift (fractions), each uniform in +- its range.

    Keeps the order of the characters. Borders repeat the edge.
    """
    h, w = image.shape[:2]
    angle = np.deg2rad(rng.uniform(-rotate, rotate))
    sx, sy = 1 + rng.uniform(-scale, scale, 2)
    matrix = turn(-angle) @ np.array([[sx, rng.uniform(-shear, shear)], [0, sy]])
    centre = np.array([w / 2, h / 2])
    move = centre - matrix @ centre + rng.uniform(-shift, shift, 2) * (h, h)
    matrix = np.column_stack([matrix, move])
    return cv2.warpAffine(image, matrix, (w, h), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def perspective(image: np.ndarray, rng: Generator, *, strength: float = 0.1) -> np.ndarray:
    """Moves each corner by up to `strength` of the height."""
    h, w = image.shape[:2]
    before = corners(h, w).astype(np.float32)
    after = before + (rng.uniform(-strength, strength, (4, 2)) * h).astype(np.float32)
    matrix = cv2.getPerspectiveTransform(before, after)
    return cv2.warpPerspective(image, matrix, (w, h), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def crop(image: np.ndarray, rng: Generator, *, amount: float = 0.08) -> np.ndarray:
    """Cuts up to `amount` of the height off each side, as a loose or tight detector would."""
    h, w = image.shape[:2]
    top, bottom, left, right = (rng.uniform(0, amount, 4) * h).astype(int)
    return image[top : h - bottom, left : w - right] if h - top - bottom > 4 and w - left - right > 4 else image


def contrast(
    image: np.ndarray, rng: Generator, *, contrast: float = 0.4, brightness: float = 0.2, invert: float = 0.0
) -> np.ndarray:
    """Scales around the mean by 1 +- contrast, adds +- brightness (of 255), inverts with probability `invert`."""
    gain, offset = 1 + rng.uniform(-contrast, contrast), 255 * rng.uniform(-brightness, brightness)
    if rng.random() < invert:
        image = 255 - image
    mean = float(image.mean())
    table = np.clip((np.arange(256) - mean) * gain + mean + offset, 0, 255).astype(np.uint8)
    return cv2.LUT(image, table)


def blur(image: np.ndarray, rng: Generator, *, sigma: float = 1.0, probability: float = 0.5) -> np.ndarray:
    """Gaussian blur, standard deviation up to `sigma` pixels for every 32 pixels of height."""
    if rng.random() >= probability:
        return image
    return cv2.GaussianBlur(image, (0, 0), max(0.1, rng.uniform(0, sigma) * image.shape[0] / 32))


def noise(image: np.ndarray, rng: Generator, *, sigma: float = 10.0, probability: float = 0.5) -> np.ndarray:
    """Gaussian noise of a standard deviation up to `sigma` (of 255)."""
    if rng.random() >= probability:
        return image
    noisy = image + np.float32(rng.uniform(0, sigma)) * rng.standard_normal(image.shape, np.float32)
    return np.clip(noisy, 0, 255).astype(np.uint8)


OPERATIONS = (affine, perspective, crop, contrast, blur, noise)
