"""Losses between the logits of a teacher and of a student, and the ways to reduce them to a batch.

Arrays in, values per position or per word out.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jstr.core import Array, at_least_float32


def soft_cross_entropy(teacher: Array, student: Array, temperature: float = 1.0) -> Array:
    """-sum p log q at every step, [B, T]: p the softmax of teacher logits [B, T, C] / temperature, q the student's."""
    target, log_prob = _pair(teacher, student, temperature)
    return -(jnp.exp(target) * log_prob).sum(axis=-1)


def kl_divergence(teacher: Array, student: Array, temperature: float = 1.0) -> Array:
    """KL(p || q), [B, T], with p and q as in soft_cross_entropy. A temperature below 1 sharpens p; p is a constant."""
    target, log_prob = _pair(teacher, student, temperature)
    return (jnp.exp(target) * (target - log_prob)).sum(axis=-1)


def _pair(teacher: Array, student: Array, temperature: float) -> tuple[Array, Array]:
    target = jax.nn.log_softmax(at_least_float32(jax.lax.stop_gradient(teacher)) / temperature)
    return target, jax.nn.log_softmax(at_least_float32(student))


# Distances between two distributions: (teacher, student [B, T, C], temperature) -> [B, T].
DIVERGENCES = {"kl": kl_divergence, "ce": soft_cross_entropy}


def squared_difference(teacher: Array, student: Array) -> Array:
    """Mean over the classes of the squared difference of the probabilities, [B, T], of logits [B, T, C].

    Mean Teacher (Tarvainen and Valpola 2017). The teacher is a constant.
    """
    target = jax.nn.softmax(at_least_float32(jax.lax.stop_gradient(teacher)))
    return jnp.square(jax.nn.softmax(at_least_float32(student)) - target).mean(axis=-1)


def over_characters(total: Array, count: Array, keep: Array) -> Array:
    """The mean over the characters of the kept words times the share of words kept (published code of CR).

    Of every word: total [B], the sum over its characters; count [B], their number; keep [B] bool. 0 if none is kept.
    """
    return keep.mean() * over_kept(total, count, keep)


def over_words(total: Array, count: Array, keep: Array) -> Array:
    """The mean over all words of the mean over their characters, 0 for those not kept (UDA, FixMatch).

    Arguments as in over_characters.
    """
    return jnp.where(keep, total / jnp.maximum(count, 1), 0.0).mean()


def over_kept(total: Array, count: Array, keep: Array) -> Array:
    """The mean over the characters of the kept words, 0 if none is kept. Arguments as in over_characters."""
    return jnp.where(keep, total, 0.0).sum() / jnp.maximum(jnp.where(keep, count, 0).sum(), 1)


REDUCTIONS = {"character": over_characters, "sample": over_words, "kept": over_kept}


def thresholded_divergence(
    teacher: Array, student: Array, mask: Array, *, one_hot: bool, kl: bool, threshold: float
) -> tuple[Array, Array]:
    """(sum, count) over the positions of mask [B, T] of the divergence between logits [B, T, C] of two views.

    Cross-entropy, or with `kl` the Kullback-Leibler divergence, from the teacher's probabilities or, with `one_hot`,
    its most probable class. Positions whose highest teacher probability is not above the threshold add 0 but are
    counted. Gradients flow to both. SemiMTR (Aberdam et al. 2022); one count for the whole batch, as in its code, where
    the paper has one per word.
    """
    log_target, log_prob = (jax.nn.log_softmax(at_least_float32(x)) for x in (teacher, student))
    target = jnp.exp(log_target)
    confident = target.max(axis=-1) > threshold
    if one_hot:  # cross-entropy and divergence are equal: the entropy of one class is zero
        best = jnp.argmax(log_target, axis=-1)[..., None]
        value = -jnp.take_along_axis(log_prob, best, axis=-1)[..., 0]
    else:
        value = (target * (log_target * kl - log_prob)).sum(axis=-1)
    return jnp.where(mask & confident, value, 0.0).sum(), mask.sum(dtype=jnp.float32)
