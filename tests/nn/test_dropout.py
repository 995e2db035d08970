"""Dropout by hashing: at the given rate, independent of positions and keys, and the same however arrays are sharded."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jstr.nn.dropout import Dropout, keep

KEY = jax.random.key(3)


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_share_and_scale(rate):
    x = jnp.full((64, 33, 50), 2.0)
    out = np.asarray(Dropout(rate).apply({}, x, train=True, rngs={"dropout": KEY}))
    assert set(np.unique(out)) == {np.float32(0), np.float32(2 / (1 - rate))}
    assert abs((out == 0).mean() - rate) < 4 * np.sqrt(rate * (1 - rate) / out.size)


def test_off_in_evaluation():
    x = jnp.ones((4, 5))
    assert Dropout(0.5).apply({}, x, train=False) is x and Dropout(0.0).apply({}, x, train=True) is x


def test_values_are_independent():
    """Correlations with neighbours along each axis, with rows of another key and of the next keys: none."""
    kept = [np.asarray(keep(jax.random.fold_in(KEY, i), (128, 256, 8), 0.5)).astype(float) * 2 - 1 for i in range(3)]
    limit = 4.5 / np.sqrt(kept[0].size)
    for axis in range(3):
        for step in (1, 2, 4):
            a, b = (np.delete(kept[0], s, axis=axis) for s in (slice(0, step), slice(-step, None)))
            assert abs((a * b).mean()) < 1.2 * limit, (axis, step)
    assert abs((kept[0] * kept[1]).mean()) < limit and abs((kept[1] * kept[2]).mean()) < limit
    flat = [k.ravel() for k in kept]
    shifted = [abs((flat[0][s:] * flat[1][: flat[1].size - s]).mean()) for s in range(1, 40)]
    assert max(shifted) < 1.2 * limit
    # No row and no column is kept or dropped as a whole: their counts scatter as those of coins do.
    rows = kept[0].reshape(128, -1).sum(axis=1) / np.sqrt(kept[0][0].size)
    assert 0.75 < rows.std() < 1.3


def test_keys_and_jit():
    a, b = (keep(key, (8, 16), 0.3) for key in (KEY, jax.random.key(4)))
    assert (a != b).any()
    np.testing.assert_array_equal(a, jax.jit(lambda k: keep(k, (8, 16), 0.3))(KEY))


def test_gradient_is_that_of_the_mask():
    x = jnp.linspace(-1, 1, 40).reshape(4, 10)

    def total(x):
        return (Dropout(0.4).apply({}, x, train=True, rngs={"dropout": KEY}) * x).sum()

    out = Dropout(0.4).apply({}, jnp.ones_like(x), train=True, rngs={"dropout": KEY})
    np.testing.assert_allclose(jax.grad(total)(x), 2 * x * out, rtol=1e-6)
