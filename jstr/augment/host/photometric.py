"""Augmentation of colour and texture only: SemiMTR's operations (severity 1) and their mixture.

(image uint8 [h, w, c], rng, **parameters) -> image uint8 of the same shape, c = 1 or 3. No pixel moves. Ranges are
(low, high) of a uniform draw; the defaults are those of seqclr.md section 2.2. Operations on colour leave grey pictures
as they are.
"""

from __future__ import annotations

import cv2
import numpy as np

from jstr.augment.host.seqclr import gaussian_blur, sharpen


def invert(image, rng, *, probability=0.5):
    return 255 - image if rng.random() < probability else image


def channel_shuffle(image, rng, *, probability=0.35):
    return image[..., rng.permutation(image.shape[-1])] if rng.random() < probability else image


def grey_blend(image, rng, *, alpha=(0.0, 1.0)):
    """alpha 1 is grey, 0 the picture."""
    if image.shape[-1] == 1:
        return image
    grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    a = rng.uniform(*alpha)
    return cv2.addWeighted(grey, a, image, 1 - a, 0)


def quantise(image, rng, *, colours=(2, 16), max_size=128):
    """As few colours as k-means leaves, of `colours`, both ends included; worked out at `max_size` pixels or less."""
    h, w = image.shape[:2]
    scale = min(1.0, max_size / max(h, w))
    small = cv2.resize(image, (max(1, round(w * scale)), max(1, round(h * scale)))).reshape(-1, image.shape[-1])
    count = int(rng.integers(colours[0], colours[1] + 1))
    if count >= len(small):
        return image
    points = small.astype(np.float32)
    centres = points[rng.choice(len(points), count, replace=False)]
    # The first labels come from our generator: OpenCV's own would differ between threads.
    labels = _nearest(points, centres)
    criteria = (cv2.TERM_CRITERIA_MAX_ITER + cv2.TERM_CRITERIA_EPS, 10, 1.0)
    _, labels, centres = cv2.kmeans(points, count, labels, criteria, 1, cv2.KMEANS_USE_INITIAL_LABELS)
    flat = np.rint(centres).astype(np.uint8)[labels[:, 0]]
    shape = max(1, round(h * scale)), max(1, round(w * scale)), image.shape[-1]
    return cv2.resize(flat.reshape(shape), (w, h), interpolation=cv2.INTER_LINEAR)


def _nearest(points: np.ndarray, centres: np.ndarray) -> np.ndarray:
    distance = (centres * centres).sum(1) - 2 * points @ centres.T
    return distance.argmin(1).astype(np.int32)[:, None]


def equalise(image, rng):
    """Histogram equalisation, of the lightness of coloured pictures."""
    del rng
    if image.shape[-1] == 1:
        return cv2.equalizeHist(image)
    lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB)
    lab[..., 0] = cv2.equalizeHist(np.ascontiguousarray(lab[..., 0]))
    return cv2.cvtColor(lab, cv2.COLOR_LAB2RGB)


def pixel_dropout(image, rng, *, share=(0.0, 0.2), per_channel=0.5):
    """Blackens a share of the pixels; with probability `per_channel`, of each channel on its own."""
    h, w, c = image.shape
    shape = (h, w, c if rng.random() < per_channel else 1)
    return image * (rng.random(shape, np.float32) >= rng.uniform(*share)).astype(np.uint8)


def gamma(image, rng, *, gamma=(0.5, 2.0)):
    """255 (v / 255)^gamma."""
    return cv2.LUT(image, np.rint(255 * (np.arange(256) / 255) ** rng.uniform(*gamma)).astype(np.uint8))


def brightness(image, rng, *, factor=(0.5, 1.5)):
    return cv2.convertScaleAbs(image, alpha=rng.uniform(*factor))


def hue_saturation(image, rng, *, amount=(-50, 50)):
    """Adds to hue (255 is a full turn) and saturation (of 255), a whole number drawn for each."""
    hue, saturation = rng.integers(amount[0], amount[1] + 1, 2)
    if image.shape[-1] == 1:
        return image
    hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)  # its hue has 180 steps
    values = np.arange(256)
    tables = np.stack([(values + round(hue * 180 / 255)) % 180, np.clip(values + saturation, 0, 255), values], axis=-1)
    return cv2.cvtColor(cv2.LUT(hsv, tables.astype(np.uint8)[None]), cv2.COLOR_HSV2RGB)


def temperature(image, rng, *, kelvin=(1100.0, 10000.0)):
    """Multiplies by the colour of a black body of that temperature."""
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


def average_blur(image, rng, *, size=(2, 6)):
    """A window of size x size pixels, both ends included."""
    k = int(rng.integers(size[0], size[1] + 1))
    return cv2.blur(image, (k, k))


def median_blur(image, rng, *, size=(3, 7)):
    """A window of 3, 5 or 7 pixels; even draws count as the next odd one."""
    k = int(rng.integers(size[0], size[1] + 1))
    return cv2.medianBlur(image, k + 1 - k % 2)


def motion_blur(image, rng, *, size=5):
    """Along a line of `size` pixels at any angle, fading towards a random end."""
    kernel = np.zeros((size, size), np.float32)
    fade = rng.random()
    kernel[:, size // 2] = np.linspace(fade, 1 - fade, size)
    middle = (size - 1) / 2
    turn = cv2.getRotationMatrix2D((middle, middle), rng.uniform(0, 360), 1.0)
    kernel = cv2.warpAffine(kernel, turn, (size, size), flags=cv2.INTER_LINEAR)
    return cv2.filter2D(image, -1, kernel / kernel.sum())


def emboss(image, rng, *, alpha=(0.0, 1.0), strength=(0.5, 1.5)):
    a, s = rng.uniform(*alpha), rng.uniform(*strength)
    effect = np.array([[-1 - s, -s, 0], [-s, 1, s], [0, s, 1 + s]])
    effect = a * effect
    effect[1, 1] += 1 - a
    return cv2.filter2D(image, -1, effect.astype(np.float32))


def gaussian_noise(image, rng, *, sigma=(0.0, 51.0)):
    """The same in all channels."""
    noise = np.float32(rng.uniform(*sigma)) * rng.standard_normal((*image.shape[:2], 1), np.float32)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


def impulse_noise(image, rng, *, share=0.1):
    """Replaces a share of the values, mostly by black or white."""
    image, hit = image.copy(), rng.random(image.shape, np.float32) < share
    image[hit] = 255 * rng.beta(0.5, 0.5, np.count_nonzero(hit))
    return image


def multiply_pixels(image, rng, *, factor=(0.5, 1.5)):
    """Every pixel by a number of its own, the same in all channels."""
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


def seqclr_severity1(image, rng):
    """SemiMTR's pipeline: invert; one change of colour; sharpen or one blur; one texture (Aberdam et al. 2022)."""
    blur = sharpen if rng.random() < 0.5 else _one(BLURS, rng)
    for op in (invert, _one(COLOURS, rng), blur, _one(TEXTURES, rng)):
        image = np.ascontiguousarray(op(image, rng))
        image = image if image.ndim == 3 else image[..., None]  # cv2 drops a single channel
    return image


def _one(ops, rng):
    return ops[rng.integers(len(ops))]
