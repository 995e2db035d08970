"""SeqCLR's seven operations and their mixture: augmentation that keeps a word aligned with itself.

(image uint8 [h, w, c], rng, **parameters) -> image uint8 of the same shape. Ranges are (low, high) of a uniform draw.
Aberdam et al. 2021, appendix A; the operations are defined as in imgaug 0.4.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.random import Generator

from jstr.augment import spec
from jstr.augment.host.pixels import Operation, corners, in_turn
from jstr.augment.spec import Range, Seqclr


def linear_contrast(image: np.ndarray, rng: Generator, *, factor: Range = spec.CONTRAST_FACTOR) -> np.ndarray:
    """127 + factor (v - 127)."""
    table = 127 + rng.uniform(*factor) * (np.arange(256) - 127)
    return cv2.LUT(image, np.clip(np.rint(table), 0, 255).astype(np.uint8))


def gaussian_blur(image: np.ndarray, rng: Generator, *, sigma: Range = spec.BLUR_SIGMA) -> np.ndarray:
    """sigma: standard deviation in pixels; the kernel has 5 x 5."""
    return cv2.GaussianBlur(image, (2 * spec.BLUR_REACH + 1,) * 2, rng.uniform(*sigma))


def vertical_crop(image: np.ndarray, rng: Generator, *, amount: Range = spec.VERTICAL_CUT) -> np.ndarray:
    """Cuts a fraction of the height off the top and another off the bottom, and stretches the rest."""
    h, w = image.shape[:2]
    top, bottom = _cut(h, rng.uniform(*amount, size=2))
    return _resize(image[top : h - bottom], h, w)


def horizontal_crop(image: np.ndarray, rng: Generator, *, amount: Range = spec.HORIZONTAL_CUT) -> np.ndarray:
    """Cuts a fraction of the width off the left and another off the right, and stretches the rest."""
    h, w = image.shape[:2]
    left, right = _cut(w, rng.uniform(*amount, size=2))
    return _resize(image[:, left : w - right], h, w)


def sharpen(
    image: np.ndarray,
    rng: Generator,
    *,
    alpha: Range = spec.SHARPEN_ALPHA,
    lightness: Range = spec.SHARPEN_LIGHTNESS,
) -> np.ndarray:
    """Blends with a 3 x 3 edge filter. The kernel sums to 1 - alpha (1 - lightness), so the image also gets darker."""
    a, light = rng.uniform(*alpha), rng.uniform(*lightness)
    kernel = np.full((3, 3), -a, np.float32)
    kernel[1, 1] = 1 - a + a * (8 + light)
    return cv2.filter2D(image, -1, kernel)


def piecewise_affine(
    image: np.ndarray,
    rng: Generator,
    *,
    scale: Range = spec.GRID_SCALE,
    points: tuple[int, int] = spec.GRID_POINTS,
) -> np.ndarray:
    """Moves each point of a grid by a normal draw, and the triangles between the points with them.

    scale: standard deviation, as a fraction of height and width. points: rows and columns of the grid, whole numbers
    from `points`, both ends included. Borders repeat the edge.
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


def perspective_inwards(image: np.ndarray, rng: Generator, *, scale: Range = spec.CORNER_SCALE) -> np.ndarray:
    """Pulls each corner inwards by the size of a normal draw, and stretches what lies between them to the old shape.

    scale: standard deviation, as a fraction of height and width.
    """
    h, w = image.shape[:2]
    pulled = np.mod(np.abs(rng.normal(0, rng.uniform(*scale), (4, 2))), 1) * (w, h)
    outer = corners(h, w)
    inner = np.where(outer == 0, pulled, outer - pulled).astype(np.float32)
    matrix = cv2.getPerspectiveTransform(inner, outer.astype(np.float32))
    return cv2.warpPerspective(image, matrix, (w, h), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)


def elastic(image: np.ndarray, rng: Generator, *, alpha: Range = (0.0, 0.8), sigma: float = 0.25) -> np.ndarray:
    """Jitters every pixel by noise in +-alpha pixels, smoothed over sigma. Outside of the image is black."""
    h, w = image.shape[:2]
    strength = np.float32(2 * rng.uniform(*alpha))
    noise = rng.random((2, h, w), np.float32)
    dx, dy = (cv2.GaussianBlur((n - np.float32(0.5)) * strength, (3, 3), sigma) for n in noise)
    dx += np.arange(w, dtype=np.float32)
    dy += np.arange(h, dtype=np.float32)[:, None]
    return cv2.remap(image, dx, dy, cv2.INTER_CUBIC, borderMode=cv2.BORDER_CONSTANT)


PAPER: dict[Seqclr, Operation] = {
    Seqclr.LINEAR_CONTRAST: linear_contrast,
    Seqclr.GAUSSIAN_BLUR: gaussian_blur,
    Seqclr.VERTICAL_CROP: vertical_crop,
    Seqclr.HORIZONTAL_CROP: horizontal_crop,
    Seqclr.SHARPEN: sharpen,
    Seqclr.PIECEWISE_AFFINE: piecewise_affine,
    Seqclr.PERSPECTIVE_INWARDS: perspective_inwards,
}
SEVERITY_2 = PAPER | {Seqclr.PIECEWISE_AFFINE: elastic}  # faster


def seqclr(
    image: np.ndarray, rng: Generator, *, low: int = spec.SEQCLR_COUNT[0], high: int = spec.SEQCLR_COUNT[1]
) -> np.ndarray:
    """Between `low` and `high` of the seven operations, none twice, in random order: the paper's pipeline."""
    return _some([PAPER[op] for op in Seqclr], image, rng, low, high)


def seqclr_severity2(image: np.ndarray, rng: Generator, *, low: int = 1, high: int = len(Seqclr)) -> np.ndarray:
    """Severity 2 of SemiMTR (Aberdam et al. 2022, `augmentation_pipelines.py`): up to all seven, `elastic` for
    `piecewise_affine`."""
    return _some([SEVERITY_2[op] for op in Seqclr], image, rng, low, high)


OPERATIONS = (*PAPER.values(), elastic, seqclr, seqclr_severity2)


def _some(operations: Sequence[Operation], image: np.ndarray, rng: Generator, low: int, high: int) -> np.ndarray:
    chosen = rng.permutation(len(operations))[: rng.integers(low, high + 1)]
    return in_turn([operations[i] for i in chosen], image, rng)


def _cut(length: int, fractions: np.ndarray) -> tuple[int, int]:
    """Pixels to cut off both ends; at least one pixel stays."""
    first, last = (int(round(f * length)) for f in fractions)
    return (first, last) if first + last < length else (0, 0)


def _resize(image: np.ndarray, h: int, w: int) -> np.ndarray:
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
