"""How far a student's logits are from a teacher's, per word: to its distributions (soft) or its strings (hard)."""

from __future__ import annotations

import jax.numpy as jnp

from jstr.core import Array, ModelConfig
from jstr.losses import consistency, supervised
from jstr.objectives.parts.pseudo_labels import Reading, collapse

LABELS = ("soft", "hard")


def soft_distance(
    teacher_logits: Array, student_logits: Array, reading: Reading, steps: Array, divergence: str, temperature: float
) -> tuple[Array, Array]:
    """(sum over `steps` [B, T] of the divergence between logits [B, T, C], number of steps of the word), [B] each.

    reading: that of the teacher. divergence: one of consistency.DIVERGENCES; temperature sharpens the teacher.
    """
    values = consistency.DIVERGENCES[divergence](teacher_logits, student_logits, temperature)
    return jnp.where(steps, values, 0.0).sum(axis=1), reading.mask.sum(axis=1)


def hard_distance(
    student_logits: Array, reading: Reading, steps: Array, model_config: ModelConfig
) -> tuple[Array, Array]:
    """(loss of logits [B, T, C] for the teacher's string, number of its characters), [B] each.

    Attention: cross-entropy, summed over `steps` [B, T]. CTC: the negative log likelihood of the whole string; a string
    longer than max_length adds nothing and counts nothing.
    """
    if not model_config.is_ctc:
        targets = jnp.where(steps, reading.tokens, model_config.pad_id)
        total, _ = supervised.sequence_cross_entropy(student_logits, targets, model_config.pad_id)
        return total, reading.mask.sum(axis=1)
    labels, count = collapse(
        reading.tokens, model_config.max_length, first_id=model_config.first_id, pad_id=model_config.pad_id
    )
    per_character, _ = supervised.ctc(student_logits, labels, model_config.pad_id)
    fits, count = count <= model_config.max_length, jnp.maximum(count, 1)
    return jnp.where(fits, per_character * count, 0.0), jnp.where(fits, count, 0)
