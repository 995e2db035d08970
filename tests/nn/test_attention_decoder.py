"""The attention decoder: values of the published code, one step by hand, and decoding that stops."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch_layout
from torch_layout import check, converted

from jstr.decoding import greedy
from jstr.nn import attention_decoder
from jstr.nn.attention_decoder import AttentionDecoder, scan_until


def tokens_of(*rows):
    out = np.zeros((len(rows), 26), np.int32)
    for i, row in enumerate(rows):
        out[i, : len(row)] = row
    return out


def test_decoder_values(double):
    params = converted("none", "vgg", "bilstm", "attention").params["decoder"]
    decoder = attention_decoder.AttentionDecoder(38, 256, 26, bos_id=0, embedding_size=0)
    frames = torch_layout.signal(2, 26, 256)
    forced = decoder.apply({"params": params}, frames, tokens_of([0, 12, 5, 30], [0, 7, 37]))["logits"]
    assert forced.shape == (2, 26, 38)
    check(forced, 0.000002, 0.008266, [0.009811, 0.006017, -0.005190], 0.000846)
    greedy = decoder.apply({"params": params}, frames)["logits"]
    check(greedy, 0.000119, 0.007665, [0.009811, 0.006017, -0.005190], 0.010252)
    np.testing.assert_array_equal(greedy.argmax(-1)[:, :8], [[13, 13, 19, 13, 32, 6, 6, 6]] * 2)


def test_decoder_values_with_projection(double):
    result = converted("none", "vgg", "bilstm", "attention", format="cr", classes=99, embedding=256, projection="mlp")
    variables = {"params": result.params["decoder"]}
    decoder = attention_decoder.AttentionDecoder(99, 256, 26, bos_id=2, embedding_size=256, projection="mlp")
    frames, tokens = torch_layout.signal(2, 26, 256), tokens_of([2, 40, 5, 30, 3], [2, 7, 98, 3])
    plain, projected = (decoder.apply(variables, frames, tokens, project=p) for p in (False, True))
    check(plain["logits"], -0.000220, 0.021851, [0.009057, 0.006974, -0.006334], -0.040081)
    check(plain["glimpses"], 0.004752, 0.027725, [0.021466, 0.021788, 0.022107], 0.020914)
    check(projected["logits"], -0.000732, 0.065943, [-0.083576, 0.092650, -0.083626], -0.072907)
    np.testing.assert_array_equal(plain["glimpses"], projected["glimpses"])
    np.testing.assert_allclose(plain["attention"].sum(-1), 1.0)
    greedy = decoder.apply(variables, frames)["logits"]
    check(greedy, 0.000036, 0.014287, [0.009057, 0.006974, -0.006334], -0.004227)
    np.testing.assert_array_equal(greedy[0].argmax(-1)[:6], [82, 88, 69, 88, 44, 88])


def test_decoder_step(double):
    """One step with hand-made numbers; our second bias is torch's two in one."""
    i, j, k = np.arange(8)[:, None], np.arange(4), np.arange(2)
    weights = {
        "memory_kernel": np.array([[0.1, 0.2], [-0.3, 0.4]]).T,
        "query_kernel": np.array([[0.5, -0.1], [0.2, 0.3]]).T,
        "query_bias": np.array([0.01, -0.02]),
        "score_kernel": np.array([[0.7], [-0.6]]),
        "input_kernel": ((4 * i + j - 16) / 40).T,
        "recurrent_kernel": ((2 * i + k - 8) / 20).T,
        "bias": np.linspace(-0.2, 0.2, 8) + np.linspace(0.1, -0.1, 8),
    }
    frames = jnp.array([[[1.0, 0.0], [0.5, -0.5], [-1.0, 1.0]]])
    table = attention_decoder.token_table(weights, 2)
    state = jnp.array([[0.1, -0.2]]), jnp.array([[0.3, 0.05]])
    (hidden, cell), (_, glimpse, attention) = attention_decoder.attention_step(frames, weights)(state, table[1:2])
    np.testing.assert_allclose(attention[0], [0.399288, 0.369435, 0.231277], atol=1e-6)
    np.testing.assert_allclose(glimpse[0], [0.352729, 0.046559], atol=1e-6)
    np.testing.assert_allclose(hidden[0], [0.095843, 0.074904], atol=1e-6)
    np.testing.assert_allclose(cell[0], [0.161645, 0.118413], atol=1e-6)


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


def test_gradients_are_those_of_the_scan(double):
    """The products of all steps, against what differentiating the scan gives; from any state."""
    steps, batch, size, frames, width = 4, 3, 5, 6, 7
    keys = iter(jax.random.split(jax.random.key(0), 20))

    def normal(*shape):
        return jax.random.normal(next(keys), shape)

    kernels = attention_decoder.Kernels(normal(size, 5 * size), normal(width, 4 * size))
    attended = attention_decoder.Attended(normal(batch, frames, width), normal(batch, frames, size), normal(size, 1))
    inputs = kernels, attended, normal(steps, batch, 4 * size), (normal(batch, size), normal(batch, size))
    weights = jax.tree.map(lambda x: normal(*x.shape), attention_decoder.attend(*inputs))

    def gradients(function):
        def weighted(*x):
            return sum((w * y).sum() for w, y in zip(*map(jax.tree.leaves, (weights, function(*x))), strict=True))

        return jax.grad(weighted, argnums=(0, 1, 2, 3))(*inputs)

    ours, expected = gradients(attention_decoder.attend), gradients(attention_decoder.attend.fun)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-11), ours, expected)
