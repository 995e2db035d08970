"""What changes over the steps of training: the ramp of Mean Teacher and the signal annealing of UDA."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jstr.core import Array, ModelConfig
from jstr.losses import supervised


def sigmoid_ramp(step: Array, steps: int) -> Array:
    """exp(-5 (1 - t)^2) with t = step / steps, at most 1; always 1 for steps=0 (Tarvainen and Valpola 2017)."""
    if not steps:
        return jnp.ones(())
    return jnp.exp(-5 * jnp.square(1 - jnp.minimum(step / steps, 1.0)))


# Schedules of training signal annealing: share of the steps made, 0..1 -> 0..1 (Xie et al. 2020, section 2.2).
ANNEALING = {
    "linear": lambda done: done,
    "log": lambda done: 1 - jnp.exp(-5 * done),
    "exp": lambda done: jnp.exp(5 * (done - 1)),
}


def annealed_rows(
    logits: Array, tokens: Array, step: Array, schedule: str, steps: int, model_config: ModelConfig
) -> Array:
    """[B] bool: the labelled words that count at this step, of logits [B, T, C] for tokens [B, N].

    A word counts while the probability of its label is below 1/C + (1 - 1/C) a(t): C classes, a one of ANNEALING, and
    t = step / steps, at most 1. Labels that no alignment fits count, so that they are reported. Xie et al. 2020,
    section 2.2, for one class per image; that of a word, the geometric mean over its characters, is ours.
    """
    logits = jax.lax.stop_gradient(logits)
    alignable = True
    if model_config.is_ctc:
        per_character, alignable = supervised.ctc(logits, tokens, model_config.pad_id)
    else:
        total, count = supervised.sequence_cross_entropy(logits, tokens[:, 1:], model_config.pad_id)
        per_character = total / jnp.maximum(count, 1)
    least = 1 / logits.shape[-1]
    threshold = least + (1 - least) * ANNEALING[schedule](jnp.minimum(step / steps, 1.0))
    return (jnp.exp(-per_character) < threshold) | jnp.logical_not(alignable)
