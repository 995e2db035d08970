"""CORAL: published numbers; masking equals deleting rows."""

import jax
import numpy as np
import pytest

from jstr.losses import coral


def test_coral_oracles():
    """The first is the published code of CR, the second classic CORAL."""
    source, target = np.array([[1, 2], [0, 1], [2, 0]], np.float32), np.array([[0.5, 0], [1.5, 1]], np.float32)
    yes3, yes2 = np.ones(3, bool), np.ones(2, bool)
    np.testing.assert_allclose(coral.scatter(source, yes3)[0], [[2, -1], [-1, 2]], atol=1e-6)
    np.testing.assert_allclose(coral.scatter(target, yes2)[0], [[0.5, 0.5], [0.5, 0.5]], atol=1e-6)
    assert float(coral.coral(source, yes3, target, yes2)) == pytest.approx(0.140625, abs=1e-6)
    assert float(coral.coral(source, yes3, target, yes2, normalise=True)) == pytest.approx(0.156250, abs=1e-6)


@pytest.mark.parametrize("normalise", [False, True])
def test_coral_mask_equals_deleting_rows(normalise):
    rng = np.random.default_rng(0)
    source, target = rng.normal(size=(9, 3)).astype(np.float32), rng.normal(size=(7, 3)).astype(np.float32)
    keep, kept = rng.random(9) < 0.6, rng.random(7) < 0.6
    call = jax.value_and_grad(lambda s, t, a, b: coral.coral(s, a, t, b, normalise), argnums=(0, 1))
    value, (gs, gt) = call(source, target, keep, kept)
    fewer, (fs, ft) = call(source[keep], target[kept], np.ones(keep.sum(), bool), np.ones(kept.sum(), bool))
    assert float(value) == pytest.approx(float(fewer), rel=1e-5) and float(value) > 0
    np.testing.assert_allclose(gs[keep], fs, atol=1e-7)
    np.testing.assert_allclose(gt[kept], ft, atol=1e-7)
    assert not np.any(gs[~keep]) and not np.any(gt[~kept])
    none, (ns, nt) = call(source * np.float32(1e19), target, np.zeros(9, bool), kept)
    assert float(none) == 0 and not np.any(ns) and not np.any(nt)
