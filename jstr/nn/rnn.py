"""LSTMs. Gates are stored in the order input, forget, cell, output, with one bias vector for all four."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jstr.core import Array
from jstr.nn import platform
from jstr.nn.layers import dense, kaiming_stacked


def lstm_update(gates: Array, cell: Array) -> tuple[Array, Array]:
    """One step of an LSTM. gates [..., 4H] before the nonlinearities, cell [..., H] -> (hidden, cell) [..., H]."""
    i, f, g, o = jnp.split(gates, 4, axis=-1)
    cell = nn.sigmoid(f) * cell + nn.sigmoid(i) * jnp.tanh(g)
    return nn.sigmoid(o) * jnp.tanh(cell), cell


class BiLSTM(nn.Module):
    """Bidirectional LSTM from zero states: [B, S, D] -> [B, S, 2H], forward direction first.

    There is no mask: images of a batch have the same width. Both directions advance in one scan; the products with the
    inputs, which need no state, are computed before it.
    """

    hidden_size: int
    dtype: Any = None

    @nn.compact
    def __call__(self, frames: Array) -> Array:
        size = self.hidden_size
        w_in = self.param("input_kernel", kaiming_stacked, (2, frames.shape[-1], 4 * size))
        w_rec = self.param("recurrent_kernel", kaiming_stacked, (2, size, 4 * size))
        bias = self.param("bias", nn.initializers.zeros, (2, 4 * size))
        frames, w_in, w_rec, bias = nn.dtypes.promote_dtype(frames, w_in, w_rec, bias, dtype=self.dtype)
        inputs = jnp.stack([frames, frames[:, ::-1]])
        inputs = jnp.einsum("nbsd,ndk->snbk", inputs, w_in) + bias[:, None]

        def step(state, inputs):
            hidden, cell = state
            hidden, cell = lstm_update(inputs + jnp.einsum("nbh,nhk->nbk", hidden, w_rec), cell)
            return (hidden, cell), hidden

        zero = jnp.zeros((2, frames.shape[0], size), frames.dtype)
        unroll = platform.platform() == "tflite"  # whose converter refuses loops
        _, hidden = jax.lax.scan(step, (zero, zero), inputs, unroll=unroll)
        forward, backward = hidden[:, 0], hidden[::-1, 1]
        return jnp.concatenate([forward, backward], axis=-1).swapaxes(0, 1)


class BiLSTMBlock(nn.Module):
    """BiLSTM and a linear layer: [B, S, D] -> [B, S, hidden_size], as in CRNN (Shi et al. 2015; Baek et al. 2019)."""

    hidden_size: int
    dtype: Any = None

    @nn.compact
    def __call__(self, frames: Array) -> Array:
        frames = BiLSTM(self.hidden_size, dtype=self.dtype, name="lstm")(frames)
        return dense(self.hidden_size, dtype=self.dtype, name="linear")(frames)
