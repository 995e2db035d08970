"""Max pooling against XLA's reduce_window and its gradient, and against numeric differences however it is compiled."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from testing import AS_SHIPPED

from jstr.nn.layers import ConvNorm
from jstr.nn.pooling import max_pool, max_pool_overlapping
from jstr.parallel.compiling import SUMS_BY_LIBRARY


def reduce_window(window, strides, padding=(0, 0)):
    """XLA's own maximum, whose gradient is select-and-scatter."""

    def pool(x):
        pads = ((0, 0), (0, 0), (padding[0], padding[1]), (0, 0))
        return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, *window, 1), (1, *strides, 1), pads)

    return pool


POOLS = {
    "2x2": (lambda x: max_pool(x, 2, 2), reduce_window((2, 2), (2, 2))),
    "2x1": (lambda x: max_pool(x, 2, 1), reduce_window((2, 1), (2, 1))),
    "3x2": (lambda x: max_pool(x, 3, 2), reduce_window((3, 2), (3, 2))),
    "overlapping": (max_pool_overlapping, reduce_window((2, 2), (2, 1), (1, 1))),
}


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
@pytest.mark.parametrize("name", POOLS)
def test_values_and_gradients_are_those_of_xla(name, dtype):
    """Rows and columns that fill no window included; no two pixels are equal."""
    size = 2 * 7 * 9 * 3
    x = (jnp.asarray(np.random.default_rng(0).permutation(size)) - size // 2).astype(jnp.float32).reshape(2, 7, 9, 3)
    results = []
    for pool in POOLS[name]:
        y, pull = jax.vjp(pool, x.astype(dtype) if dtype == jnp.float32 else (x % 128).astype(dtype))
        results.append((y, *pull(jnp.cos(jnp.arange(y.size)).reshape(y.shape).astype(dtype))))
    values, gradients = zip(*results, strict=True)
    assert values[0].dtype == gradients[0].dtype == dtype
    np.testing.assert_array_equal(*values)
    if dtype == jnp.float32:
        np.testing.assert_allclose(*gradients, rtol=1e-6)


def test_equal_pixels_share_the_gradient():
    x = jnp.array([[5.0, 5.0, 1.0, 2.0], [5.0, 0.0, 2.0, 2.0]])[None, ..., None]
    gradient = jax.grad(lambda x: (max_pool(x, 2, 2) * jnp.array([6.0, 3.0])[:, None]).sum())(x)[0, ..., 0]
    np.testing.assert_array_equal(gradient, [[2, 2, 0, 1], [2, 0, 1, 1]])
    x = jnp.array([[7.0, 7.0, 7.0], [7.0, 1.0, 2.0]])[None, ..., None]
    gradient = jax.grad(lambda x: (max_pool_overlapping(x)[0, 0, :, 0] * jnp.array([4.0, 2, 8, 16])).sum())(x)
    # Columns first: the left one holds two 7s, and windows 1 and 2 each see two columns of 7.
    np.testing.assert_array_equal(gradient[0, ..., 0], [[2.5, 5, 20], [2.5, 0, 0]])


def test_what_is_not_a_number_stays_visible():
    x = jnp.zeros((1, 2, 4, 1)).at[0, 1, 1, 0].set(jnp.nan)
    for pool in (lambda x: max_pool(x, 2, 2), max_pool_overlapping):
        assert jnp.isnan(pool(x)).any() and jnp.isnan(jax.vjp(pool, x)[0]).any()


@pytest.mark.parametrize("options", [{}, AS_SHIPPED, AS_SHIPPED | {"xla_cpu_enable_fast_math": True}])
@pytest.mark.parametrize("name", ["2x2", "overlapping"])
def test_the_gradient_does_not_depend_on_the_compiler(name, options, double):
    """After a convolution and a scale, which XLA computes once for the maximum and again for its gradient."""
    rng = np.random.default_rng(0)
    x, direction = rng.normal(size=(2, 2, 8, 12, 6))
    kernel, scale = rng.normal(size=(3, 3, 6, 6)) / 7, rng.normal(size=6)

    def loss(x):
        layout = ("NHWC", "HWIO", "NHWC")
        y = jax.lax.conv_general_dilated(x, kernel.astype(x.dtype), (1, 1), "SAME", dimension_numbers=layout)
        return (POOLS[name][0](jax.nn.relu(y * scale.astype(x.dtype) + 0.1)) ** 2).sum()

    numeric = (loss(x + 1e-6 * direction) - loss(x - 1e-6 * direction)) / 2e-6
    for dtype, tolerance in ((np.float64, 1e-6), (np.float32, 1e-3)):
        gradient = jax.jit(jax.grad(loss), compiler_options=options)(x.astype(dtype))
        np.testing.assert_allclose((gradient * direction).sum(), numeric, rtol=tolerance)


@pytest.mark.parametrize("options", [{}, AS_SHIPPED, AS_SHIPPED | dict([SUMS_BY_LIBRARY])])
def test_the_gradient_through_a_normalised_convolution(options):
    """The last pooling of CRNN on 16 images, compiled as a training step is, and operation by operation."""
    x = jnp.asarray(np.random.default_rng(0).normal(size=(16, 4, 25, 128)), jnp.float32)
    layer = ConvNorm(128)
    variables = layer.init(jax.random.key(0), x, train=False)

    def loss(params):
        y, _ = layer.apply({**variables, "params": params}, x, train=True, mutable=["batch_stats"])
        return jnp.cos(3 * max_pool(y, 2, 1)).sum()

    try:
        compiled = jax.jit(jax.grad(loss), compiler_options=options)(variables["params"])
    except jax.errors.JaxRuntimeError:
        pytest.skip("this XLA has no such option")
    for got, expected in zip(*map(jax.tree.leaves, (compiled, jax.grad(loss)(variables["params"]))), strict=True):
        np.testing.assert_allclose(got, expected, atol=1e-4 * float(jnp.abs(expected).max()), rtol=0)
