"""Negative cosine, spread and mean similarity: the formulas in NumPy, in 64 bits, and hard cases."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jstr.losses import similarity

RNG = np.random.default_rng(0)
P, Z = RNG.normal(size=(2, 7, 5))
MASK = np.array([1, 1, 0, 1, 1, 0, 1], bool)


def normalised(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def test_negative_cosine(double):
    expected = -(normalised(P) * normalised(Z)).sum(-1)
    np.testing.assert_allclose(similarity.negative_cosine(jnp.asarray(P), jnp.asarray(Z)), expected, rtol=1e-12)
    byol = ((normalised(P) - normalised(Z)) ** 2).sum(-1)
    np.testing.assert_allclose(2 + 2 * expected, byol, rtol=1e-12)


def test_gradient_reaches_the_prediction_alone(double):
    to_p, to_z = jax.grad(lambda p, z: similarity.negative_cosine(p, z).sum(), (0, 1))(jnp.asarray(P), jnp.asarray(Z))
    u, v = normalised(P), normalised(Z)
    expected = -(v - (u * v).sum(-1, keepdims=True) * u) / np.linalg.norm(P, axis=-1, keepdims=True)
    np.testing.assert_allclose(to_p, expected, rtol=1e-10)
    assert not np.any(to_z)


def test_spread(double):
    expected = normalised(P[MASK]).std(axis=0).mean() * np.sqrt(5)
    assert float(similarity.spread(jnp.asarray(P), jnp.asarray(MASK))) == pytest.approx(expected, rel=1e-12)
    even = np.concatenate([np.eye(5), -np.eye(5)])
    assert float(similarity.spread(jnp.asarray(even), jnp.ones(10, bool))) == pytest.approx(1.0)
    same = jnp.asarray(np.outer(np.arange(1.0, 8), P[0]))
    assert float(similarity.spread(same, jnp.ones(7, bool))) == pytest.approx(0.0, abs=1e-7)


def test_mean_similarity(double):
    cosines = normalised(P[MASK]) @ normalised(P[MASK]).T
    expected = cosines[~np.eye(5, dtype=bool)].mean()
    assert float(similarity.mean_similarity(jnp.asarray(P), jnp.asarray(MASK))) == pytest.approx(expected, rel=1e-12)
    assert float(similarity.mean_similarity(jnp.ones((4, 3)), jnp.ones(4, bool))) == pytest.approx(1.0)


@pytest.mark.parametrize("scale", [0.0, 1e-20, 1e15])
@pytest.mark.parametrize("kept", [0, 1])
def test_hard_cases_stay_finite(scale, kept):
    x, mask = jnp.full((3, 4), scale, jnp.float32), jnp.arange(3) < kept
    assert np.all(np.isfinite(jax.grad(lambda p: similarity.negative_cosine(p, jnp.ones((3, 4))).sum())(x)))
    assert float(similarity.spread(x, mask)) == pytest.approx(0.0, abs=1e-6)
    assert float(similarity.mean_similarity(x, mask)) == 0.0
