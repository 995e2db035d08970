"""Pseudo-labels: what a teacher's logits read, how confident they are, and which of them are learned from.

Attention decoders follow the published code of CR (Zheng et al. 2022, KLDivLoss). The forms for CTC are ours.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jstr.core import Array, ModelConfig, at_least_float32


class Reading(NamedTuple):
    """What logits [B, T, C] read, taking the most probable class at each step.

    tokens [B, T] int32: characters, EOS, padding. CTC: the most probable class of every frame.
    mask [B, T] bool: the steps that make up the word, its end included. CTC: all frames.
    log_scores [B, T] float32: log probability of the most probable class; 0 outside of the mask.
    whole [B] bool: the word was ended by EOS, not by another special token or the last step. CTC: a path of characters
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


def read(logits: Array, model_config: ModelConfig) -> Reading:
    """The reading of logits [B, T, C] of either kind of recogniser."""
    if model_config.eos_id is None:  # CTC
        return read_frames(logits, first_id=model_config.first_id)
    return read_steps(logits, first_id=model_config.first_id, eos_id=model_config.eos_id, pad_id=model_config.pad_id)


def read_steps(logits: Array, *, first_id: int, eos_id: int, pad_id: int) -> Reading:
    """The reading of logits [B, T, C] of an attention decoder.

    The first id below first_id ends the word, whichever it is, and becomes EOS; a word without an end is cut at the
    last step. The score of the end is the highest probability there, whichever class it belongs to. As published.
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
    """The most probable path of logits [B, T, C] of a CTC recogniser. Ours: the published method has no CTC form."""
    scores = jax.nn.log_softmax(at_least_float32(logits))
    best = jnp.argmax(scores, axis=-1).astype(jnp.int32)
    whole = ((best == blank_id) | (best >= first_id)).all(axis=1)
    return Reading(best, jnp.ones(best.shape, bool), scores.max(axis=-1), whole)


def collapse(path: Array, length: int, *, first_id: int, pad_id: int) -> tuple[Array, Array]:
    """CTC paths [B, T] to labels: (ids [B, length] that end in padding, number of characters [B]).

    Repeats and ids below first_id are removed. A longer label is cut; its number of characters still says so.
    """
    repeated = jnp.concatenate([jnp.zeros_like(path[:, :1], bool), path[:, 1:] == path[:, :-1]], axis=1)
    kept = (path >= first_id) & ~repeated
    place = jnp.where(kept, jnp.cumsum(kept, axis=1) - 1, length)
    rows = jnp.arange(len(path))[:, None]
    labels = jnp.full((len(path), length), pad_id, path.dtype).at[rows, place].set(path, mode="drop")
    return labels, kept.sum(axis=1)


def strings(reading: Reading, model_config: ModelConfig) -> Array:
    """[B, N] int32: the characters, followed by ids of none; rows are equal if and only if their texts are."""
    tokens = reading.tokens
    if model_config.is_ctc:
        return collapse(tokens, tokens.shape[1], first_id=model_config.first_id, pad_id=model_config.pad_id)[0]
    return tokens


def decoder_inputs(reading: Reading, model_config: ModelConfig) -> Array | None:
    """The reading as tokens [B, T + 1] for an attention decoder, BOS first; None for CTC, which takes no tokens."""
    if model_config.is_ctc:
        return None
    return jnp.pad(reading.tokens, ((0, 0), (1, 0)), constant_values=model_config.bos_id)


def product(reading: Reading) -> Array:
    """[B]: the probability of the whole word."""
    return jnp.exp(reading.log_confidence)


def minimum(reading: Reading) -> Array:
    """[B]: the probability of the least certain step."""
    return jnp.exp(reading.log_scores.min(axis=1))


def geometric_mean(reading: Reading) -> Array:
    """[B]: the geometric mean of the probabilities of the steps."""
    return jnp.exp(reading.log_confidence / reading.mask.sum(axis=1))


# Confidences of a word: Reading -> [B] in 0..1.
CONFIDENCES: dict[str, Callable[[Reading], Array]] = {
    "product": product,
    "minimum": minimum,
    "geometric_mean": geometric_mean,
}


class Selection(NamedTuple):
    """Which pseudo-labels are learned from: confidence [B], keep [B] bool, and the steps [B, T] bool that count."""

    confidence: Array
    keep: Array
    steps: Array


def select(
    reading: Reading, confidence: str, threshold: float, *, whole_only: bool = False, per_character: bool = False
) -> Selection:
    """The words whose confidence (one of CONFIDENCES) reaches the threshold.

    whole_only: of these, only words that are `whole`. per_character: each step counts if its own probability reaches
    the threshold, and a word is kept if any of its steps counts. Steps that do not count add nothing to the loss, but
    the sum over a word is still divided by all its steps.
    """
    values, steps = CONFIDENCES[confidence](reading), reading.mask
    keep = values >= threshold
    if per_character:
        steps = steps & (jnp.exp(reading.log_scores) >= threshold)
        keep = steps.any(axis=1)
    return Selection(values, keep & reading.whole if whole_only else keep, steps)
