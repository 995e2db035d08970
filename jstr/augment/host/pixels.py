"""What the image operations of the host share: images are uint8 [h, w, c], c = 1 (grey) or 3 (RGB)."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import cv2
import numpy as np
from numpy.random import Generator

Operation = Callable[..., np.ndarray]  # (image, rng, **parameters) -> image


def with_channels(image: np.ndarray) -> np.ndarray:
    """[h, w] or [h, w, c] to [h, w, c]: OpenCV drops a single channel."""
    return image if image.ndim == 3 else image[..., None]


def in_turn(operations: Iterable[Operation], image: np.ndarray, rng: Generator) -> np.ndarray:
    """Applies the operations one after the other."""
    for operation in operations:
        image = with_channels(np.ascontiguousarray(operation(image, rng)))
    return image


def luminance(image: np.ndarray) -> np.ndarray:
    """[h, w, c] to [h, w], weighted as Pillow weights."""
    return image[..., 0] if image.shape[-1] == 1 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)


def turn(angle: float) -> np.ndarray:
    """Matrix [2, 2] of a rotation about the origin. angle: in radians; y points down."""
    return np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])


def corners(h: int, w: int) -> np.ndarray:
    """(x, y) [4, 2] of an image's corners, clockwise from the upper left."""
    return np.array([[0, 0], [w, 0], [w, h], [0, h]], np.float64)
