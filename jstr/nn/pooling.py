"""Max pooling whose gradient goes to the pixels that the forward pass chose.

JAX's own gradient of a maximum compares it with its inputs. XLA may compute these a second time with other rounding, so
that no input equals the maximum and its gradient is lost. Here the forward pass saves which inputs it equals, as bits.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp

from jstr.core import Array


def max_pool(x: Array, height: int, width: int) -> Array:
    """Maximum over windows of height x width pixels without overlap: [B, H, W, C] -> [B, H // height, W // width, C].

    Rows at the bottom and columns on the right that do not fill a window are dropped. A reshape instead of
    reduce_window, whose gradient is slow on a CPU. Pixels that tie share the gradient.
    """
    rows, columns = x.shape[1] // height, x.shape[2] // width
    return _max_of_windows(x[:, : rows * height, : columns * width], height, width)


def max_pool_overlapping(x: Array) -> Array:
    """Windows of 2x2, stride (2, 1), one column of -inf on both sides: [B, H, W, C] -> [B, H // 2, W + 1, C]."""
    x = max_pool(x, 2, 1)
    left = jnp.pad(x, ((0, 0), (0, 0), (1, 0), (0, 0)), constant_values=-jnp.inf)
    right = jnp.pad(x, ((0, 0), (0, 0), (0, 1), (0, 0)), constant_values=-jnp.inf)
    return _larger(left, right)


@functools.partial(jax.custom_vjp, nondiff_argnums=(1, 2))
def _max_of_windows(x: Array, height: int, width: int) -> Array:
    """`max_pool` of images that windows fill: [B, H, W, C] -> [B, H / height, W / width, C]."""
    return _windows(x, height, width).max(axis=(2, 4))


def _max_of_windows_forward(x: Array, height: int, width: int) -> tuple[Array, Array]:
    windows = _windows(x, height, width)
    return _winners([windows[:, :, i, :, j] for i in range(height) for j in range(width)])


def _max_of_windows_backward(height: int, width: int, winners: Array, g: Array) -> tuple[Array]:
    share = g / jax.lax.population_count(winners).astype(g.dtype)
    pixel = jnp.arange(height * width, dtype=winners.dtype).reshape(height, 1, width, 1)
    is_winner = winners[:, :, None, :, None] >> pixel & 1
    b, h, w, c = g.shape
    return (jnp.where(is_winner, share[:, :, None, :, None], 0).reshape(b, h * height, w * width, c),)


_max_of_windows.defvjp(_max_of_windows_forward, _max_of_windows_backward)


def _windows(x: Array, height: int, width: int) -> Array:
    """[B, H, W, C] -> [B, H / height, height, W / width, width, C]."""
    b, h, w, c = x.shape
    return x.reshape(b, h // height, height, w // width, width, c)


@jax.custom_vjp
def _larger(x: Array, y: Array) -> Array:
    """The elementwise maximum of two arrays of one shape."""
    return jnp.maximum(x, y)


def _larger_forward(x: Array, y: Array) -> tuple[Array, Array]:
    return _winners([x, y])


def _larger_backward(winners: Array, g: Array) -> tuple[Array, Array]:
    share = g / jax.lax.population_count(winners).astype(g.dtype)
    return jnp.where(winners & 1, share, 0), jnp.where(winners >> 1 & 1, share, 0)


_larger.defvjp(_larger_forward, _larger_backward)


def _winners(parts: list[Array]) -> tuple[Array, Array]:
    """The elementwise maximum of up to 8 arrays of one shape, and which of them it equals, as bits of a uint8."""
    largest, winners = parts[0], jnp.ones(parts[0].shape, jnp.uint8)
    for i, part in enumerate(parts[1:], 1):
        bit = jnp.uint8(1 << i)
        winners = jnp.where(part > largest, bit, jnp.where(part == largest, winners | bit, winners))
        largest = jnp.maximum(largest, part)
    return largest, winners
