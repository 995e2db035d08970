"""LSTMs. Gates are stored in the order input, forget, cell, output, with one bias vector for all four."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jstr.core import Array, at_least_float32
from jstr.nn import platform
from jstr.nn.layers import dense, kaiming_stacked


def lstm_update(gates: Array, cell: Array) -> tuple[Array, Array]:
    """One step of an LSTM. gates [..., 4H] before the nonlinearities, cell [..., H] -> (hidden, cell) [..., H]."""
    i, f, g, o = jnp.split(gates, 4, axis=-1)
    cell = nn.sigmoid(f) * cell + nn.sigmoid(i) * jnp.tanh(g)
    return nn.sigmoid(o) * jnp.tanh(cell), cell


@jax.custom_vjp
def recurrence(inputs: tuple[Array, ...], kernel: Array) -> Array:
    """N LSTMs side by side, from zero states: N x [S, B, 4H] and kernels [N, H, 4H] -> hidden states [S, N, B, H].

    inputs: the gates without the products with the hidden states. The gradient of the kernels is one product over all
    steps after the backward scan. In the scan it would be S small ones, whose sum rounds at every step in the precision
    of the activations, and which XLA may all-reduce at every step where the batch is on several devices. The backward
    scan recomputes the nonlinearities, which is faster than keeping their results.
    """
    return _scan(inputs, kernel, keep=False)[0]


def _scan(inputs: tuple[Array, ...], kernel: Array, keep: bool) -> tuple[Array, ...]:
    """Hidden states [S, N, B, H] after each step; keep: also cells, and gates [S, N, B, 4H] before nonlinearities."""

    def step(state, inputs):
        hidden, cell = state
        gates = jnp.stack(inputs) + jnp.einsum("nbh,nhk->nbk", hidden, kernel)
        hidden, cell = lstm_update(gates, cell)
        return (hidden, cell), (hidden, cell, gates) if keep else (hidden,)

    zero = jnp.zeros((len(inputs), inputs[0].shape[1], kernel.shape[1]), inputs[0].dtype)
    unroll = platform.platform() == "tflite"  # whose converter refuses loops
    return jax.lax.scan(step, (zero, zero), inputs, unroll=unroll)[1]


def _recurrence_forward(inputs: tuple[Array, ...], kernel: Array) -> tuple[Array, tuple]:
    hidden, cells, gates = _scan(inputs, kernel, keep=True)
    return hidden, (hidden, cells, gates, kernel)


def _recurrence_backward(saved: tuple, gradient: Array) -> tuple[tuple[Array, ...], Array]:
    hidden, cells, gates, kernel = saved
    zero = jnp.zeros_like(hidden[0])

    def step(state, inputs):
        g_hidden, g_cell = state
        g_output, gates, cell = inputs
        g_gates, g_cell = jax.vjp(lstm_update, gates, cell)[1]((g_hidden + g_output, g_cell))
        return (jnp.einsum("nbk,nhk->nbh", g_gates, kernel), g_cell), tuple(g_gates)

    g_gates = jax.lax.scan(step, (zero, zero), (gradient, gates, states_before(zero, cells)), reverse=True)[1]
    before = states_before(zero, hidden).swapaxes(0, 1)
    products = [float32_einsum("sbh,sbk->hk", h, g) for h, g in zip(before, g_gates, strict=True)]
    return g_gates, jnp.stack(products)


recurrence.defvjp(_recurrence_forward, _recurrence_backward)


def states_before(start: Array, states: Array) -> Array:
    """The states [S, ...] before each step, from `start` [...] and the states [S, ...] after each."""
    return jnp.concatenate([start[None], states[:-1]])


def float32_einsum(form: str, left: Array, right: Array) -> Array:
    """einsum that sums in float32 at least; the result has the precision of `left`."""
    return jnp.einsum(form, left, right, preferred_element_type=at_least_float32(left).dtype).astype(left.dtype)


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
        frames = frames.swapaxes(0, 1)
        inputs = tuple(x @ w + b for x, w, b in zip((frames, frames[::-1]), w_in, bias, strict=True))
        hidden = recurrence(inputs, w_rec)
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
