"""Greedy decoding: from logits to a Prediction, and the confidence of a word. Arrays only.

Baek et al. 2019; official code: test.py of clovaai/deep-text-recognition-benchmark.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jstr.core import Array, Prediction, at_least_float32


def _best(logits: Array) -> tuple[Array, Array]:
    """(ids, probabilities) [...] of the most probable classes of logits [..., C]."""
    logits = at_least_float32(logits)
    return jnp.argmax(logits, axis=-1).astype(jnp.int32), jax.nn.softmax(logits).max(axis=-1)


def word_length(ids: Array, eos_id: int) -> Array:
    """[B]: how many of ids [B, T] come up to the first EOS, including it; T where there is none."""
    ended = ids == eos_id
    return jnp.where(ended.any(axis=1), jnp.argmax(ended, axis=1) + 1, ids.shape[1])


def attention_prediction(logits: Array, *, eos_id: int, pad_id: int) -> Prediction:
    """The most probable classes of logits [B, T, C] up to EOS; ids after the first EOS become pad_id.

    EOS and what follows it score 1, so the confidence covers the characters before EOS. A word without EOS is longer
    than T - 1 characters, or not read to its end: its last step scores the probability of EOS. (The official code drops
    the last character of such a word and ignores EOS; here the character stays.)
    """
    ids, scores = _best(logits)
    scores = scores.at[:, -1].set(jax.nn.softmax(at_least_float32(logits[:, -1]))[:, eos_id])
    ended = jnp.cumsum(ids == eos_id, axis=1)
    after = (ended > 1) | ((ended == 1) & (ids != eos_id))
    return Prediction(jnp.where(after, pad_id, ids), jnp.where(ended > 0, 1.0, scores))


def ctc_prediction(logits: Array, *, blank_id: int = 0) -> Prediction:
    """The most probable CTC path of logits [B, T, C], with repeats replaced by blanks.

    Every remaining id of a character is a character of the text. All frames score, so the confidence is the probability
    of the path.
    """
    ids, scores = _best(logits)
    repeated = ids[:, 1:] == ids[:, :-1]
    return Prediction(ids.at[:, 1:].set(jnp.where(repeated, blank_id, ids[:, 1:])), scores)


def confidence(prediction: Prediction, first_id: int) -> Array:
    """[B]: the product of the scores; 0 for a word without characters."""
    has_text = (prediction.ids >= first_id).any(axis=1)
    return jnp.where(has_text, prediction.scores.prod(axis=1), 0.0)
