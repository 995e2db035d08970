"""Greedy decoding: what stays, what becomes padding, and the confidence of a word."""

import jax.numpy as jnp
import numpy as np

from jstr.decoding import greedy
from jstr.losses import supervised
from jstr.text import Charset


def logits_of(rows, classes, high=3.0):
    return high * jnp.eye(classes)[jnp.array(rows)]


def probability(classes, high=3.0):
    return np.exp(high) / (np.exp(high) + classes - 1)


def test_attention_stops_at_the_first_eos():
    rows = [[5, 6, 3, 5, 3], [3, 5, 5, 5, 5], [5, 5, 6, 6, 5], [0, 6, 1, 3, 3]]
    ids, scores = greedy.attention_prediction(logits_of(rows, 7), eos_id=3, pad_id=0)
    np.testing.assert_array_equal(ids, [[5, 6, 3, 0, 0], [3, 0, 0, 0, 0], [5, 5, 6, 6, 5], [0, 6, 1, 3, 0]])
    assert ids.dtype == jnp.int32
    p = probability(7)
    end = p / np.exp(3.0)  # the probability of EOS, which the third word lacks
    expected = [[p, p, 1, 1, 1], [1] * 5, [p] * 4 + [end], [p, p, p, 1, 1]]
    np.testing.assert_allclose(scores, expected, rtol=1e-6)


def test_confidence_is_a_product_and_0_for_an_empty_word():
    rows = [[5, 6, 3, 5], [3, 5, 5, 5], [5, 5, 6, 6]]
    prediction = greedy.attention_prediction(logits_of(rows, 7), eos_id=3, pad_id=0)
    p = probability(7)
    np.testing.assert_allclose(greedy.confidence(prediction, first_id=5), [p**2, 0, p**3 * p / np.exp(3.0)], rtol=1e-5)


def test_ctc_drops_repeats_and_blanks_in_place():
    charset = Charset.make("abc", "dtrb_ctc", 6)
    rows = [[1, 1, 0, 1, 2, 2, 3], [0, 0, 0, 0, 0, 0, 0], [3, 0, 3, 3, 0, 0, 1]]
    ids, scores = greedy.ctc_prediction(logits_of(rows, 4))
    np.testing.assert_array_equal(ids, [[1, 0, 0, 1, 2, 0, 3], [0] * 7, [3, 0, 3, 0, 0, 0, 1]])
    assert [charset.decode(row) for row in ids.tolist()] == ["aabc", "", "cca"]
    p = probability(4)
    np.testing.assert_allclose(scores, p, rtol=1e-6)
    confidence = greedy.confidence(greedy.Prediction(ids, scores), first_id=1)
    np.testing.assert_allclose(confidence, [p**7, 0, p**7], rtol=1e-6)


def test_ctc_keeps_only_characters():
    """Padding, unknown and space of the larger layout are classes like others, but no characters."""
    charset = Charset.make("abc", "cr_ctc", 6)
    prediction = greedy.ctc_prediction(logits_of([[1, 4, 4, 2, 4, 3, 6]], charset.num_classes))
    assert charset.decode(prediction.ids[0].tolist()) == "aac"


def test_low_precision_logits_are_scored_in_float32():
    prediction = greedy.attention_prediction(logits_of([[5, 3]], 7).astype(jnp.bfloat16), eos_id=3, pad_id=0)
    assert prediction.scores.dtype == jnp.float32


def test_decoded_targets_are_what_the_loss_wants():
    charset = Charset.make("abc", "cr_attention", 4)
    tokens = jnp.asarray(charset.encode("cab"))[None]
    logits = logits_of(tokens[:, 1:], charset.num_classes, high=50.0)
    total, count = supervised.sequence_cross_entropy(logits, tokens[:, 1:], pad_id=0)
    assert float(total[0]) < 1e-6 and count[0] == 4
    prediction = greedy.attention_prediction(logits, eos_id=3, pad_id=0)
    assert charset.decode(prediction.ids[0].tolist()) == "cab"


def test_word_length():
    ids = jnp.array([[0, 3, 0], [2, 0, 0], [1, 2, 3]])
    assert greedy.word_length(ids, 0).tolist() == [1, 2, 3]
