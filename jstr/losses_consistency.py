"""Losses between what a teacher reads and what a student reads: pseudo-labels, confidence, consistency, CORAL.

Arrays in, values per position or per word out, as in losses.py. cr.md sections 4 and 5, baselines.md.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jstr.core import Array
from jstr.losses import precise


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
    scores = jax.nn.log_softmax(precise(logits))
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
    scores = jax.nn.log_softmax(precise(logits))
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
    "product": product, "minimum": minimum, "geometric_mean": geometric_mean
}  # fmt: skip


def soft_cross_entropy(teacher: Array, student: Array, temperature: float = 1.0) -> Array:
    """-sum p log q at every step, [B, T]: p the softmax of teacher logits [B, T, C] / temperature, q the student's."""
    target, log_prob = _pair(teacher, student, temperature)
    return -(jnp.exp(target) * log_prob).sum(axis=-1)


def kl_divergence(teacher: Array, student: Array, temperature: float = 1.0) -> Array:
    """The same less the entropy of p: KL(p || q), [B, T]. A temperature below 1 sharpens p; the teacher is constant."""
    target, log_prob = _pair(teacher, student, temperature)
    return (jnp.exp(target) * (target - log_prob)).sum(axis=-1)


def _pair(teacher: Array, student: Array, temperature: float) -> tuple[Array, Array]:
    target = jax.nn.log_softmax(precise(jax.lax.stop_gradient(teacher)) / temperature)
    return target, jax.nn.log_softmax(precise(student))


# Distances between two distributions: (teacher, student [B, T, C], temperature) -> [B, T].
DIVERGENCES = {"kl": kl_divergence, "ce": soft_cross_entropy}


def squared_difference(teacher: Array, student: Array) -> Array:
    """Mean over the classes of the squared difference of the probabilities, [B, T] (Mean Teacher)."""
    target = jax.nn.softmax(precise(jax.lax.stop_gradient(teacher)))
    return jnp.square(jax.nn.softmax(precise(student)) - target).mean(axis=-1)


def over_characters(total: Array, count: Array, keep: Array) -> Array:
    """The mean over the characters of the kept words times the share of words kept (published code of CR).

    Of every word: total [B], the sum over its characters; count [B], their number; keep [B] bool. 0 if none is kept.
    """
    return keep.mean() * over_kept(total, count, keep)


def over_words(total: Array, count: Array, keep: Array) -> Array:
    """The mean over all words of the mean over their characters, 0 for those not kept (UDA, FixMatch)."""
    return jnp.where(keep, total / jnp.maximum(count, 1), 0.0).mean()


def over_kept(total: Array, count: Array, keep: Array) -> Array:
    """The mean over the characters of the kept words."""
    return jnp.where(keep, total, 0.0).sum() / jnp.maximum(jnp.where(keep, count, 0).sum(), 1)


REDUCTIONS = {"character": over_characters, "sample": over_words, "kept": over_kept}


def sigmoid_ramp(step: Array, steps: int) -> Array:
    """exp(-5 (1 - t)^2) with t = step / steps, up to 1; 1 throughout for steps=0 (Tarvainen and Valpola 2017)."""
    if not steps:
        return jnp.ones(())
    return jnp.exp(-5 * jnp.square(1 - jnp.minimum(step / steps, 1.0)))


# Thresholds of training signal annealing: the share of the steps made -> 0..1 (Xie et al. 2020).
ANNEALING = {
    "linear": lambda done: done, "log": lambda done: 1 - jnp.exp(-5 * done), "exp": lambda done: jnp.exp(5 * (done - 1))
}  # fmt: skip


def ensemble_certainty(log_prob: Array, mask: Array) -> Array:
    """[B]: the least over the steps of the geometric mean over M predictions of the probability of the chosen token.

    log_prob [M, B, T]: of the same tokens by each of M readings. mask [B, T]. ABINet (Fang et al. 2021).
    """
    return jnp.exp(jnp.where(mask, log_prob.mean(axis=0), 0.0).min(axis=1))


def scatter(features: Array, keep: Array) -> tuple[Array, Array]:
    """(sum of (x - mean)(x - mean)^T over the kept rows [D, D], number of rows) of features [N, D], keep [N] bool."""
    count = keep.sum().astype(jnp.float32)
    features = jnp.where(keep[:, None], precise(features), 0.0)
    centred = jnp.where(keep[:, None], features - features.sum(axis=0) / jnp.maximum(count, 1), 0.0)
    return jnp.matmul(centred.T, centred, precision=jax.lax.Precision.HIGHEST), count


def coral(source: Array, source_keep: Array, target: Array, target_keep: Array, normalise: bool = False) -> Array:
    """How far the second moments of two sets of characters, [N, D] and [M, D], differ; 0 when either is empty.

    normalise=False, the published code: squared distance of the scatter matrices / (4 D^4), so it grows with the
    square of the number of characters. True, CORAL (Sun and Saenko 2016): of the covariances / (4 D^2).
    """
    (a, n), (b, m) = scatter(source, source_keep), scatter(target, target_keep)
    size = source.shape[-1]
    if normalise:
        a, b = a / jnp.maximum(n - 1, 1), b / jnp.maximum(m - 1, 1)
    distance = jnp.square(a - b).sum() / (4.0 * size ** (2 if normalise else 4))  # a float: D^4 is beyond int32
    return jnp.where((n > 0) & (m > 0), distance, 0.0)
