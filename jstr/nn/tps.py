"""Rectification of a word image by a thin-plate spline: RARE (Shi et al. 2016, section 3.1) as in Baek et al. 2019.

Coordinates are (x, y) in [-1, 1]. Of F fiducial points, the first half lies on the upper edge of the rectified image,
the second half on its lower edge. Official code: modules/transformation.py of deep-text-recognition-benchmark.
"""

from __future__ import annotations

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jstr.core import Array
from jstr.nn import platform
from jstr.nn.layers import ConvNorm, dense
from jstr.nn.pooling import max_pool


def fiducials(count: int) -> np.ndarray:
    """The fiducial points in the rectified image: [F, 2] float64."""
    x = np.linspace(-1.0, 1.0, count // 2)
    return np.concatenate([np.stack([x, np.full_like(x, y)], axis=1) for y in (-1.0, 1.0)])


def initial_fiducials(count: int) -> np.ndarray:
    """The fiducial points an untrained network predicts: [F, 2] float64, slanted as in RARE's figure 6a."""
    x = np.linspace(-1.0, 1.0, count // 2)
    upper, lower = np.linspace(0.0, -1.0, count // 2), np.linspace(1.0, 0.0, count // 2)
    return np.concatenate([np.stack([x, y], axis=1) for y in (upper, lower)])


def inverse_system(count: int) -> np.ndarray:
    """The inverse of the linear system of the spline: [F + 3, F + 3] float64."""
    points = fiducials(count)
    distance = np.linalg.norm(points[:, None] - points[None], axis=-1)
    np.fill_diagonal(distance, 1.0)  # r^2 ln r is 0 there
    system = np.zeros((count + 3, count + 3))
    system[:count, 0] = 1.0
    system[:count, 1:3] = points
    system[:count, 3:] = distance**2 * np.log(distance)
    system[count : count + 2, 3:] = points.T
    system[count + 2, 3:] = 1.0
    return np.linalg.inv(system)


def pixel_basis(count: int, height: int, width: int) -> np.ndarray:
    """The basis functions of the spline at the pixel centres, row by row: [H * W, F + 3] float64.

    Here -1 and 1 are the image's edges; in `bilinear_sample` they are the centres of the outermost pixels. The identity
    spline therefore scales an image by (W - 1) / W. Published weights were trained that way.
    """
    x, y = (2.0 * np.arange(width) + 1.0) / width - 1.0, (2.0 * np.arange(height) + 1.0) / height - 1.0
    pixels = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    distance = np.linalg.norm(pixels[:, None] - fiducials(count)[None], axis=-1)
    radial = distance**2 * np.log(distance + 1e-6)
    return np.concatenate([np.ones((len(pixels), 1)), pixels, radial], axis=1)


@functools.lru_cache(maxsize=32)
def constants(count: int, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """(basis [H * W, F + 3], system [F + 3, F]) float64; basis @ system @ points [F, 2] are the sampling positions."""
    return pixel_basis(count, height, width), inverse_system(count)[:, :count]


def sampling_grid(points: Array, height: int, width: int) -> Array:
    """Fiducial points [B, F, 2] -> sampling positions [B, height, width, 2].

    Two matrix products, each summed term by term in the order of the published code. In float32, another order moves
    positions by up to 1e-3, which deep networks with published weights amplify. Summing terms also keeps full precision
    on a TPU, whose matrix unit has 8 bits by default: too few for positions among 100 pixels.
    """
    basis, system = (jnp.asarray(x, points.dtype) for x in constants(points.shape[1], height, width))
    grid = _product_in_order(basis, _product_in_order(system, points))
    return grid.reshape(-1, height, width, 2)


def _product_in_order(matrix: Array, x: Array) -> Array:
    """matrix [N, K] @ x [B, K, 2] -> [B, N, 2]: rounded products, added in the order of K."""
    products = matrix.T[:, None, None] * jnp.moveaxis(x, 1, 0)[..., None]  # [K, B, 2, N]
    # A CPU fuses multiply and add, which rounds once where the published code rounds twice.
    products = jax.lax.optimization_barrier(products) if platform.platform() == "cpu" else products
    return functools.reduce(jnp.add, products).swapaxes(1, 2)


def bilinear_sample(images: Array, grid: Array) -> Array:
    """Samples images [B, H, W, C] at grid [B, h, w, 2] -> [B, h, w, C]; -1 and 1 are the outermost pixel centres.

    Outside the image the border pixel repeats, and no gradient reaches the grid.
    """
    # A second row or column, where an image has none: the same as the first.
    images = jnp.pad(images, ((0, 0), (0, images.shape[1] == 1), (0, images.shape[2] == 1), (0, 0)), mode="edge")
    b, h, w, c = images.shape
    position = (grid + 1.0) * 0.5 * jnp.array([w - 1, h - 1], grid.dtype)
    position = jnp.clip(position, 0.0, jnp.array([w - 1, h - 1], grid.dtype)).reshape(b, -1, 2)
    corner = jnp.minimum(jnp.floor(position), jnp.array([w - 2, h - 2], grid.dtype))
    x1, y1 = jnp.moveaxis(position - corner, -1, 0)[..., None]
    left, top = jnp.moveaxis(corner.astype(jnp.int32), -1, 0)
    squares = jax.vmap(lambda rows, index: rows.at[index].get(mode="clip"))(_squares(images), top * w + left)
    top_left, top_right, bottom_left, bottom_right = (squares[..., k * c : (k + 1) * c] for k in range(4))
    upper = top_left * (1 - x1) + top_right * x1
    lower = bottom_left * (1 - x1) + bottom_right * x1
    return (upper * (1 - y1) + lower * y1).reshape(b, *grid.shape[1:3], c)


def _squares(images: Array) -> Array:
    """Beside each pixel its right, lower and lower right neighbours: [B, H, W, C] -> [B, H * W, 4C].

    One row is then looked up for each position, instead of four. Those of the last row and column are not used.
    """
    lower = jnp.roll(images, -1, axis=1)
    four = [images, jnp.roll(images, -1, axis=2), lower, jnp.roll(lower, -1, axis=2)]
    return jnp.concatenate(four, axis=-1).reshape(images.shape[0], -1, 4 * images.shape[-1])


class Localization(nn.Module):
    """Predicts the fiducial points of a word: [B, H, W, C] -> [B, F, 2]."""

    num_fiducials: int
    channels: int = 512
    dtype: Any = None

    @nn.compact
    def __call__(self, images: Array, *, train: bool) -> Array:
        c, x = self.channels, images
        for index, features in enumerate((c // 8, c // 4, c // 2, c)):
            x = x if index == 0 else max_pool(x, 2, 2)
            x = ConvNorm(features, dtype=self.dtype, name=f"conv_{index}")(x, train=train)
        x = nn.relu(dense(c // 2, dtype=self.dtype, name="fc1")(x.mean(axis=(1, 2))))
        start = initial_fiducials(self.num_fiducials).reshape(-1)
        points = nn.Dense(
            2 * self.num_fiducials,
            kernel_init=nn.initializers.zeros,
            bias_init=lambda key, shape, dtype=jnp.float32: jnp.asarray(start, dtype),
            name="fc2",
        )(x)  # in the precision of the parameters, not `dtype`: these are positions
        return points.reshape(-1, self.num_fiducials, 2)


class TPS(nn.Module):
    """Rectifies images [B, H, W, C] -> [B, H, W, C]: localisation, grid, sampling."""

    num_fiducials: int
    channels: int = 512
    dtype: Any = None

    @nn.compact
    def __call__(self, images: Array, *, train: bool) -> Array:
        points = Localization(self.num_fiducials, self.channels, self.dtype, name="localization")(images, train=train)
        return bilinear_sample(images, sampling_grid(points, images.shape[1], images.shape[2]))
