"""Augmentation of colour and texture: SemiMTR's operations of severity 1, and their mixture.

(image uint8 [h, w, c], rng, **parameters) -> image uint8 of the same shape, c = 1 or 3. No pixel moves. Ranges are
(low, high) of a uniform draw. Operations on colour leave grey images as they are. Aberdam et al. 2022,
https://github.com/amazon-science/semimtr-text-recognition, `augmentation_pipelines.py`.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.random import Generator

from jstr.augment.host.pixels import Operation, in_turn
from jstr.augment.host.seqclr import gaussian_blur, sharpen
from jstr.augment.spec import Range


def invert(image: np.ndarray, rng: Generator, *, probability: float = 0.5) -> np.ndarray:
    """Inverts all values, with `probability`."""
    return 255 - image if rng.random() < probability else image


def channel_shuffle(image: np.ndarray, rng: Generator, *, probability: float = 0.35) -> np.ndarray:
    """Permutes the channels, with `probability`."""
    return image[..., rng.permutation(image.shape[-1])] if rng.random() < probability else image


def grey_blend(image: np.ndarray, rng: Generator, *, alpha: Range = (0.0, 1.0)) -> np.ndarray:
    """Blends with the grey image; alpha 1 is grey, 0 the image."""
    if image.shape[-1] == 1:
        return image
    grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    a = rng.uniform(*alpha)
    return cv2.addWeighted(grey, a, image, 1 - a, 0)


def quantise(
    image: np.ndarray, rng: Generator, *, colours: tuple[int, int] = (2, 16), max_size: int = 128
) -> np.ndarray:
    """Reduces to few colours by k-means. colours: their number, both ends included.

    max_size: the longer side, in pixels, of the image on which the colours are found.
    """
    h, w = image.shape[:2]
    scale = min(1.0, max_size / max(h, w))
    small = cv2.resize(image, (max(1, round(w * scale)), max(1, round(h * scale)))).reshape(-1, image.shape[-1])
    count = int(rng.integers(colours[0], colours[1] + 1))
    if count >= len(small):
        return image
    points = small.astype(np.float32)
    centres = points[rng.choice(len(points), count, replace=False)]
    # The first labels come from `rng`: OpenCV's own generator would differ between threads.
    labels = _nearest(points, centres)
    criteria = (cv2.TERM_CRITERIA_MAX_ITER + cv2.TERM_CRITERIA_EPS, 10, 1.0)
    _, labels, centres = cv2.kmeans(points, count, labels, criteria, 1, cv2.KMEANS_USE_INITIAL_LABELS)
    flat = np.rint(centres).astype(np.uint8)[labels[:, 0]]
    shape = max(1, round(h * scale)), max(1, round(w * scale)), image.shape[-1]
    return cv2.resize(flat.reshape(shape), (w, h), interpolation=cv2.INTER_LINEAR)


def _nearest(points: np.ndarray, centres: np.ndarray) -> np.ndarray:
    distance = (centres * centres).sum(1) - 2 * points @ centres.T
    return distance.argmin(1).astype(np.int32)[:, None]


def equalise(image: np.ndarray, rng: Generator) -> np.ndarray:
    """Histogram equalisation; of the lightness, for coloured images."""
    del rng
    if image.shape[-1] == 1:
        return cv2.equalizeHist(image)
    lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB)
    lab[..., 0] = cv2.equalizeHist(np.ascontiguousarray(lab[..., 0]))
    return cv2.cvtColor(lab, cv2.COLOR_LAB2RGB)


def pixel_dropout(
    image: np.ndarray, rng: Generator, *, share: Range = (0.0, 0.2), per_channel: float = 0.5
) -> np.ndarray:
    """Blackens a share of the pixels; with probability `per_channel`, of each channel separately."""
    h, w, c = image.shape
    shape = (h, w, c if rng.random() < per_channel else 1)
    return image * (rng.random(shape, np.float32) >= rng.uniform(*share)).astype(np.uint8)


def gamma(image: np.ndarray, rng: Generator, *, gamma: Range = (0.5, 2.0)) -> np.ndarray:
    """255 (v / 255)^gamma."""
    return cv2.LUT(image, np.rint(255 * (np.arange(256) / 255) ** rng.uniform(*gamma)).astype(np.uint8))


def brightness(image: np.ndarray, rng: Generator, *, factor: Range = (0.5, 1.5)) -> np.ndarray:
    """Multiplies all values by a factor."""
    return cv2.convertScaleAbs(image, alpha=rng.uniform(*factor))


def hue_saturation(image: np.ndarray, rng: Generator, *, amount: tuple[int, int] = (-50, 50)) -> np.ndarray:
    """Adds a whole number to the hue (255 is a full turn) and another to the saturation (of 255)."""
    hue, saturation = rng.integers(amount[0], amount[1] + 1, 2)
    if image.shape[-1] == 1:
        return image
    hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)  # its hue has 180 steps
    values = np.arange(256)
    tables = np.stack([(values + round(hue * 180 / 255)) % 180, np.clip(values + saturation, 0, 255), values], axis=-1)
    return cv2.cvtColor(cv2.LUT(hsv, tables.astype(np.uint8)[None]), cv2.COLOR_HSV2RGB)


def temperature(image: np.ndarray, rng: Generator, *, kelvin: Range = (1100.0, 10000.0)) -> np.ndarray:
    """Multiplies by the colour of a black body of a random temperature."""
    colour = _black_body(rng.uniform(*kelvin))
    if image.shape[-1] == 1:
        return image
    return cv2.LUT(image, np.rint(np.arange(256)[:, None] * colour).astype(np.uint8)[None])


def _black_body(kelvin: float) -> np.ndarray:
    """Colour [3] in 0..1. Tanner Helland's fit to the tables of Mitchell Charity."""
    t = kelvin / 100
    red = 255.0 if t <= 66 else 329.698727446 * (t - 60) ** -0.1332047592
    green = 99.4708025861 * np.log(t) - 161.1195681661 if t <= 66 else 288.1221695283 * (t - 60) ** -0.0755148492
    blue = 255.0 if t >= 66 else 0.0 if t <= 19 else 138.5177312231 * np.log(t - 10) - 305.0447927307
    return np.clip([red, green, blue], 0, 255) / 255


def average_blur(image: np.ndarray, rng: Generator, *, size: tuple[int, int] = (2, 6)) -> np.ndarray:
    """A window of size x size pixels, both ends included."""
    k = int(rng.integers(size[0], size[1] + 1))
    return cv2.blur(image, (k, k))


def median_blur(image: np.ndarray, rng: Generator, *, size: tuple[int, int] = (3, 7)) -> np.ndarray:
    """A window of 3, 5 or 7 pixels; even draws count as the next odd one."""
    k = int(rng.integers(size[0], size[1] + 1))
    return cv2.medianBlur(image, k + 1 - k % 2)


def motion_blur(image: np.ndarray, rng: Generator, *, size: int = 5) -> np.ndarray:
    """Along a line of `size` pixels at any angle, fading towards a random end."""
    kernel = np.zeros((size, size), np.float32)
    fade = rng.random()
    kernel[:, size // 2] = np.linspace(fade, 1 - fade, size)
    middle = (size - 1) / 2
    matrix = cv2.getRotationMatrix2D((middle, middle), rng.uniform(0, 360), 1.0)
    kernel = cv2.warpAffine(kernel, matrix, (size, size), flags=cv2.INTER_LINEAR)
    return cv2.filter2D(image, -1, kernel / kernel.sum())


def emboss(image: np.ndarray, rng: Generator, *, alpha: Range = (0.0, 1.0), strength: Range = (0.5, 1.5)) -> np.ndarray:
    """Blends with a relief lit from the upper left. alpha: the share of the relief."""
    a, s = rng.uniform(*alpha), rng.uniform(*strength)
    effect = np.array([[-1 - s, -s, 0], [-s, 1, s], [0, s, 1 + s]])
    effect = a * effect
    effect[1, 1] += 1 - a
    return cv2.filter2D(image, -1, effect.astype(np.float32))


def gaussian_noise(image: np.ndarray, rng: Generator, *, sigma: Range = (0.0, 51.0)) -> np.ndarray:
    """Adds normal noise, the same in all channels."""
    noise = np.float32(rng.uniform(*sigma)) * rng.standard_normal((*image.shape[:2], 1), np.float32)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


def impulse_noise(image: np.ndarray, rng: Generator, *, share: float = 0.1) -> np.ndarray:
    """Replaces a share of the values, mostly by black or white."""
    image, chosen = image.copy(), rng.random(image.shape, np.float32) < share
    image[chosen] = 255 * rng.beta(0.5, 0.5, np.count_nonzero(chosen))
    return image


def multiply_pixels(image: np.ndarray, rng: Generator, *, factor: Range = (0.5, 1.5)) -> np.ndarray:
    """Multiplies every pixel by its own factor, the same in all channels."""
    factors = rng.random((*image.shape[:2], 1), np.float32) * np.float32(factor[1] - factor[0]) + np.float32(factor[0])
    return np.clip(image * factors, 0, 255).astype(np.uint8)


COLOURS = (
    channel_shuffle,
    grey_blend,
    quantise,
    equalise,
    pixel_dropout,
    gamma,
    brightness,
    hue_saturation,
    temperature,
)
BLURS = (gaussian_blur, average_blur, median_blur, motion_blur)
TEXTURES = (emboss, gaussian_noise, impulse_noise, multiply_pixels)


def seqclr_severity1(image: np.ndarray, rng: Generator) -> np.ndarray:
    """SemiMTR's pipeline: invert; one change of colour; sharpen or one blur; one texture."""
    blur = sharpen if rng.random() < 0.5 else _one(BLURS, rng)
    return in_turn((invert, _one(COLOURS, rng), blur, _one(TEXTURES, rng)), image, rng)


def _one(operations: Sequence[Operation], rng: Generator) -> Operation:
    return operations[rng.integers(len(operations))]


OPERATIONS = (invert, *COLOURS, *BLURS, *TEXTURES, seqclr_severity1)
