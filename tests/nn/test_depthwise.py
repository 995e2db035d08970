"""Depthwise convolution: sums of shifted images equal XLA's grouped convolution."""

import jax
import numpy as np
import pytest

from jstr.nn import platform
from jstr.nn.depthwise import Depthwise, depthwise

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("kernel", [(3, 3), (1, 7), (5, 5)])
@pytest.mark.parametrize("strides", [(1, 1), (2, 1), (1, 2), (2, 2)])
@pytest.mark.parametrize("size", [(6, 9), (5, 8)])
def test_shifted_sums_equal_the_grouped_convolution(kernel, strides, size):
    x = RNG.normal(size=(2, *size, 3)).astype(np.float32)
    weights = RNG.normal(size=(*kernel, 3)).astype(np.float32)
    ours = depthwise(x, weights, strides)
    with platform.tracing_for("gpu"):
        theirs = jax.jit(lambda a, b: depthwise(a, b, strides))(x, weights)
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_every_channel_has_its_own_kernel_and_bias():
    module, x = Depthwise(), RNG.normal(size=(1, 4, 5, 2)).astype(np.float32)
    variables = module.init(jax.random.PRNGKey(0), x)
    assert jax.tree.map(np.shape, variables["params"]) == {"kernel": (3, 3, 2), "bias": (2,)}
    params = {"kernel": variables["params"]["kernel"].at[..., 1].set(0), "bias": np.array([0.0, 7.0], np.float32)}
    y = module.apply({"params": params}, x)
    assert np.all(y[..., 1] == 7) and np.std(y[..., 0]) > 0
