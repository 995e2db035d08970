"""Readings of attention and CTC logits, and their confidences."""

import jax
import jax.numpy as jnp
import numpy as np
from scripted import TEACHER

from jstr.objectives.parts import pseudo_labels

LAYOUT = dict(first_id=5, eos_id=3, pad_id=0)


def test_pseudo_labels():
    """Values of the published code of CR, here without BOS."""
    rows = [[5, 6, 3, 5], [5, 5, 5, 6], [4, 5, 5, 5], [3, 5, 5, 5]]
    reading = pseudo_labels.read_steps(jax.nn.one_hot(np.array(rows), 7), **LAYOUT)
    np.testing.assert_array_equal(reading.tokens, [[5, 6, 3, 0], [5, 5, 5, 3], [3, 0, 0, 0], [3, 0, 0, 0]])
    np.testing.assert_array_equal(reading.mask, [[1, 1, 1, 0], [1, 1, 1, 1], [1, 0, 0, 0], [1, 0, 0, 0]])
    np.testing.assert_array_equal(reading.whole, [True, False, False, True])


def test_confidences():
    """The worked example of tests/scripted.py."""
    reading = pseudo_labels.read_steps(TEACHER, **LAYOUT)
    scores = [[0.876144, 0.832796, 0.917454, 1], [0.273364, 0.215105, 0.356231, 1]]
    np.testing.assert_allclose(np.exp(reading.log_scores), scores, atol=1e-6)
    for name, values in [
        ("product", [0.669419, 0.020947]),
        ("minimum", [0.832796, 0.215105]),
        ("geometric_mean", [0.874781, 0.275660]),
    ]:
        np.testing.assert_allclose(pseudo_labels.CONFIDENCES[name](reading), values, atol=1e-6)


def test_ctc_paths():
    path = np.array([[0, 5, 5, 0, 5, 6], [0, 0, 0, 0, 0, 0], [4, 5, 6, 7, 8, 9], [1, 5, 0, 0, 2, 0]])
    ids, count = pseudo_labels.collapse(jnp.asarray(path), 4, first_id=4, pad_id=1)
    np.testing.assert_array_equal(ids, [[5, 5, 6, 1], [1, 1, 1, 1], [4, 5, 6, 7], [5, 1, 1, 1]])
    np.testing.assert_array_equal(count, [3, 0, 6, 1])
    reading = pseudo_labels.read_frames(jax.nn.one_hot(path, 10) * 3, first_id=4)
    np.testing.assert_array_equal(reading.whole, [True, True, True, False])
    np.testing.assert_array_equal(reading.tokens, path)
    p = np.exp(3) / (np.exp(3) + 9)
    np.testing.assert_allclose(pseudo_labels.product(reading), p**6, rtol=1e-5)
    np.testing.assert_allclose(pseudo_labels.geometric_mean(reading), p, rtol=1e-5)
