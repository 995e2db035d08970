"""Greedy decoding: what stays, what becomes padding, and the confidence of a word."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jstr.decoding import greedy
from jstr.losses import supervised
from jstr.nn.attention_decoder import AttentionDecoder, scan_until
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
    expected = [[p, p, 1, 1, 1], [1] * 5, [p] * 5, [p, p, p, 1, 1]]
    np.testing.assert_allclose(scores, expected, rtol=1e-6)


def test_confidence_is_a_product_and_nothing_is_not_confident():
    rows = [[5, 6, 3, 5], [3, 5, 5, 5], [5, 5, 6, 6]]
    prediction = greedy.attention_prediction(logits_of(rows, 7), eos_id=3, pad_id=0)
    p = probability(7)
    np.testing.assert_allclose(greedy.confidence(prediction, first_id=5), [p**2, 0, p**4], rtol=1e-6)


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


@pytest.mark.parametrize("lengths, steps", [((2, 6, 4), 6), ((1, 1, 1), 1), ((3, 99, 2), 8)])
def test_a_scan_ends_with_the_last_word(lengths, steps):
    """Rows that write 5 until their EOS (3), and 5 again behind it; 8 steps at most."""

    def body(carry, _):
        number, tokens = carry
        new = jnp.where(number + 1 == jnp.array(lengths), 3, 5)
        return (number + 1, new), (new, 10 * number + tokens)

    start = jnp.array(0), jnp.zeros(3, jnp.int32)
    found = jax.jit(lambda: scan_until(body, start, 8, stop_id=3))()
    for values, whole in zip(found, jax.lax.scan(body, start, None, length=8)[1], strict=True):
        np.testing.assert_array_equal(values[:steps], whole[:steps])
        np.testing.assert_array_equal(values[steps:], 0)
        assert values.shape == whole.shape and values.dtype == whole.dtype


@pytest.mark.parametrize("eos_bias, ended", [(0.0, 0), (0.6, 3), (9.0, 5)])
def test_reading_that_stops_reads_the_same(eos_bias, ended):
    """ended: how many of the five words end; the scan stops only where all do."""
    decoder = AttentionDecoder(num_classes=9, hidden_size=8, steps=10, bos_id=2, embedding_size=8)
    frames = 3 * jax.random.normal(jax.random.PRNGKey(0), (5, 6, 8))
    variables = decoder.init(jax.random.PRNGKey(1), frames)
    bias = variables["params"]["classifier_bias"].at[3].set(eos_bias)
    variables = {"params": variables["params"] | {"classifier_bias": bias}}
    read = jax.jit(decoder.apply, static_argnames="stop_id")
    whole, short = (read(variables, frames, stop_id=stop_id)["logits"] for stop_id in (None, 3))
    found, expected = (greedy.attention_prediction(logits, eos_id=3, pad_id=0) for logits in (short, whole))
    np.testing.assert_array_equal(found.ids, expected.ids)
    np.testing.assert_allclose(found.scores, expected.scores, rtol=1e-6)
    assert (expected.ids == 3).any(axis=1).sum() == ended
    assert np.any(short[:, 1:]) == (ended < 5)
