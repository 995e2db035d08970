"""Convolutions on CPUs. 3x3: Winograd's minimal filtering F(4x4, 3x3), with its own gradients.

XLA's direct convolution on a CPU is slower than that of other libraries. Here each tile of 6x6 inputs gives 4x4 outputs
with 36 products per pair of channels instead of 144, as 36 matrix products, for as many images at a time as fit into a
cache. That takes half of the time, forward and backward. Results differ from those of the direct convolution by about
1e-6 of the largest value; `jax.default_matmul_precision("highest")` selects the direct one. Lavin and Gray, "Fast
algorithms for convolutional neural networks", CVPR 2016, section 4. Where a large kernel meets few pixels, as when one
word is read, transformed kernels would take longer to fetch than they save, and a single product is the fastest.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
from jax import lax

from jstr.core import Array
from jstr.nn import platform

# One-dimensional F(4, 3) at the points 0, 1, -1, 2, -2 and infinity: y = AT [(G w) * (BT x)].
BT = np.array(
    [
        [4, 0, -5, 0, 1, 0],
        [0, -4, -4, 1, 1, 0],
        [0, 4, -4, -1, 1, 0],
        [0, -2, -1, 2, 1, 0],
        [0, 2, -1, -2, 1, 0],
        [0, 4, 0, -5, 0, 1],
    ],
    np.float32,
)
G = np.array([[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 24]], np.float32) / 24
AT = np.array([[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]], np.float32)
GG, AA = np.kron(G, G), np.kron(AT, AT)  # rows and columns at once: [36, 9] and [16, 36]
MIN_CHANNELS, MIN_HEIGHT = 32, 3  # below these, tiles cost more than they save
MIN_TILES, LARGE = 64, 2**14  # kernels with more than LARGE pairs of channels need that many tiles to pay off
LARGEST, MAX_ROWS = 2**17, 512  # one product is faster from LARGEST pairs of channels on, up to MAX_ROWS pixels
CACHE = 2**23  # bytes


def conv_general_dilated(x: Array, kernel: Array, strides, padding, **options) -> Array:
    """`jax.lax.conv_general_dilated` for `flax.linen.Conv`: [B, H, W, C], by Winograd's method where that is faster."""
    plain = all(set(options.get(name) or (1,)) == {1} for name in ("lhs_dilation", "rhs_dilation"))
    plain &= options.get("feature_group_count", 1) == 1
    same = kernel.shape[:2] == (3, 3) and set(strides) == {1} and [tuple(p) for p in padding] == [(1, 1), (1, 1)]
    single = x.dtype == kernel.dtype == jnp.float32 and not _exact(options.get("precision"))
    if platform.platform() == "cpu" and plain and same and single:
        if _pays_off(x, kernel):
            return conv3x3(x, kernel)
        if _few_rows(x, kernel):
            return as_product(x, kernel)
    if platform.platform() == "cpu" and plain and single and _is_apart(x, kernel, strides, padding):
        return apart(x, kernel)
    return lax.conv_general_dilated(x, kernel, strides, padding, **options)


def _pays_off(x: Array, kernel: Array) -> bool:
    """Whether there are enough channels and tiles. A batch of unknown size (jax.export) counts as one image."""
    if min(kernel.shape[2:]) < MIN_CHANNELS or min(x.shape[1:3]) < MIN_HEIGHT:
        return False
    batch = 1 if jax.export.is_symbolic_dim(x.shape[0]) else x.shape[0]
    return batch * math.prod(_tiles(*x.shape[1:3])) >= MIN_TILES or math.prod(kernel.shape[2:]) <= LARGE


def _exact(precision: Any) -> bool:
    """Whether a convolution of this precision must not be approximated; None: JAX's default precision decides."""
    wanted = precision if precision is not None else jax.config.jax_default_matmul_precision
    return wanted in (lax.Precision.HIGHEST, "highest", "float32")


def _few_rows(x: Array, kernel: Array) -> bool:
    """Whether the convolution is one product of a few rows with a large matrix, as when one word is read."""
    if jax.export.is_symbolic_dim(x.shape[0]) or math.prod(kernel.shape[2:]) < LARGEST:
        return False
    return 0 < math.prod(x.shape[:3]) <= MAX_ROWS


def _is_apart(x: Array, kernel: Array, strides: Sequence[int], padding: Any) -> bool:
    """Whether what the kernel sees at different places never overlaps, and covers the image [B, H, W, C]."""
    if [tuple(p) for p in padding] != [(0, 0), (0, 0)] or math.prod(kernel.shape[:2]) == 1:
        return False
    axes = zip(x.shape[1:3], kernel.shape[:2], strides, strict=True)
    return all(size == length or (length == step and size % step == 0) for size, length, step in axes)


@jax.custom_vjp
def apart(x: Array, kernel: Array) -> Array:
    """Convolves [B, H, W, C] with kernel [h, w, C, D], stride (h, w), no padding -> [B, H / h, W / w, D].

    XLA's own gradient first lays out its inputs in another order, which took 6 % of the passes of the compact network
    and 12 % of `compact_deeper` (configs/results/bench_cpu.json). Here it is a product for each row of the kernel.
    """
    return lax.conv_general_dilated(x, kernel, kernel.shape[:2], "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"))


def _apart_forward(x: Array, kernel: Array) -> tuple[Array, tuple]:
    return apart(x, kernel), (x, kernel)


def _apart_backward(residuals: tuple, g: Array) -> tuple[Array, Array]:
    x, kernel = residuals
    (h, w, channels, features), (batch, height, width, _) = kernel.shape, x.shape
    seen = x.reshape(batch, height // h, h, width // w, w * channels)  # by each row of the kernel
    rows, kernels = g.reshape(-1, features), kernel.reshape(h, -1, features)
    g_kernel = [seen[:, :, i].reshape(-1, w * channels).T @ rows for i in range(h)]
    g_seen = [(rows @ kernels[i].T).reshape(*seen.shape[:2], *seen.shape[3:]) for i in range(h)]
    return jnp.stack(g_seen, axis=2).reshape(x.shape), jnp.stack(g_kernel).reshape(kernel.shape)


apart.defvjp(_apart_forward, _apart_backward)


def as_product(x: Array, kernel: Array) -> Array:
    """Convolves [B, H, W, C] with kernel [3, 3, C, D], stride 1, zero padding 1 -> [B, H, W, D], by one product.

    Every row is what the kernel sees of the input at one place. XLA's direct convolution does 105 GFLOP/s here where
    the product does 150 (one word, 512 channels, two cores: `convolution` in configs/results/bench_cpu.json).
    """
    height, width = x.shape[1:3]
    padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    seen = [padded[:, i : i + height, j : j + width] for i in range(3) for j in range(3)]
    return jnp.concatenate(seen, axis=-1) @ kernel.reshape(-1, kernel.shape[-1])


@jax.custom_vjp
def conv3x3(x: Array, kernel: Array) -> Array:
    """Convolves [B, H, W, C] with kernel [3, 3, C, D], stride 1, zero padding 1 -> [B, H, W, D]."""
    return _forward(x, kernel)[0]


@functools.partial(jax.jit, inline=True)  # traced once for each shape, not for each layer; the same program
def _forward(x: Array, kernel: Array) -> tuple[Array, tuple]:
    transformed = (GG @ kernel.reshape(9, -1)).reshape(36, *kernel.shape[2:])

    def convolve(x):
        batch, height, width, _ = x.shape
        rows, columns = _tiles(height, width)
        product = jnp.einsum("tnc,tcd->tnd", _cut(x), transformed)
        y = (AA @ product.reshape(36, -1)).reshape(4, 4, batch, rows, columns, -1)
        y = y.transpose(2, 3, 0, 4, 1, 5).reshape(batch, 4 * rows, 4 * columns, -1)
        return y[:, :height, :width]

    parts = _parts(x, kernel.shape[3])
    y = lax.map(convolve, x.reshape(parts, -1, *x.shape[1:])) if parts > 1 else convolve(x)
    return y.reshape(*x.shape[:3], -1), (x, transformed)


@functools.partial(jax.jit, inline=True)
def _backward(residuals: tuple, g: Array) -> tuple[Array, Array]:
    x, transformed = residuals
    parts = _parts(x, g.shape[3])

    def accumulate(g_transformed, inputs):
        x, g = inputs
        batch, height, width, _ = x.shape
        rows, columns = _tiles(height, width)
        g = jnp.pad(g, ((0, 0), (0, 4 * rows - height), (0, 4 * columns - width), (0, 0)))
        g = g.reshape(batch, rows, 4, columns, 4, -1).transpose(2, 4, 0, 1, 3, 5)
        g_product = (AA.T @ g.reshape(16, -1)).reshape(36, -1, g.shape[-1])
        g_seen = jnp.einsum("tnd,tcd->tnc", g_product, transformed)
        return g_transformed + jnp.einsum("tnc,tnd->tcd", _cut(x), g_product), _uncut(g_seen, x.shape)

    inputs = [a.reshape(parts, -1, *a.shape[1:]) for a in (x, g)]
    g_transformed, g_x = lax.scan(accumulate, jnp.zeros_like(transformed), inputs)
    g_kernel = (GG.T @ g_transformed.reshape(36, -1)).reshape(3, 3, *transformed.shape[1:])
    return g_x.reshape(x.shape), g_kernel


conv3x3.defvjp(_forward, _backward)


def _parts(x: Array, features: int) -> int:
    """The number of parts that images [B, H, W, C] are split into, so that what a part reads and writes fits a cache.

    A part is at least four times the size of the kernel, which every part reads. One part on several devices, because
    the images are spread over them, and of a batch of unknown size.
    """
    batch, height, width, channels = x.shape
    tiles = math.prod(_tiles(height, width))
    most = max(CACHE // 4, 4 * 36 * channels * features) // (36 * tiles * (channels + features))  # values, not bytes
    if jax.export.is_symbolic_dim(batch) or jax.device_count() > 1 or batch == 0:
        return 1
    return min(parts for parts in range(1, batch + 1) if batch % parts == 0 and batch // parts <= max(most, 1))


def _tiles(height: int, width: int) -> tuple[int, int]:
    return -(-height // 4), -(-width // 4)


def _combine(matrix: np.ndarray, parts: list[Array]) -> list[Array]:
    return [sum(c * part for c, part in zip(row, parts, strict=True) if c) for row in matrix]


def _cut(x: Array) -> Array:
    """Overlapping tiles of 6x6, one every 4 pixels, transformed: [B, H, W, C] -> [36, tiles, C]."""
    _, height, width, channels = x.shape
    rows, columns = _tiles(height, width)
    x = jnp.pad(x, ((0, 0), (1, 1 + 4 * rows - height), (1, 1 + 4 * columns - width), (0, 0)))
    down = jnp.stack(_combine(BT, [x[:, i : i + 4 * rows - 3 : 4] for i in range(6)]))
    down = lax.optimization_barrier(down)  # otherwise XLA recomputes each of its values for each of the 36 results
    both = jnp.stack(_combine(BT, [down[:, :, :, j : j + 4 * columns - 3 : 4] for j in range(6)]), 1)
    return both.reshape(36, -1, channels)


def _uncut(tiles: Array, shape: tuple[int, ...]) -> Array:
    """The transpose of `_cut`: [36, tiles, C] -> [B, H, W, C], summing overlapping tiles."""
    batch, height, width, channels = shape
    tiles = tiles.reshape(6, 6, batch, *_tiles(height, width), channels)
    across = lax.optimization_barrier(_overlap(_combine(BT.T, [tiles[:, j] for j in range(6)]), 3))
    x = _overlap(_combine(BT.T, list(across)), 1)
    return x[:, 1 : 1 + height, 1 : 1 + width]


def _overlap(parts: list[Array], axis: int) -> Array:
    """Lays out n tiles of six values along `axis`, one every 4 values, and sums overlaps: length n -> 4 (n + 1)."""

    def pad(part: Array, before: int, after: int) -> Array:
        return jnp.pad(part, [(before, after) if a == axis else (0, 0) for a in range(part.ndim)])

    four = [pad(part, 0, 1) for part in parts[:4]]
    four[0], four[1] = four[0] + pad(parts[4], 1, 0), four[1] + pad(parts[5], 1, 0)
    x = jnp.stack(four, axis + 1)
    return x.reshape(*x.shape[:axis], -1, *x.shape[axis + 2 :])
