"""What a teacher's logits say: pseudo-labels and how confident they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jstr.core import Array, at_least_float32


class Reading(NamedTuple):
    """What logits [B, T, C] say, each step for itself.

    tokens [B, T] int32: characters, EOS, padding. CTC: the most probable class of every frame.
    mask [B, T] bool: the steps that make up the word, its end included. CTC: all frames.
    log_scores [B, T] float32: log probability of the most probable class; 0 outside of the mask.
    whole [B] bool: EOS itself ended the word, not another special token or the last step. CTC: a path of characters
      and blanks only.
    """

    tokens: Array
    mask: Array
    log_scores: Array
    whole: Array

    @property
    def log_confidence(self) -> Array:
        """[B]: the logarithm of the product of the scores."""
        return self.log_scores.sum(axis=1)


def read_steps(logits: Array, *, first_id: int, eos_id: int, pad_id: int) -> Reading:
    """The pseudo-labels of an attention decoder's logits [B, T, C].

    The first id below first_id ends the word, whichever it is, and becomes EOS; a word without an end is cut at the
    last step. The score of the end is the highest probability there, whatever won it. cr.md 4.1 to 4.4.
    """
    scores = jax.nn.log_softmax(at_least_float32(logits))
    best = jnp.argmax(scores, axis=-1).astype(jnp.int32)
    special = best < first_id
    steps = jnp.arange(best.shape[1])
    end = jnp.where(special.any(axis=1), jnp.argmax(special, axis=1), best.shape[1] - 1)[:, None]
    mask = steps <= end
    tokens = jnp.where(steps < end, best, jnp.where(steps == end, eos_id, pad_id))
    whole = jnp.take_along_axis(best, end, axis=1)[:, 0] == eos_id
    return Reading(tokens, mask, jnp.where(mask, scores.max(axis=-1), 0.0), whole)


def read_frames(logits: Array, *, first_id: int, blank_id: int = 0) -> Reading:
    """The most probable path of a CTC model's logits [B, T, C]. Ours: the published method has no CTC form."""
    scores = jax.nn.log_softmax(at_least_float32(logits))
    best = jnp.argmax(scores, axis=-1).astype(jnp.int32)
    whole = ((best == blank_id) | (best >= first_id)).all(axis=1)
    return Reading(best, jnp.ones(best.shape, bool), scores.max(axis=-1), whole)


def collapse(path: Array, length: int, *, first_id: int, pad_id: int) -> tuple[Array, Array]:
    """CTC paths [B, T] to labels: (ids [B, length] that end in padding, number of characters [B]).

    Repeats and everything below first_id are left out. A label that is longer is cut off; its number says so.
    """
    repeated = jnp.concatenate([jnp.zeros_like(path[:, :1], bool), path[:, 1:] == path[:, :-1]], axis=1)
    kept = (path >= first_id) & ~repeated
    place = jnp.where(kept, jnp.cumsum(kept, axis=1) - 1, length)
    rows = jnp.arange(len(path))[:, None]
    labels = jnp.full((len(path), length), pad_id, path.dtype).at[rows, place].set(path, mode="drop")
    return labels, kept.sum(axis=1)


def product(reading: Reading) -> Array:
    return jnp.exp(reading.log_confidence)


def minimum(reading: Reading) -> Array:
    return jnp.exp(reading.log_scores.min(axis=1))


def geometric_mean(reading: Reading) -> Array:
    return jnp.exp(reading.log_confidence / reading.mask.sum(axis=1))


# Confidences of a word: Reading -> [B] in 0..1.
CONFIDENCES: dict[str, Callable[[Reading], Array]] = {
    "product": product,
    "minimum": minimum,
    "geometric_mean": geometric_mean,
}
