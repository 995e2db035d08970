"""The shape and place of a rendered word: thicker or thinner letters, a baseline on a circle, the perspective."""

from __future__ import annotations

import math

import cv2
import numpy as np

from jstr.data.synth.style import Style, chance, skewed_uniform, uniform

PAD = 5  # empty pixels around the ink: room for bolder letters and outlines
CROSS = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 3))


def letters(rng: np.random.Generator, ink: np.ndarray, style: Style) -> np.ndarray:
    """The ink [h, w] with PAD around it, some of it bolder, thinner or on a circle."""
    kind, rise = rng.random(), 0.0
    if chance(rng, style.bent) and ink.shape[1] > 2 * ink.shape[0]:
        rise = skewed_uniform(rng, style.bend) * ink.shape[0] * (1 if chance(rng, 0.7) else -1)
    ink = cv2.copyMakeBorder(ink, PAD, PAD, PAD, PAD, cv2.BORDER_CONSTANT, value=0)
    if kind < style.bolder:
        ink = cv2.dilate(ink, CROSS)
    elif kind < style.bolder + style.thinner:
        ink = cv2.addWeighted(ink, 0.45, cv2.erode(ink, CROSS), 0.55, 0)  # hairlines become faint but never vanish
    return _arc(ink, rise) if rise else ink


def _arc(ink: np.ndarray, rise: float) -> np.ndarray:
    """The word along a circle, each letter turned with it. rise: of the middle, in pixels; negative for a valley."""
    h, w = ink.shape
    angle = min(8 * abs(rise) / w, 2.2)  # of the whole arc: rise = radius * (1 - cos(angle / 2))
    radius = max(w / angle, 0.6 * h)  # the inner edge keeps a radius above 0
    half = w / radius / 2
    rows = math.ceil(h + radius * (1 - math.cos(half)))
    columns = math.ceil(2 * (radius + h / 2) * math.sin(min(half, math.pi / 2)))
    x = np.arange(columns, dtype=np.float32) - np.float32((columns - 1) / 2)
    y = np.float32(h / 2 + radius) - np.arange(rows, dtype=np.float32)  # up from the centre of the circle
    r = np.sqrt(x * x + (y * y)[:, None])
    across = np.arctan2(x, y[:, None]) * np.float32(radius) + np.float32((w - 1) / 2)
    down = np.float32(radius + h / 2) - r
    if rise < 0:
        across, down = across[::-1], np.float32(h - 1) - down[::-1]
    return cv2.remap(ink, across, down, cv2.INTER_LINEAR)


def place(rng: np.random.Generator, shape: tuple, style: Style, height: int) -> tuple[np.ndarray, int]:
    """(homography [3, 3] from the ink to the image, width of the image)."""
    h, w = shape[0] - 2 * PAD, shape[1] - 2 * PAD
    stretch = math.exp(uniform(rng, (math.log(style.stretch[0]), math.log(style.stretch[1]))))
    slant = uniform(rng, style.slant) if chance(rng, style.slanted) else 0.0
    ends = [1.0, 1.0]
    if chance(rng, style.foreshortened):
        away = uniform(rng, style.foreshortening)
        ends[int(rng.integers(2))] -= away
        stretch *= 1 - 0.6 * away
    cos, sin = _turn(rng, w * stretch / h, style)
    shifts = ((rng.random(8) * 2 - 1) * (style.perspective * h)).tolist()
    corners, xs, ys = ((0, 0), (w, 0), (w, h), (0, h)), [], []
    for (x, y), dx, dy in zip(corners, shifts[:4], shifts[4:], strict=True):
        y = h / 2 + (y - h / 2) * ends[x > 0]
        x = x * stretch - slant * y
        xs.append(x * cos - y * sin + dx)
        ys.append(x * sin + y * cos + dy)
    left, right = min(xs) - h * uniform(rng, style.margin_x), max(xs) + h * uniform(rng, style.margin_x)
    top, bottom = min(ys) - h * uniform(rng, style.margin_y), max(ys) + h * uniform(rng, style.margin_y)
    scale = height / (bottom - top)
    width = max(math.ceil((right - left) * scale), height // 4)
    middle = (width - (right - left) * scale) / 2
    seen = [((x - left) * scale + middle, (y - top) * scale) for x, y in zip(xs, ys, strict=True)]
    source = np.array(corners, np.float32) + PAD
    return cv2.getPerspectiveTransform(source, np.array(seen, np.float32)), width


def _turn(rng: np.random.Generator, aspect: float, style: Style) -> tuple[float, float]:
    """Cosine and sine of the word's rotation."""
    angle = math.radians((style.strong_tilt if chance(rng, style.tilted) else style.tilt) * rng.standard_normal())
    limit = min(0.5, 0.7 / aspect)  # a long word tilted more would shrink beyond reading
    angle = min(max(angle, -limit), limit)
    if chance(rng, style.turned) and aspect < 3:
        angle += math.pi / 2 * (1 if chance(rng, 0.5) else -1)
    return math.cos(angle), math.sin(angle)
