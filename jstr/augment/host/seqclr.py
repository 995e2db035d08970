"""Augmentation that keeps a word aligned with itself: SeqCLR's seven operations and their mixture.

(image uint8 [h, w, c], rng, **parameters) -> image uint8 of the same shape. Ranges are (low, high) of a uniform draw.
seqclr.md section 2.3 gives the definitions, those of the library that the published implementations use.
"""

from __future__ import annotations

import cv2
import numpy as np


def linear_contrast(image, rng, *, factor=(0.5, 1.0)):
    """127 + factor (v - 127)."""
    table = 127 + rng.uniform(*factor) * (np.arange(256) - 127)
    return cv2.LUT(image, np.clip(np.rint(table), 0, 255).astype(np.uint8))


def gaussian_blur(image, rng, *, sigma=(0.5, 1.5)):
    """Standard deviation in pixels; the kernel has 5 x 5."""
    return cv2.GaussianBlur(image, (5, 5), rng.uniform(*sigma))


def vertical_crop(image, rng, *, amount=(0.0, 0.4)):
    """Cuts a fraction of the height off the top and another off the bottom, and stretches what is left."""
    h, w = image.shape[:2]
    top, bottom = _cut(h, rng.uniform(*amount, size=2))
    return _resize(image[top : h - bottom], h, w)


def horizontal_crop(image, rng, *, amount=(0.0, 0.02)):
    """The same for left and right."""
    h, w = image.shape[:2]
    left, right = _cut(w, rng.uniform(*amount, size=2))
    return _resize(image[:, left : w - right], h, w)


def sharpen(image, rng, *, alpha=(0.0, 0.5), lightness=(0.0, 0.5)):
    """Blends with a 3 x 3 edge filter. Its kernel sums to 1 - alpha (1 - lightness), so the picture gets darker too."""
    a, light = rng.uniform(*alpha), rng.uniform(*lightness)
    kernel = np.full((3, 3), -a, np.float32)
    kernel[1, 1] = 1 - a + a * (8 + light)
    return cv2.filter2D(image, -1, kernel)


def piecewise_affine(image, rng, *, scale=(0.02, 0.03), points=(2, 4)):
    """Moves each point of a grid by a normal draw and the triangles between them along.

    scale: standard deviation, as a fraction of height and width. points: rows and columns of the grid, whole numbers
    from `points`, both ends included. What comes in at the border repeats the edge.
    """
    h, w = image.shape[:2]
    sigma = rng.uniform(*scale)
    rows, columns = rng.integers(points[0], points[1] + 1, 2)
    moves = rng.normal(0, sigma, (2, rows, columns))
    if min(h, w) < 2:
        return image
    grid = np.empty((2, rows, columns), np.float32)
    grid[0] = np.arange(columns) * (w / (columns - 1)) + moves[1] * w
    grid[1] = np.arange(rows)[:, None] * (h / (rows - 1)) + moves[0] * h
    maps = _triangles(grid.clip(0, np.array([w - 1, h - 1], np.float32)[:, None, None]), h, w)
    return cv2.remap(image, maps[0], maps[1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def perspective_inwards(image, rng, *, scale=(0.01, 0.02)):
    """Pulls each corner inwards by the size of a normal draw, and stretches what lies between them to the old shape.

    scale: standard deviation, as a fraction of height and width.
    """
    h, w = image.shape[:2]
    pulled = np.mod(np.abs(rng.normal(0, rng.uniform(*scale), (4, 2))), 1) * (w, h)
    corners = np.array([[0, 0], [w, 0], [w, h], [0, h]])
    inside = np.where(corners == 0, pulled, corners - pulled).astype(np.float32)
    matrix = cv2.getPerspectiveTransform(inside, corners.astype(np.float32))
    return cv2.warpPerspective(image, matrix, (w, h), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)


def elastic(image, rng, *, alpha=(0.0, 0.8), sigma=0.25):
    """Jitters every pixel by noise in +-alpha pixels, smoothed over sigma. Outside of the image is black."""
    h, w = image.shape[:2]
    strength = np.float32(2 * rng.uniform(*alpha))
    noise = rng.random((2, h, w), np.float32)
    dx, dy = (cv2.GaussianBlur((n - np.float32(0.5)) * strength, (3, 3), sigma) for n in noise)
    dx += np.arange(w, dtype=np.float32)
    dy += np.arange(h, dtype=np.float32)[:, None]
    return cv2.remap(image, dx, dy, cv2.INTER_CUBIC, borderMode=cv2.BORDER_CONSTANT)


PAPER = (linear_contrast, gaussian_blur, vertical_crop, horizontal_crop, sharpen, piecewise_affine, perspective_inwards)
FASTER = tuple(elastic if op is piecewise_affine else op for op in PAPER)


def seqclr(image, rng, *, low=1, high=5):
    """Between `low` and `high` of the seven operations, none twice, in random order (the paper's pipeline)."""
    return _some(PAPER, image, rng, low, high)


def seqclr_severity2(image, rng, *, low=1, high=7):
    """The variant of SemiMTR (Aberdam et al. 2022), severity 2: up to all seven, elastic for piecewise affine."""
    return _some(FASTER, image, rng, low, high)


def _some(ops, image, rng, low, high):
    for i in rng.permutation(len(ops))[: rng.integers(low, high + 1)]:
        image = ops[i](image, rng)
        image = image if image.ndim == 3 else image[..., None]  # cv2 drops a single channel
    return image


def _cut(length: int, fractions) -> tuple[int, int]:
    """Pixels to cut off both ends; at least one pixel stays."""
    first, last = (int(round(f * length)) for f in fractions)
    return (first, last) if first + last < length else (0, 0)


def _resize(image, h: int, w: int):
    return image if image.shape[:2] == (h, w) else cv2.resize(image, (w, h), interpolation=cv2.INTER_CUBIC)


def _triangles(grid: np.ndarray, h: int, w: int) -> np.ndarray:
    """[n, rows, columns] at the points of a regular grid over h x w pixels to [n, h, w], linear on triangles.

    Every cell is halved along its falling diagonal: with u and v the place in the cell, 0..1, and t the twist of its
    corners, p00 + (p01 - p00) u + (p10 - p00) v + t min(u, v).
    """
    rows, columns = grid.shape[1:]
    x = np.arange(w, dtype=np.float32) * np.float32((columns - 1) / w)
    left = x.astype(np.intp)
    u = x - np.floor(x)
    corners = grid[:, :, left]
    slope = grid[:, :, left + 1] - corners
    top, drop, twist = corners + slope * u, np.diff(corners, axis=1), np.diff(slope, axis=1)
    result = np.empty((len(grid), h, w), np.float32)
    ends = [-(-i * h // (rows - 1)) for i in range(rows)]
    for i, (first, end) in enumerate(zip(ends, ends[1:], strict=False)):
        v = np.arange(first, end, dtype=np.float32)[:, None] * np.float32((rows - 1) / h) - np.float32(i)
        strip = result[:, first:end]
        np.multiply(twist[:, i, None], np.minimum(u, v), out=strip)
        strip += drop[:, i, None] * v
        strip += top[:, i, None]
    return result
