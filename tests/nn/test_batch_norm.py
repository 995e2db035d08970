"""The fast batch normalisation against Flax's: values, statistics, gradients, parameters."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jstr.nn.batch_norm import BatchNorm, normalise


@pytest.mark.parametrize("shape", [(2, 4, 8, 16), (3, 5, 7), (1, 1, 1, 4), (6, 3)])
def test_same_as_flax(shape):
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(3, 2, shape), jnp.float32)
    g = jnp.asarray(rng.normal(size=shape), jnp.float32)
    results = []
    for kind in (nn.BatchNorm, BatchNorm):
        layer = kind(use_running_average=False, momentum=0.9, epsilon=1e-5)
        variables = layer.init(jax.random.PRNGKey(0), x)
        params = jax.tree.map(lambda p: p + jnp.linspace(0.1, 0.7, p.size), variables["params"])

        def loss(params, x, layer=layer, stats=variables["batch_stats"]):
            y, changed = layer.apply({"params": params, "batch_stats": stats}, x, mutable=["batch_stats"])
            return (y * g).sum(), (y, changed["batch_stats"])

        results.append(jax.grad(loss, argnums=(0, 1), has_aux=True)(params, x))
    assert jax.tree.structure(results[0]) == jax.tree.structure(results[1])
    for want, got in zip(*map(jax.tree.leaves, results), strict=True):
        np.testing.assert_allclose(got, want, rtol=2e-4, atol=2e-4)


def test_sums_over_many_pixels_are_exact():
    """Summed one after the other, 51,200 values of about 3 lose five digits."""
    x = np.random.default_rng(0).normal(3, 1, (16, 32, 100, 4)).astype(np.float32)
    _, mean, var = jax.jit(normalise)(x, jnp.ones(4), jnp.zeros(4), 1e-5)
    exact = x.astype(np.float64).reshape(-1, 4)
    np.testing.assert_allclose(mean, exact.mean(0), rtol=1e-6)
    np.testing.assert_allclose(var, exact.var(0), rtol=2e-5)


def test_a_constant_batch_gives_the_bias_and_no_nan():
    x = jnp.full((4, 3, 2), 7.0)
    layer = BatchNorm(use_running_average=False)
    variables = layer.init(jax.random.PRNGKey(0), x)
    gradient = jax.grad(lambda x: layer.apply(variables, x, mutable=["batch_stats"])[0].sum())(x)
    y = layer.apply(variables, x, mutable=["batch_stats"])[0]
    np.testing.assert_allclose(y, 0, atol=1e-3)
    assert np.isfinite(gradient).all()


def test_evaluation_uses_the_running_statistics():
    x = jnp.arange(12.0).reshape(3, 4)
    layer = BatchNorm(use_running_average=True)
    variables = layer.init(jax.random.PRNGKey(0), x)
    np.testing.assert_allclose(layer.apply(variables, x), x / np.sqrt(1 + 1e-5), rtol=1e-6)
