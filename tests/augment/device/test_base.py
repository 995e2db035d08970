"""Sampling of base images on the device."""

import jax
import numpy as np

from jstr.augment.device import base


def test_sampling_by_products_equals_sampling_by_index():
    """The form for TPUs."""
    rng = np.random.default_rng(0)
    images = np.float32(rng.integers(0, 256, (3, 8, 12, 3)))
    x, y = np.float32(rng.uniform(0, 11, (3, 5, 7))), np.float32(rng.uniform(0, 7, (3, 5, 7)))
    forms = base.sample_by_index, base.sample_by_products
    a, b = (jax.jit(form)(images, x, y) for form in forms)
    np.testing.assert_allclose(a, b, atol=1e-3)
