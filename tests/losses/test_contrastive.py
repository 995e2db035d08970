"""NT-Xent: the numbers of the official code, invariants, hard cases."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jstr.losses import contrastive

A = np.array([[[1, 0, 0.5], [0.2, 1, -0.3]], [[-0.5, 0.4, 1], [0.9, -0.8, 0.1]]])
B = np.array([[[0.9, 0.1, 0.4], [0.1, 0.8, -0.2]], [[-0.4, 0.6, 0.9], [1, -0.6, 0.3]]])
few = settings(max_examples=10, derandomize=True, deadline=None)
nt_xent = jax.jit(contrastive.nt_xent)
gradient = jax.jit(jax.grad(lambda a, b, mask=None: contrastive.nt_xent(a, b, 0.1, mask).loss.mean(), (0, 1)))


def flat(x):
    return jnp.asarray(x, jnp.float32).reshape(-1, np.shape(x)[-1])


def loss(a, b, temperature=0.1, mask=None):
    return nt_xent(flat(a), flat(b), temperature, mask).loss


def test_oracle():
    terms = np.array([0.264171, 0.000695, 0.000282, 0.103178, 0.167576, 0.000992, 0.001461, 0.413100])
    np.testing.assert_allclose(loss(A, B), (terms[:4] + terms[4:]) / 2, atol=1e-6)
    assert float(loss(A, B).mean()) == pytest.approx(0.118932, abs=1e-6)
    assert float(2 * loss(A, B).sum()) == pytest.approx(0.951455, abs=1e-5)
    assert float(2 * loss(A, B).sum() / 2) == pytest.approx(0.475728, abs=1e-5)  # per image: two instances each
    assert float(loss(A, B, 0.5).mean()) == pytest.approx(0.787984, abs=1e-6)
    assert float(loss(A.mean(1), B.mean(1)).mean()) == pytest.approx(0.006491, abs=1e-6)


def test_the_official_code_gives_the_same():
    """Loss and gradient by amazon-science/semimtr-text-recognition at 043d65b, run in float64 on these features."""
    k = np.arange(4 * 3 * 6).reshape(4, 3, 6)
    a, b = np.sin(k + 1.0), np.sin(1.1 * k + 1.2)
    to_a, to_b = gradient(flat(a), flat(b))
    assert float(loss(a, b).mean()) == pytest.approx(9.76967248, rel=1e-6)
    assert float(loss(a, b, 0.5).mean()) == pytest.approx(3.68886117, rel=1e-6)
    assert float(jnp.linalg.norm(to_a)) == pytest.approx(1.14824475, rel=1e-5)
    assert float(jnp.linalg.norm(to_b)) == pytest.approx(1.15339434, rel=1e-5)
    np.testing.assert_allclose(to_a[0, :3], [-0.07842245, 0.02931078, 0.13685014], rtol=1e-4)


@given(seed=st.integers(0, 1000), scale=st.sampled_from([1e-12, 1e-7, 0.01, 1.5, 100.0, 1e12]))
@few
def test_invariants(seed, scale):
    rng, count = np.random.default_rng(seed), 4
    a, b = rng.normal(size=(2, count, 3, 4))
    value = loss(a, b).mean()
    scaled = a.copy()
    scaled[0, 1] *= scale
    order = rng.permutation(count)
    np.testing.assert_allclose(loss(scaled, b).mean(), value, rtol=2e-5)
    np.testing.assert_allclose(loss(b, a).mean(), value, rtol=2e-5)
    np.testing.assert_allclose(loss(a[order], b[order]).mean(), value, rtol=2e-5)
    assert not np.allclose(loss(a, b[:, ::-1]).mean(), value, rtol=1e-3)
    assert all(np.all(np.abs(g).sum(axis=-1) > 0) for g in gradient(flat(a), flat(b)))


def test_identical_instances():
    found = nt_xent(jnp.ones((4, 3)), jnp.ones((4, 3)))
    np.testing.assert_allclose(found.loss, np.log(7), rtol=1e-6)
    np.testing.assert_array_equal(found.picked, 0)
    np.testing.assert_allclose(found.alignment, 0, atol=1e-6)
    assert float(found.uniformity) == pytest.approx(0, abs=1e-6)


@given(seed=st.integers(0, 1000), keep=st.lists(st.booleans(), min_size=6, max_size=6))
@few
def test_a_mask_equals_deleting(seed, keep):
    a, b = np.random.default_rng(seed).normal(size=(2, 6, 4))
    keep = np.array(keep)
    found = nt_xent(flat(a), flat(b), 0.1, jnp.asarray(keep))
    for name in ("loss", "picked", "alignment"):
        np.testing.assert_array_equal(getattr(found, name)[~keep], 0)
    if keep.any():
        expected = nt_xent(flat(a[keep]), flat(b[keep]))
        for value, other in zip(found[:3], expected[:3], strict=True):
            np.testing.assert_allclose(value[keep], other, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(found.uniformity, expected.uniformity, rtol=1e-5)
    for towards in gradient(flat(a), flat(b), jnp.asarray(keep)):
        assert np.all(np.isfinite(towards)) and np.all(np.asarray(towards)[~keep] == 0)


def test_metrics_of_known_instances():
    a = np.eye(4)[:3]
    found = nt_xent(flat(a), flat(a))
    np.testing.assert_array_equal(found.picked, 1)
    np.testing.assert_allclose(found.alignment, 0, atol=1e-6)
    assert float(found.uniformity) == pytest.approx(-4, abs=1e-5)  # all negatives at squared distance 2
    found = nt_xent(flat(a), flat(-a))
    np.testing.assert_array_equal(found.picked, 0)
    np.testing.assert_allclose(found.alignment, 4, atol=1e-5)


@pytest.mark.parametrize(
    "a, b",
    [
        (np.ones((1, 3)), np.ones((1, 3))),
        (np.zeros((1, 3)), np.zeros((1, 3))),
        (np.zeros((4, 3)), np.ones((4, 3))),
        (np.full((4, 3), 1e-20), np.ones((4, 3))),
        (np.full((4, 3), 1e15), np.full((4, 3), -1e15)),
    ],
)
@pytest.mark.parametrize("mask", [None, False])
def test_hard_cases_stay_finite(a, b, mask):
    keep = None if mask is None else jnp.zeros(len(a), bool)
    found = nt_xent(flat(a), flat(b), 0.1, keep)
    assert all(np.all(np.isfinite(x)) for x in (*found, *gradient(flat(a), flat(b), keep)))
