"""Distances per word of CTC strings; those of attention are in test_consistency.py."""

import jax
import jax.numpy as jnp
import numpy as np

from jstr.core import ModelConfig
from jstr.losses import supervised
from jstr.objectives.parts.distance import hard_distance
from jstr.objectives.parts.pseudo_labels import read

CTC = ModelConfig((1, 1), 1, 2, 7, first_id=4, pad_id=1)  # at most two characters


def test_strings_of_ctc_are_learned_whole_or_not_at_all():
    """The sum over the characters of a string and their number; a longer string than labels may be adds nothing."""
    paths = jnp.array([[4, 4, 0, 5], [0, 6, 6, 0], [4, 5, 6, 0], [0, 0, 0, 0]])
    reading = read(jax.nn.one_hot(paths, 7) * 3, CTC)
    student = jnp.asarray(np.random.default_rng(0).normal(size=(4, 4, 7)), jnp.float32)
    total, count = hard_distance(student, reading, reading.mask, CTC)
    np.testing.assert_array_equal(count, [2, 1, 0, 1])
    labels = jnp.array([[4, 5], [6, 1], [4, 5], [1, 1]])
    per_character = np.asarray(supervised.ctc(student, labels, 1)[0])
    np.testing.assert_allclose(total, per_character * [2, 1, 0, 1], rtol=1e-6)
    assert total[2] == 0 and total[3] > 0, "an empty string is learned as blanks"
