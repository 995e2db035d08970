"""Metrics of unlabelled words, of readings written by hand."""

import jax
import jax.numpy as jnp
import numpy as np
from scripted import SCRIPTED

from jstr.objectives.parts.pseudo_labels import product, read
from jstr.objectives.parts.reading_metrics import agreement_metrics, teacher_accuracy

TEACHER = [[5, 6, 3, 0], [3, 0, 0, 0], [6, 3, 0, 0], [5, 3, 0, 0]]  # the second word is read as empty
STUDENT = [[5, 6, 3, 3], [3, 5, 5, 5], [5, 3, 0, 0], [5, 3, 0, 0]]  # what follows the end does not count
KEEP = np.array([True, True, False, True])
LABELS = np.array([[2, 5, 6, 3, 0], [2, 5, 3, 0, 0], [2, 6, 3, 0, 0], [2, 5, 3, 0, 0]])


def reading(ids, sureness=(3.0, 2.0, 4.0, 5.0)):
    return read(jax.nn.one_hot(jnp.array(ids), 7) * np.array(sureness)[:, None, None], SCRIPTED)


def test_agreement_of_teacher_and_student():
    teacher, student = reading(TEACHER), reading(STUDENT, (1.0, 1.0, 1.0, 1.0))
    found = agreement_metrics(teacher, student, SCRIPTED)
    confidence = np.asarray(product(teacher))
    assert found["agreement"] == (2, 4), "of the words that both read alike, one is empty"
    np.testing.assert_allclose(found["confidence"], [confidence.sum(), 4], rtol=1e-6)
    np.testing.assert_allclose(found["trust"], [confidence[0] + confidence[3], 4], rtol=1e-6)


def test_accuracy_of_the_teacher():
    teacher, has_label = reading(TEACHER), np.array([True, True, True, False])
    found = teacher_accuracy(teacher, jnp.asarray(KEEP), jnp.asarray(LABELS), jnp.asarray(has_label), SCRIPTED)
    assert found["teacher_accuracy"] == (2, 3) and found["confident_accuracy"] == (1, 2)
    brier = np.square(np.asarray(product(teacher))[:3] - [1, 0, 1]).sum()
    np.testing.assert_allclose(found["brier"], [brier, 3], rtol=1e-5)
