"""From logits to what a recogniser reads, greedily. Arrays only; recognizers.md sections 2 and 9."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jstr.core import Array, Prediction


def _best(logits: Array) -> tuple[Array, Array]:
    """logits [..., C] -> (ids, probabilities) [...] of the most probable class."""
    logits = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
    return jnp.argmax(logits, axis=-1).astype(jnp.int32), jax.nn.softmax(logits).max(axis=-1)


def word_length(ids: Array, eos_id: int) -> Array:
    """[B]: the place of the first EOS in ids [B, T] counted from 1, so EOS included; T where there is none."""
    ended = ids == eos_id
    return jnp.where(ended.any(axis=1), jnp.argmax(ended, axis=1) + 1, ids.shape[1])


def attention_prediction(logits: Array, *, eos_id: int, pad_id: int) -> Prediction:
    """Logits [B, T, C] of an autoregressive decoder. Ids behind the first EOS become pad_id.

    EOS and what follows it score 1, so that the confidence covers the steps before EOS; without an EOS it covers all.
    """
    ids, scores = _best(logits)
    ended = jnp.cumsum(ids == eos_id, axis=1)
    behind = (ended > 1) | ((ended == 1) & (ids != eos_id))
    return Prediction(jnp.where(behind, pad_id, ids), jnp.where(ended > 0, 1.0, scores))


def ctc_prediction(logits: Array, *, blank_id: int = 0) -> Prediction:
    """Logits [B, T, C] of a CTC model, most probable path. Repeats become blanks where they stand.

    Every remaining id that stands for a character is a character of the text. All frames score: the confidence is the
    probability of the path.
    """
    ids, scores = _best(logits)
    repeated = ids[:, 1:] == ids[:, :-1]
    return Prediction(ids.at[:, 1:].set(jnp.where(repeated, blank_id, ids[:, 1:])), scores)


def confidence(prediction: Prediction, first_id: int) -> Array:
    """[B]: product of the scores; 0 for a word without characters."""
    written = (prediction.ids >= first_id).any(axis=1)
    return jnp.where(written, prediction.scores.prod(axis=1), 0.0)
