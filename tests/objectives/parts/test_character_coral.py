"""CORAL of characters: whose characters count."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scripted import SCRIPTED, Scripted

from jstr.losses.coral import coral
from jstr.objectives import cr_str
from jstr.objectives.parts.character_coral import character_coral
from jstr.objectives.parts.pseudo_labels import product, read

IDS = jnp.array([[5, 6, 3, 0], [6, 5, 3, 0]])  # two words of two characters, EOS and padding


@pytest.mark.parametrize(("thresholds", "words"), [((0.6, 0.1), (1, 2)), ((0.1, 0.6), (2, 1)), ((0.1, 0.1), (2, 2))])
def test_characters_of_confident_words_count(thresholds, words):
    """The first word has a confidence of about 0.9, the second of 0.3; neither EOS nor padding is a character."""
    logits = jax.nn.one_hot(IDS, 7) * jnp.array([5.5, 2.5])[:, None, None]
    confidence = np.asarray(product(read(logits, SCRIPTED)))
    assert 0.85 < confidence[0] < 1 and 0.2 < confidence[1] < 0.5
    glimpses = np.random.default_rng(0).normal(size=(2, 2, 4, 3)).astype(np.float32)
    labelled, strong = ({"logits": logits, "glimpses": jnp.asarray(x)} for x in glimpses)
    rows = [x[:count, :2].reshape(-1, 3) for x, count in zip(glimpses, words, strict=True)]
    keep = [np.ones(len(x), bool) for x in rows]
    expected = coral(rows[0], keep[0], rows[1], keep[1])
    found = character_coral(labelled, strong, thresholds, SCRIPTED)
    assert float(found) == pytest.approx(float(expected), rel=1e-5)


def test_thresholds_of_a_method():
    """coral_threshold is that of labelled words, threshold that of the others."""
    logits = jax.nn.one_hot(IDS, 7) * jnp.array([5.5, 2.5])[:, None, None]
    glimpses = np.random.default_rng(0).normal(size=(2, 2, 4, 3)).astype(np.float32)
    labelled, strong = ({"logits": logits, "glimpses": jnp.asarray(x)} for x in glimpses)
    method = cr_str.Method(Scripted(), SCRIPTED, threshold=0.1, coral_threshold=0.6)
    assert method.coral(labelled, strong) == character_coral(labelled, strong, (0.6, 0.1), SCRIPTED)
    assert method.coral(labelled, strong) != character_coral(labelled, strong, (0.1, 0.6), SCRIPTED)
