"""Made-up words, and generators with known numbers, for tests of views."""

import cv2
import jax.numpy as jnp
import numpy as np

from jstr.augment.device.base import Base
from jstr.data.images import ImageSpec

TOLERANCE = 0.15  # of the width
PLACES = (0.1, 0.3, 0.5, 0.7, 0.9)
SIZE = (32, 100)  # of base images


def word(place: float, channels: int = 3) -> np.ndarray:
    """An image of one bright bar, whose middle is at a fraction of the width."""
    image = np.full((60, 200, channels), 70, np.uint8)
    middle = round(place * 200)
    image[18:42, middle - 6 : middle + 6] = 230
    return image


def where(image: np.ndarray) -> float | None:
    """The middle of what differs from the background, as a fraction of the width; None where nothing does."""
    profile = image.reshape(image.shape[0], image.shape[1], -1).mean(axis=(0, 2))
    deviation = np.abs(profile - np.median(profile))
    if deviation.max() < 4:
        return None
    weight = np.where(deviation > deviation.max() / 2, deviation, 0)
    return float((weight * (np.arange(len(weight)) + 0.5)).sum() / weight.sum() / len(weight))


def keeps_sequence(op, seed: int, channels: int = 3) -> bool:
    """Whether bars stay in order and at their place when each is drawn with the same random numbers."""
    found = [where(op(word(place, channels), np.random.default_rng(seed))) for place in PLACES]
    if None in found or sorted(found) != found:
        return False
    return max(abs(a - b) for a, b in zip(found, PLACES, strict=True)) <= TOLERANCE


def flat(value, shape=(24, 60, 1)):
    return np.full(shape, value, np.uint8)


def rng():
    return np.random.default_rng(0)


class Signed:
    """A generator whose next sign is known."""

    def __init__(self, sign: int):
        self.random = lambda: 0.9 if sign > 0 else 0.1


def smooth(height: int, width: int, seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    blurred = cv2.GaussianBlur(noise, (0, 0), height / 10).astype(int)
    return np.clip((blurred - 127) * 5 + 127, 0, 255).astype(np.uint8)


def base_of(images, keep_ratio=False) -> Base:
    """Images of any size, resized as the host does."""
    spec, size = ImageSpec(SIZE, 3, keep_ratio), np.float32([image.shape[:2] for image in images])
    return Base.make(jnp.asarray(np.stack([spec.fit(image) for image in images])), jnp.asarray(size), keep_ratio)


def off(a, b) -> np.ndarray:
    """Mean difference of each row."""
    return np.abs(np.asarray(a, float) - np.asarray(b, float)).mean(axis=(1, 2, 3))


class Played:
    """A generator that returns known numbers, whatever the call."""

    def __init__(self, *numbers):
        rest = iter(numbers)
        self.uniform = self.normal = self.integers = self.permutation = lambda *_, **__: next(rest)
