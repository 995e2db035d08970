"""From a map of cells to one vector for each position of the word, in parallel (Fang et al. 2021, section 3.1).

Both modules map [B, h, w, D] to vectors [B, length, D] and weights [B, length, h, w], which sum to 1 over the cells.
Official code: modules/attention.py of ABINet.
"""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jstr.core import Array, at_least_float32
from jstr.nn.layers import ConvNorm, dense, torch_default
from jstr.nn.transformer import sinusoid


class PositionAttention(nn.Module):
    """Queries are position codes; keys come from a small U-Net over the map, `inner` channels wide."""

    length: int
    inner: int = 64
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> tuple[Array, Array]:
        width = x.shape[-1]

        def single(values, features, name, strides=(1, 1)):
            options = dict(strides=strides, dtype=self.dtype, use_bias=True, kernel_init=torch_default)
            return ConvNorm(features, **options, name=name)(values, train=train)

        keys, skips = x, [x]
        for i, strides in enumerate(((1, 2), (2, 2), (2, 2), (2, 2))):
            keys = single(keys, self.inner, f"down_{i}", strides)
            skips.append(keys)
        for i, skip in enumerate(skips[3:0:-1]):
            keys = single(_resize(keys, skip.shape), self.inner, f"up_{i}") + skip
        keys = single(_resize(keys, x.shape), width, "up_3")
        codes = jnp.asarray(sinusoid(self.length, width), x.dtype)
        queries = dense(width, dtype=self.dtype, kernel_init=torch_default, name="query")(codes)
        scores = jnp.einsum("td,bhwd->bthw", queries, keys) / jnp.sqrt(width).astype(x.dtype)
        return _weighted(scores, x)


class AdditiveAttention(nn.Module):
    """Scores each cell by a hidden layer over its features and a learned embedding of the reading order.

    The number of cells is part of the parameters, so h and w are fixed.
    """

    length: int
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> tuple[Array, Array]:
        b, h, w, width = x.shape
        order = self.param("order", jax.nn.initializers.normal(1.0), (self.length, width))
        cells = dense(h * w, dtype=self.dtype, kernel_init=torch_default, name="order_to_cells")(order.T).T
        hidden = dense(width, dtype=self.dtype, kernel_init=torch_default, name="value")(x.reshape(b, h * w, width))
        score = dense(self.length, dtype=self.dtype, kernel_init=torch_default, name="score")
        scores = score(jnp.tanh(cells + hidden)).transpose(0, 2, 1)
        return _weighted(scores.reshape(b, self.length, h, w), x)


def _weighted(scores: Array, x: Array) -> tuple[Array, Array]:
    """Softmax of scores [B, T, h, w] over the cells, and the mean of x [B, h, w, D] weighted by it: [B, T, D]."""
    weights = jax.nn.softmax(at_least_float32(scores), axis=(-2, -1))
    return jnp.einsum("bthw,bhwd->btd", weights.astype(x.dtype), x), weights


def _resize(x: Array, shape: tuple[int, ...]) -> Array:
    """Nearest-neighbour resize of x [B, h, w, C] to the height and width of `shape` [B, H, W, ...]."""
    for axis in (1, 2):
        old, new = x.shape[axis], shape[axis]
        if new % old == 0:
            x = jnp.repeat(x, new // old, axis=axis)
        else:
            x = jnp.take(x, jnp.arange(new) * old // new, axis=axis)
    return x
