"""Losses between what a teacher reads and what a student reads: pseudo-labels, confidence, consistency, CORAL.

Arrays in, values per position or per word out, as in losses.py. cr.md sections 4 and 5, baselines.md.
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
    """The same less the entropy of p: KL(p || q), [B, T]. A temperature below 1 sharpens p; the teacher is constant."""
    target, log_prob = _pair(teacher, student, temperature)
    return (jnp.exp(target) * (target - log_prob)).sum(axis=-1)


def _pair(teacher: Array, student: Array, temperature: float) -> tuple[Array, Array]:
    target = jax.nn.log_softmax(at_least_float32(jax.lax.stop_gradient(teacher)) / temperature)
    return target, jax.nn.log_softmax(at_least_float32(student))


# Distances between two distributions: (teacher, student [B, T, C], temperature) -> [B, T].
DIVERGENCES = {"kl": kl_divergence, "ce": soft_cross_entropy}


def squared_difference(teacher: Array, student: Array) -> Array:
    """Mean over the classes of the squared difference of the probabilities, [B, T] (Mean Teacher)."""
    target = jax.nn.softmax(at_least_float32(jax.lax.stop_gradient(teacher)))
    return jnp.square(jax.nn.softmax(at_least_float32(student)) - target).mean(axis=-1)


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
    "linear": lambda done: done,
    "log": lambda done: 1 - jnp.exp(-5 * done),
    "exp": lambda done: jnp.exp(5 * (done - 1)),
}


def ensemble_certainty(log_prob: Array, mask: Array) -> Array:
    """[B]: the least over the steps of the geometric mean over M predictions of the probability of the chosen token.

    log_prob [M, B, T]: of the same tokens by each of M readings. mask [B, T]. ABINet (Fang et al. 2021).
    """
    return jnp.exp(jnp.where(mask, log_prob.mean(axis=0), 0.0).min(axis=1))
