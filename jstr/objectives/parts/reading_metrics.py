"""Metrics of unlabelled words: how teacher and student agree, and how often the teacher is right."""

from __future__ import annotations

import jax.numpy as jnp

from jstr.core import Array, Metrics, ModelConfig
from jstr.objectives.parts.pseudo_labels import Reading, product, strings


def share(values: Array, rows: Array | None = None) -> tuple[Array, Array]:
    """(sum, count) of values [B] over the given rows [B] bool; None: all."""
    rows = jnp.ones(values.shape, bool) if rows is None else rows
    return jnp.sum(jnp.where(rows, values, 0), dtype=jnp.float32), jnp.sum(rows, dtype=jnp.float32)


def agreement_metrics(teacher: Reading, student: Reading, model_config: ModelConfig) -> Metrics:
    """Metrics of unlabelled words as a teacher and a student read them.

    confidence: the teacher's, by product. agreement: the share of words, not empty, that both read alike. trust:
    agreement times confidence, word by word: it ranks checkpoints where there are no labels.
    """
    texts, confidence = strings(teacher, model_config), product(teacher)
    same = (texts == strings(student, model_config)).all(axis=1) & (texts >= model_config.first_id).any(axis=1)
    return {"confidence": share(confidence), "agreement": share(same), "trust": share(same * confidence)}


def teacher_accuracy(
    reading: Reading, keep: Array, tokens: Array, has_label: Array, model_config: ModelConfig
) -> Metrics:
    """Metrics of the words that have a label: tokens [B, N], has_label [B] bool. keep [B] bool: see pseudo_labels.

    teacher_accuracy; confident_accuracy, of those kept; brier, the mean of (confidence - correct)^2: how well
    calibrated the teacher is, 0 at best.
    """
    correct = _equal_texts(strings(reading, model_config), tokens[:, not model_config.is_ctc :], model_config.first_id)
    return {
        "teacher_accuracy": share(correct, has_label),
        "confident_accuracy": share(correct, has_label & keep),
        "brier": share(jnp.square(product(reading) - correct), has_label),
    }


def reading_accuracy(reading: Reading, tokens: Array, model_config: ModelConfig) -> Metrics:
    """right: the share of words that are read exactly as their tokens [B, N] say."""
    right = _equal_texts(strings(reading, model_config), tokens[:, not model_config.is_ctc :], model_config.first_id)
    return {"right": share(right)}


def _equal_texts(a: Array, b: Array, first_id: int) -> Array:
    """[B] bool: whether ids [B, N] and [B, M], characters first, are the same text."""
    length = max(a.shape[1], b.shape[1])
    a, b = (jnp.where(x >= first_id, x, 0) for x in (a, b))
    a, b = (jnp.pad(x, ((0, 0), (0, length - x.shape[1]))) for x in (a, b))
    return (a == b).all(axis=1)
