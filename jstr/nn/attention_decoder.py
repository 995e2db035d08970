"""Prediction stages of the four-stage recognisers (Baek et al. 2019): CTC, and an LSTM with additive attention.

Official code: modules/prediction.py of deep-text-recognition-benchmark. The projection layer is that of Zheng et al.
2022 (CR-STR).
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from jstr.core import Array, at_least_float32
from jstr.nn.layers import dense, kaiming, kaiming_table
from jstr.nn.rnn import float32_einsum, lstm_update, states_before


class Projection(nn.Module):
    """[..., D] -> [..., D] without a residual connection. kind: `mlp` (D, D // 4, LayerNorm, ReLU, D) or `linear`."""

    kind: str
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array) -> Array:
        size = x.shape[-1]
        if self.kind == "mlp":
            x = dense(max(1, size // 4), dtype=self.dtype, name="hidden")(x)
            x = nn.relu(nn.LayerNorm(epsilon=1e-5, dtype=self.dtype, name="norm")(x))
        return dense(size, dtype=self.dtype, name="out")(x)


def classify(x: Array, kernel: Array, bias: Array) -> Array:
    """[..., D] -> logits [..., C] in the precision of the parameters, even where that of x is lower."""
    return jnp.dot(x, kernel.astype(x.dtype), preferred_element_type=bias.dtype) + bias


class CTCHead(nn.Module):
    """Classifies every frame: [B, S, D] -> {"logits": [B, S, C]}; the projected frames if `project`."""

    num_classes: int
    projection: str = "none"
    dtype: Any = None

    @nn.compact
    def __call__(self, frames: Array, *, project: bool = False) -> dict[str, Array]:
        kernel = self.param("classifier_kernel", kaiming, (frames.shape[-1], self.num_classes))
        bias = self.param("classifier_bias", nn.initializers.zeros, (self.num_classes,))
        (frames,) = nn.dtypes.promote_dtype(frames, dtype=self.dtype)
        if self.projection != "none" and (project or self.is_initializing()):
            projected = Projection(self.projection, self.dtype, name="projection")(frames)
            frames = projected if project else frames
        return {"logits": classify(frames, kernel, bias)}


class AttentionDecoder(nn.Module):
    """One LSTM cell that attends to all frames before it writes each character.

    steps: T, when it decodes freely. embedding_size: width of the learned token embedding, or 0 for one-hot tokens.
    """

    num_classes: int
    hidden_size: int
    steps: int
    bos_id: int
    embedding_size: int
    projection: str = "none"
    dtype: Any = None

    @nn.compact
    def __call__(
        self,
        frames: Array,
        tokens: Array | None = None,
        *,
        project: bool = False,
        stop_id: int | None = None,
        state: tuple[Array, Array] | None = None,
    ) -> dict[str, Any]:
        """frames [B, S, D] -> logits [B, T, C], glimpses [B, T, D], attention [B, T, S].

        tokens [B, T] int32: the token before each step, BOS first (teacher forcing); None: decodes greedily, feeding
          back its most probable tokens.
        project: puts the projection layer before the classifier. The recurrence does not see it.
        stop_id: with tokens None, stops when every word has had this token (EOS); later outputs are 0, and no gradient
          passes.
        state: hidden and cell [B, H] after an earlier call, to continue from, with tokens. Adds the new `state` to the
          outputs.
        """
        weights = self._weights(frames.shape[-1])
        kernel, bias = weights.pop("classifier_kernel"), weights.pop("classifier_bias")
        frames, *values = nn.dtypes.promote_dtype(frames, *weights.values(), dtype=self.dtype)
        weights = dict(zip(weights, values, strict=True))
        projection = self._projection(project)

        def logits_of(hidden):
            return classify(projection(hidden), kernel, bias)

        table = token_table(weights, frames.shape[-1])
        zero = jnp.zeros((frames.shape[0], self.hidden_size), frames.dtype)
        if tokens is None:
            outputs = self._feed_back(attention_step(frames, weights), table, zero, logits_of, stop_id)
        else:
            parts = step_parts(frames, weights)
            after, (hidden, glimpses, attention) = attend(*parts, table[tokens.T], state or (zero, zero))
            outputs = logits_of(hidden), glimpses, attention
        logits, glimpses, attention = (x.swapaxes(0, 1) for x in outputs)
        outputs = {"logits": logits, "glimpses": glimpses, "attention": attention}
        return outputs | {"state": after} if state else outputs

    def _weights(self, size: int) -> dict[str, Array]:
        hidden, classes, zeros = self.hidden_size, self.num_classes, nn.initializers.zeros
        token_size = self.embedding_size or classes
        weights = {
            "memory_kernel": self.param("memory_kernel", kaiming, (size, hidden)),
            "query_kernel": self.param("query_kernel", kaiming, (hidden, hidden)),
            "query_bias": self.param("query_bias", zeros, (hidden,)),
            "score_kernel": self.param("score_kernel", kaiming, (hidden, 1)),
            "input_kernel": self.param("input_kernel", kaiming, (size + token_size, 4 * hidden)),
            "recurrent_kernel": self.param("recurrent_kernel", kaiming, (hidden, 4 * hidden)),
            "bias": self.param("bias", zeros, (4 * hidden,)),
            "classifier_kernel": self.param("classifier_kernel", kaiming, (hidden, classes)),
            "classifier_bias": self.param("classifier_bias", zeros, (classes,)),
        }
        if self.embedding_size:
            weights["embedding"] = self.param("embedding", kaiming_table, (classes, token_size))
        return weights

    def _projection(self, project: bool) -> Callable[[Array], Array]:
        """The projection layer as a pure function, because greedy decoding calls it inside a scan."""
        if self.projection == "none":
            return lambda hidden: hidden
        layer = Projection(self.projection, self.dtype, name="projection")
        if self.is_initializing():
            layer(jnp.zeros((1, self.hidden_size)))
        if not project:
            return lambda hidden: hidden
        layer, variables = layer.unbind()
        return lambda hidden: layer.apply(variables, hidden)

    def _feed_back(self, step, table, zero, logits_of, stop_id: int | None) -> tuple[Array, Array, Array]:
        """Decodes greedily from BOS: logits [T, B, C], glimpses [T, B, D], attention [T, B, S]."""

        def body(carry, _):
            state, token = carry
            state, (hidden, glimpse, attention) = step(state, table[token])
            logits = logits_of(hidden)
            return (state, jnp.argmax(logits, axis=-1).astype(jnp.int32)), (logits, glimpse, attention)

        start = (zero, zero), jnp.full(zero.shape[0], self.bos_id, jnp.int32)
        if stop_id is not None:
            return scan_until(body, start, self.steps, stop_id)
        return jax.lax.scan(body, start, None, length=self.steps)[1]


def scan_until(body: Callable, start: tuple, steps: int, stop_id: int) -> Any:
    """`jax.lax.scan(body, start, None, steps)[1]` that stops when every row has had the token `stop_id`.

    The carry of body is (state, tokens [B]). The outputs of the steps that it skips are 0.
    """
    shapes = jax.eval_shape(body, start, None)[1]
    outputs = jax.tree.map(lambda x: jnp.zeros((steps, *x.shape), x.dtype), shapes)

    def unfinished(loop):
        number, _, ended, _ = loop
        return (number < steps) & ~ended.all()

    def advance(loop):
        number, carry, ended, outputs = loop
        carry, new = body(carry, None)
        put = functools.partial(jax.lax.dynamic_update_index_in_dim, index=number, axis=0)
        outputs = jax.tree.map(put, outputs, new)
        return number + 1, carry, ended | (carry[1] == stop_id), outputs

    return jax.lax.while_loop(unfinished, advance, (0, start, jnp.zeros(start[1].shape, bool), outputs))[3]


def token_table(weights: dict[str, Array], size: int) -> Array:
    """The contribution of every token to the gates, [C, 4H]. Computed once; each step only looks up rows.

    size: D. The first D rows of the input kernel belong to the glimpse.
    """
    kernel = weights["input_kernel"][size:]
    return (weights["embedding"] @ kernel if "embedding" in weights else kernel) + weights["bias"]


class Kernels(NamedTuple):
    """What a step multiplies: hidden states by [H, 5H] (query and gates in one product), glimpses by [D, 4H]."""

    state: Array
    glimpse: Array


class Attended(NamedTuple):
    """What a step attends to: frames [B, S, D], their projection memory [B, S, H], and the score kernel [H, 1]."""

    frames: Array
    memory: Array
    score_kernel: Array


def step_parts(frames: Array, weights: dict[str, Array], memory: Array | None = None) -> tuple[Kernels, Attended]:
    """The memory is projected here, once, unless it is given.

    Kernels are sliced here rather than in the step: on several devices XLA would all-reduce the gradient of a slice at
    each step.
    """
    if memory is None:
        memory = frames @ weights["memory_kernel"] + weights["query_bias"]
    state_kernel = jnp.concatenate([weights["query_kernel"], weights["recurrent_kernel"]], axis=1)
    kernels = Kernels(state_kernel, weights["input_kernel"][: frames.shape[-1]])
    return kernels, Attended(frames, memory, weights["score_kernel"])


def attention_step(frames: Array, weights: dict[str, Array], memory: Array | None = None) -> Callable:
    """The body of a scan: state, token gates [B, 4H] -> state, (hidden [B, H], glimpse [B, D], attention [B, S])."""
    parts = step_parts(frames, weights, memory)
    return lambda state, token_gates: _step(*parts, state, token_gates)


def _step(kernels: Kernels, attended: Attended, state: tuple, token_gates: Array, added_query: Array | float = 0.0):
    """attention_step of these parts; added_query [B, H] is added to the query."""
    hidden, cell = state
    query, gates = jnp.split(hidden @ kernels.state, [hidden.shape[-1]], axis=-1)
    scores = (jnp.tanh(attended.memory + (query + added_query)[:, None]) @ attended.score_kernel)[..., 0]
    attention = nn.softmax(at_least_float32(scores))
    glimpse = jnp.einsum("bs,bsd->bd", attention.astype(attended.frames.dtype), attended.frames)
    gates = gates + glimpse @ kernels.glimpse + token_gates
    hidden, cell = lstm_update(gates, cell)
    return (hidden, cell), (hidden, glimpse, attention)


@jax.custom_vjp
def attend(kernels: Kernels, attended: Attended, token_gates: Array, state: tuple) -> tuple:
    """All steps of known tokens: gates [T, B, 4H] and a state -> (state after them, what the steps give, [T, B, ...]).

    The gradients of the kernels are one product each over all steps, as in `jstr.nn.rnn.recurrence`.
    """
    return jax.lax.scan(lambda state, gates: _step(kernels, attended, state, gates), state, token_gates)


def _attend_forward(kernels: Kernels, attended: Attended, token_gates: Array, state: tuple) -> tuple[tuple, tuple]:
    def run(attended, token_gates, queries, state):
        """queries: zeros that are added, so that there is a gradient of the product's result at every step."""
        return jax.lax.scan(lambda state, row: _step(kernels, attended, state, *row), state, (token_gates, queries))

    steps, batch, _ = token_gates.shape
    queries = jnp.zeros((steps, batch, state[0].shape[-1]), token_gates.dtype)
    result, to_inputs = jax.vjp(run, attended, token_gates, queries, state)
    hidden, glimpses, _ = result[1]
    return result, (states_before(state[0], hidden), glimpses, to_inputs)


def _attend_backward(saved: tuple, gradient: tuple) -> tuple:
    hidden, glimpses, to_inputs = saved
    attended, gates, queries, state = to_inputs(gradient)
    of_state = float32_einsum("tbh,tbk->hk", hidden, jnp.concatenate([queries, gates], axis=-1))
    return Kernels(of_state, float32_einsum("tbd,tbk->dk", glimpses, gates)), attended, gates, state


attend.defvjp(_attend_forward, _attend_backward)
