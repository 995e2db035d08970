"""Post-norm transformer layers (Vaswani et al. 2017), as in ABINet (Fang et al. 2021, sections 3.1 and 3.2).

Softmax and layer normalisation are computed in at least float32, whatever `dtype` is.
"""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jstr.core import Array, at_least_float32
from jstr.nn.dropout import Dropout, drop
from jstr.nn.layers import dense, torch_default

# Glorot uniform over PyTorch's joint matrix of queries, keys and values, which is three times as wide as each.
_stacked_glorot = jax.nn.initializers.variance_scaling(0.5, "fan_in", "uniform")


def sinusoid(length: int, width: int) -> np.ndarray:
    """Position codes [length, width] float64: sines and cosines in turn (Vaswani et al., section 3.5)."""
    angle = np.arange(length)[:, None] * np.exp(np.arange(0, width, 2) * (-np.log(10000.0) / width))
    return np.stack([np.sin(angle), np.cos(angle)], axis=-1).reshape(length, width)


def add_positions(x: Array) -> Array:
    """x [B, N, D] plus the codes of its N positions."""
    return x + jnp.asarray(sinusoid(*x.shape[1:]), x.dtype)


class Attention(nn.Module):
    """Multi-head attention of queries [B, Q, D] over memory [B, N, D] -> [B, Q, D], with dropout on its weights.

    mask [B or 1, 1, Q, N] bool: True where the query may attend. One that may attend nowhere averages all positions.
    """

    num_heads: int
    dropout: float
    dtype: Any = None

    @nn.compact
    def __call__(self, query: Array, memory: Array, mask: Array | None = None, *, train: bool) -> Array:
        attend = nn.MultiHeadDotProductAttention(
            self.num_heads,
            self.dtype,
            dropout_rate=self.dropout,
            kernel_init=_stacked_glorot,
            out_kernel_init=torch_default,
            attention_fn=_attend,
            name="attention",
        )
        return attend(query, memory, mask=mask, deterministic=not train)


def _attend(query, key, value, mask=None, dropout_rng=None, dropout_rate=0.0, deterministic=False):
    """query [B, Q, H, d], key and value [B, N, H, d] -> [B, Q, H, d]; the attention_fn of Attention."""
    # Heads first: on a CPU, XLA multiplies strided slices at half the speed.
    query, key, value = (x.transpose(0, 2, 1, 3) for x in (query, key, value))
    scores = jnp.einsum("bhqd,bhnd->bhqn", query / np.sqrt(query.shape[-1]).astype(query.dtype), key)
    scores = at_least_float32(scores)
    if mask is not None:
        scores = jnp.where(mask, scores, jnp.finfo(scores.dtype).min)
    weights = jax.nn.softmax(scores).astype(value.dtype)
    if dropout_rate and not deterministic:
        weights = drop(weights, dropout_rng, dropout_rate)
    return jnp.einsum("bhqn,bhnd->bhqd", weights, value).transpose(0, 2, 1, 3)


class Layer(nn.Module):
    """Attention and a feed-forward network, each added to its input and then normalised: [B, Q, D] -> [B, Q, D].

    memory [B, N, D]: what the attention reads; None: the input itself (an encoder layer). hidden: width between the two
    matrices of the feed-forward network.
    """

    num_heads: int
    hidden: int
    dropout: float
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array, memory: Array | None = None, mask: Array | None = None, *, train: bool) -> Array:
        def dropped(values):
            return Dropout(self.dropout)(values, train=train)

        def norm(values, name):
            layer_norm = nn.LayerNorm(epsilon=1e-5, use_fast_variance=False, name=name)
            return layer_norm(at_least_float32(values)).astype(values.dtype)

        attended = Attention(self.num_heads, self.dropout, self.dtype, name="attend")
        x = norm(x + dropped(attended(x, x if memory is None else memory, mask, train=train)), "norm_0")
        inner = dropped(nn.relu(dense(self.hidden, dtype=self.dtype, kernel_init=torch_default, name="inner")(x)))
        outer = dense(x.shape[-1], dtype=self.dtype, kernel_init=torch_default, name="outer")(inner)
        return norm(x + dropped(outer), "norm_1")
