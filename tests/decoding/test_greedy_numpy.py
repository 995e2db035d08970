"""Greedy decoding in NumPy: the same as in JAX."""

import jax.numpy as jnp
import numpy as np
import pytest

from jstr.decoding import greedy, greedy_numpy
from jstr.text import LAYOUTS


@pytest.mark.parametrize("name", ["cr_ctc", "cr_attention"])
def test_what_greedy_makes_of_the_same_logits(name):
    """Words that end early, late or not at all, without characters, with repeats and other specials."""
    layout = LAYOUTS[name]
    logits = np.random.default_rng(0).normal(size=(60, 4, layout.first_id + 2)).astype(np.float32)
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    if layout.is_ctc:
        expected = greedy.ctc_prediction(jnp.asarray(logits))
        ids, confidences = greedy_numpy.ctc_greedy(probabilities, layout)
    else:
        special = dict(eos_id=layout.eos_id, pad_id=layout.pad_id)
        expected = greedy.attention_prediction(jnp.asarray(logits), **special)
        ids, confidences = greedy_numpy.attention_greedy(probabilities, layout)
    np.testing.assert_array_equal(ids, expected.ids)
    np.testing.assert_allclose(confidences, greedy.confidence(expected, layout.first_id), rtol=1e-5)
    assert 0 < (confidences == 0).sum() < 60
