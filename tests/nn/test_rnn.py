"""LSTMs: values of the published code, filled by rule, in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import torch_layout
from torch_layout import check, converted

from jstr.nn import rnn


def test_bilstm_values(double):
    params = converted("none", "vgg", "bilstm", "ctc", classes=37).params["sequence_0"]
    out = rnn.BiLSTMBlock(256).apply({"params": params}, torch_layout.signal(1, 26, 512))
    assert out.shape == (1, 26, 256)
    check(out, -0.000017, 0.007093, [0.010372, 0.005882, -0.003608], -0.008615)


def test_initial_weights():
    """Kaiming normal in each direction by itself, by its own fan-in, and biases of 0."""
    params = rnn.BiLSTM(64).init(jax.random.key(0), jnp.zeros((1, 3, 200)))["params"]
    for name, fan_in in (("input_kernel", 200), ("recurrent_kernel", 64)):
        np.testing.assert_allclose(params[name].std(axis=(1, 2)), np.sqrt(2 / fan_in), rtol=0.05)
        assert not np.allclose(params[name][0], params[name][1])
    assert not params["bias"].any()


def test_a_step_with_gates_and_cells_of_any_size():
    """By the definition (Hochreiter and Schmidhuber 1997, with a forget gate), where no tanh is nearly the identity."""
    rng = np.random.default_rng(0)
    gates, cell = rng.normal(size=(5, 12)) * 3, rng.normal(size=(5, 3)) * 3
    hidden, after = rnn.lstm_update(jnp.asarray(gates), jnp.asarray(cell))
    i, f, o = (1 / (1 + np.exp(-gates[:, k : k + 3])) for k in (0, 3, 9))
    expected = f * cell + i * np.tanh(gates[:, 6:9])
    np.testing.assert_allclose(after, expected, rtol=1e-5)
    np.testing.assert_allclose(hidden, o * np.tanh(expected), rtol=1e-5)


def test_gradients_are_those_of_the_scan(double):
    """The product of all steps, against what differentiating the scan gives."""
    keys = jax.random.split(jax.random.key(0), 3)
    inputs, kernel = tuple(jax.random.normal(keys[0], (2, 5, 3, 16))), jax.random.normal(keys[1], (2, 4, 16))
    weights = jax.random.normal(keys[2], (5, 2, 3, 4))

    def gradients(function):
        return jax.grad(lambda *x: (weights * function(*x)).sum(), argnums=(0, 1))(inputs, kernel)

    ours, expected = gradients(rnn.recurrence), gradients(rnn.recurrence.fun)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12), ours, expected)


def test_sums_of_steps_are_float32():
    """In bfloat16, 256 steps of 1 would add up to 128 at most, where the next 1 is less than half a digit."""
    ones = jnp.ones((1024, 1, 2), jnp.bfloat16)
    product = rnn.float32_einsum("sbh,sbk->hk", ones, ones)
    assert product.dtype == jnp.bfloat16 and (product == 1024).all()
