"""SeqCLR's seven operations and their mixture for a batch (Aberdam et al. 2021), as host/seqclr.py does for one image.

Draws have the same distribution, and fractions, kernels and cuts refer to the image before its resize, as there.
Differences: the host augments first and resizes the result; here the resized image is sampled once for all operations
that move pixels, bilinear instead of bicubic, then the values change, without rounding in between. So a crop does not
bring back detail that the resize removed, and a kernel that precedes a move sees the neighbourhood after the move, at
the scale before it.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jstr.augment import spec
from jstr.augment.device.base import Base, linear_weight, ranks, to_uint8
from jstr.augment.spec import Range, Seqclr
from jstr.core import Array

GRID = spec.GRID_POINTS[1]  # rows and columns of the largest grid
TAPS = np.arange(-spec.BLUR_REACH, spec.BLUR_REACH + 1)  # of the kernels, from their middle


class Draws(NamedTuple):
    """Random numbers of a batch. rank [B, 7]: when each operation is applied. on [B, 7]: whether it is.

    factor [B]; sigma [B] in pixels; cuts [B, 4]: top, bottom, left, right; blend [B, 2]: alpha and lightness; points
    [B, 2]: rows and columns; moves [B, 2, GRID, GRID]: vertical and horizontal; corners [B, 4, 2]: how far each is
    pulled in x and y, clockwise from the upper left. Lengths are fractions of the image's.
    """

    rank: Array
    on: Array
    factor: Array
    sigma: Array
    cuts: Array
    blend: Array
    points: Array
    moves: Array
    corners: Array


def draw(key: Array, batch: int, low: int = spec.SEQCLR_COUNT[0], high: int = spec.SEQCLR_COUNT[1]) -> Draws:
    """The random numbers of `batch` rows, to each of which between `low` and `high` operations are applied."""
    keys = jax.random.split(key)
    # Few large draws, because each compiles to a program of its own.
    order, count, factor, sigma, cuts, blend, points, spreads = jnp.split(
        jax.random.uniform(keys[0], (batch, 20)), np.cumsum([7, 1, 1, 1, 4, 2, 2]), axis=1
    )
    moves, corners = jnp.split(jax.random.normal(keys[1], (batch, 2 * GRID**2 + 8)), [2 * GRID**2], axis=1)
    rank, (fewest, most) = ranks(order), spec.GRID_POINTS
    return Draws(
        rank=rank,
        on=rank < low + jnp.floor(count * (high + 1 - low)),
        factor=_between(factor[:, 0], spec.CONTRAST_FACTOR),
        sigma=_between(sigma[:, 0], spec.BLUR_SIGMA),
        cuts=_between(cuts, *(spec.VERTICAL_CUT,) * 2, *(spec.HORIZONTAL_CUT,) * 2),
        blend=_between(blend, spec.SHARPEN_ALPHA, spec.SHARPEN_LIGHTNESS),
        points=fewest + jnp.floor(points * (most + 1 - fewest)).astype(jnp.int32),
        moves=(_between(spreads[:, :1], spec.GRID_SCALE) * moves).reshape(-1, 2, GRID, GRID),
        corners=jnp.mod(jnp.abs(_between(spreads[:, 1:], spec.CORNER_SCALE) * corners), 1.0).reshape(-1, 4, 2),
    )


def _between(drawn: Array, *ranges: Range) -> Array:
    """Uniform numbers [B, n] or [B] of 0..1, scaled to a range for each column, or the same for all."""
    low, high = np.array(ranges).T if len(ranges) > 1 else ranges[0]
    return low + (high - low) * drawn


def seqclr(base: Base, key: Array, *, low: int = spec.SEQCLR_COUNT[0], high: int = spec.SEQCLR_COUNT[1]) -> Array:
    """Between `low` and `high` of the seven operations, none twice, in random order -> uint8 [B, H, W, C]."""
    return apply(base, draw(key, len(base.images), low, high))


def apply(base: Base, draws: Draws) -> Array:
    """Applies the operations that `draws` turns on -> uint8 [B, H, W, C]."""
    cuts = _whole_pixels(base, draws.cuts)
    pixels = base.sample(*_sources(base, draws, cuts))
    return to_uint8(_values(base, draws, cuts, pixels))


def _whole_pixels(base: Base, cuts: Array) -> Array:
    """Cuts [B, 4] rounded to whole pixels of the image, and zero where they would leave nothing."""
    lengths = base.size[:, np.array([0, 0, 1, 1])]
    whole = jnp.rint(cuts * lengths).reshape(-1, 2, 2)
    some = whole.sum(axis=-1, keepdims=True) < base.size[:, :, None]
    return jnp.where(some, whole, 0.0).reshape(-1, 4) / lengths


def _sources(base: Base, draws: Draws, cuts: Array) -> tuple[Array, Array]:
    """(u, v) that each pixel of the result comes from, [B, H, W] each. The last operation is undone first."""
    ops = np.array([Seqclr.VERTICAL_CROP, Seqclr.HORIZONTAL_CROP, Seqclr.PERSPECTIVE_INWARDS])
    one, zero = jnp.ones(len(cuts)), jnp.zeros(len(cuts))
    top, bottom, left, right = cuts.T
    matrices = jnp.stack(
        [
            _matrix([[one, zero, zero], [zero, 1 - top - bottom, top], [zero, zero, one]]),
            _matrix([[1 - left - right, zero, left], [zero, one, zero], [zero, zero, one]]),
            _quadrilateral(draws.corners),
        ],
        axis=1,
    )
    rank, on = draws.rank[:, ops], draws.on[:, ops]
    warp = draws.rank[:, Seqclr.PIECEWISE_AFFINE, None]
    u, v = _project(_product(matrices, rank, on & (rank > warp)), *base.coordinates())
    u, v = _piecewise(base, draws, u, v)
    return _project(_product(matrices, rank, on & (rank < warp)), u, v)


def _matrix(rows) -> Array:
    return jnp.stack([jnp.stack(row, axis=-1) for row in rows], axis=-2)


def _product(matrices: Array, rank: Array, on: Array) -> Array:
    """The product of the matrices [B, n, 3, 3] that are `on`, in the order of their ranks [B, n] -> [B, 3, 3]."""
    count, eye = rank.shape[1], jnp.eye(3)
    matrices = jnp.where(on[..., None, None], matrices, eye)
    place = (rank[:, None, :] < rank[:, :, None]).sum(axis=-1)
    result = eye
    for i in range(count):
        chosen = (matrices * (place == i)[..., None, None]).sum(axis=1)
        # Sums of products: the precision of a TPU's matrix unit would shift pixels.
        result = (result[..., :, :, None] * chosen[..., None, :, :]).sum(axis=-2)
    return result


def _project(matrix: Array, u: Array, v: Array) -> tuple[Array, Array]:
    """Maps coordinates [B, H, W] by homographies [B, 3, 3]."""
    x, y, z = (row[0] * u + row[1] * v + row[2] for row in jnp.moveaxis(matrix, 0, -1)[..., None, None])
    return x / z, y / z


def _quadrilateral(corners: Array) -> Array:
    """Homographies [B, 3, 3] from the whole image to what lies between the pulled corners [B, 4, 2].

    Heckbert 1989, "Fundamentals of Texture Mapping and Image Warping", section 2.2.3.
    """
    (x0, y0), (x1, y1), (x2, y2), (x3, y3) = jnp.moveaxis(corners, 0, -1)
    x1, x2, y2, y3 = 1 - x1, 1 - x2, 1 - y2, 1 - y3
    dx1, dx2, sx = x1 - x2, x3 - x2, x0 - x1 + x2 - x3
    dy1, dy2, sy = y1 - y2, y3 - y2, y0 - y1 + y2 - y3
    area = dx1 * dy2 - dx2 * dy1
    g, h = (sx * dy2 - dx2 * sy) / area, (dx1 * sy - sx * dy1) / area
    one = jnp.ones_like(g)
    return _matrix([[x1 - x0 + g * x1, x3 - x0 + h * x3, x0], [y1 - y0 + g * y1, y3 - y0 + h * y3, y0], [g, h, one]])


def _piecewise(base: Base, draws: Draws, u: Array, v: Array) -> tuple[Array, Array]:
    """Moves the points of a grid, and the triangles between them.

    The map is linear on triangles: the weight of each point falls to 0 at its neighbours. Cells are halved along the
    falling diagonal.
    """
    height, width = base.size.T[..., None, None]
    rows, columns = draws.points.T[..., None, None]
    half_u, half_v = 0.5 / width, 0.5 / height
    column, row = ((u - half_u) * (columns - 1)).clip(0, columns - 1), ((v - half_v) * (rows - 1)).clip(0, rows - 1)
    steps = jnp.arange(GRID)
    points_u = (steps / (columns - 1) + half_u + draws.moves[:, 1]).clip(half_u, 1 - half_u)
    points_v = (steps[:, None] / (rows - 1) + half_v + draws.moves[:, 0]).clip(half_v, 1 - half_v)
    moved_u = moved_v = jnp.zeros_like(u)
    for i in range(GRID):
        for j in range(GRID):
            a, b = column - j, row - i
            weight = linear_weight(jnp.maximum(jnp.maximum(jnp.abs(a), jnp.abs(b)), jnp.abs(a - b)))
            moved_u += weight * points_u[:, i, j, None, None]
            moved_v += weight * points_v[:, i, j, None, None]
    on = draws.on[:, Seqclr.PIECEWISE_AFFINE, None, None]
    return jnp.where(on, moved_u, u), jnp.where(on, moved_v, v)


def _values(base: Base, draws: Draws, cuts: Array, pixels: Array) -> Array:
    """Contrast, blur and sharpening, in the order of their ranks.

    Blur and sharpening are p times the image plus q times a separable filter of it; the one with the smaller rank comes
    first. Contrast comes before, between or after.
    """
    blur, sharpen, contrast = Seqclr.GAUSSIAN_BLUR, Seqclr.SHARPEN, Seqclr.LINEAR_CONTRAST
    blur_first = draws.rank[:, blur] < draws.rank[:, sharpen]
    filters = jnp.sort(draws.rank[:, np.array([blur, sharpen])], axis=1)
    when = (draws.rank[:, contrast, None] > filters).sum(axis=1)  # 0, 1 or 2
    alpha, lightness = draws.blend.T
    gauss = jnp.exp(-0.5 * (TAPS / draws.sigma[:, None]) ** 2)
    gauss, box = gauss / gauss.sum(axis=1, keepdims=True), jnp.array(abs(TAPS) <= 1, jnp.float32) / 3

    def contrasted(pixels: Array, number: int) -> Array:
        factor = jnp.where(draws.on[:, contrast] & (when == number), draws.factor, 1.0)[:, None, None, None]
        return 127 + factor * (pixels - 127)

    pixels = contrasted(pixels, 0)
    for number, is_blur in ((1, blur_first), (2, ~blur_first)):
        op = jnp.where(is_blur, blur, sharpen)
        on = jnp.where(is_blur, draws.on[:, blur], draws.on[:, sharpen])
        p = jnp.where(on, jnp.where(is_blur, 0.0, 1 + alpha * (8 + lightness)), 1.0)[:, None, None, None]
        q = jnp.where(on, jnp.where(is_blur, 1.0, -9 * alpha), 0.0)[:, None, None, None]
        kernel = jnp.where(is_blur[:, None], gauss, box)
        pixels = p * pixels + q * _filter(base, pixels, kernel, _spacing(base, draws, cuts, op))
        pixels = contrasted(pixels.clip(0, 255), number)
    return pixels


def _spacing(base: Base, draws: Draws, cuts: Array, op: Array) -> Array:
    """Pixels of the result for each pixel of the image that operation `op` [B] saw, [B, 2]: down and across.

    A later crop enlarges what the operation made.
    """
    height, width = base.images.shape[1:3]
    kept = 1 - cuts.reshape(-1, 2, 2).sum(axis=-1)
    crops = np.array([Seqclr.VERTICAL_CROP, Seqclr.HORIZONTAL_CROP])
    rank = jnp.take_along_axis(draws.rank, op[:, None], axis=1)
    enlarged = draws.on[:, crops] & (draws.rank[:, crops] > rank)
    scale = jnp.stack([jnp.full_like(base.filled, height), base.filled * width], axis=1) / base.size
    return scale / jnp.where(enlarged, kept, 1.0)


def _filter(base: Base, pixels: Array, kernel: Array, spacing: Array) -> Array:
    """A kernel [B, 5] applied down and across, its taps `spacing` [B, 2] pixels apart; borders are mirrored.

    By products with matrices, whose size does not depend on the spacing.
    """
    height, width = pixels.shape[1:3]
    down = _band(kernel, spacing[:, 0], jnp.full_like(base.filled, height), height)
    across = _band(kernel, spacing[:, 1], base.filled * width, width)
    return jnp.einsum("bvy,bux,byxc->bvuc", down, across, pixels)


def _band(kernel: Array, spacing: Array, end: Array, length: int) -> Array:
    """[B, length, length]: the weight of each pixel in each filtered pixel. end [B]: where padding starts."""
    last = (end - 1)[:, None]
    middle = jnp.minimum(jnp.arange(length), last)
    total = jnp.zeros((len(kernel), length, length))
    for i, tap in enumerate(TAPS.tolist()):
        place = jnp.abs(middle + tap * spacing[:, None])
        place = (last - jnp.abs(last - place)).clip(0, last)
        total += kernel[:, i, None, None] * linear_weight(place[..., None] - jnp.arange(length))
    return total
