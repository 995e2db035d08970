"""Convolutions of CPUs against JAX's own: values, gradients, and where they must not be used."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jstr.nn import winograd
from jstr.nn.layers import conv

LAYOUT = dict(dimension_numbers=("NHWC", "HWIO", "NHWC"))
SAME = ((1, 1), (1, 1))


def draw(shape, c, d):
    rng = np.random.default_rng(0)
    x, g = rng.normal(size=(*shape, c)), rng.normal(size=(*shape, d))
    kernel = rng.normal(size=(3, 3, c, d)) / np.sqrt(9 * c)
    return [jnp.asarray(a, jnp.float32) for a in (x, kernel, g)]


def direct(x, kernel):
    precision = jax.lax.Precision.HIGHEST
    return jax.lax.conv_general_dilated(x, kernel, (1, 1), SAME, precision=precision, **LAYOUT)


@pytest.mark.parametrize("shape", [(2, 4, 8), (3, 8, 25), (1, 5, 7), (2, 3, 1), (1, 4, 26), (2, 1, 9), (12, 8, 25)])
@pytest.mark.parametrize("channels", [(32, 48), (3, 5)])
@pytest.mark.parametrize("cache", [winograd.CACHE, 1])
def test_values_and_gradients_equal_the_direct_convolution(shape, channels, cache, monkeypatch):
    """With a small cache, images are convolved one by one."""
    monkeypatch.setattr(winograd, "CACHE", cache)
    monkeypatch.setattr(jax, "device_count", lambda: 1)
    x, kernel, g = draw(shape, *channels)
    results = []
    for method in (direct, winograd.conv3x3):
        y, pull = jax.vjp(method, x, kernel)
        results.append((y, *pull(g)))
    for want, got in zip(*results, strict=True):
        assert want.shape == got.shape
        np.testing.assert_allclose(got, want, atol=3e-5 * float(jnp.abs(want).max()), rtol=0)


def test_transforms_are_exact_in_whole_numbers():
    """F(4, 3) by hand: a filter of three taps over six values gives four, for every unit vector."""
    for i in range(6):
        for k in range(3):
            x, w = np.eye(6)[i], np.eye(3)[k]
            got = winograd.AT @ ((winograd.G.astype(np.float64) @ w) * (winograd.BT @ x))
            np.testing.assert_allclose(got, np.convolve(x, w[::-1], "valid"), atol=1e-6)


def uses_products(**changes) -> bool:
    """Whether a layer of these properties avoids XLA's convolution."""
    o = dict(c=32, d=32, kernel=(3, 3), padding=SAME, strides=(1, 1), dtype=jnp.float32, height=8, batch=1)
    o |= dict(precision=None) | changes
    x = jnp.zeros((o["batch"], o["height"], 12, o["c"]), o["dtype"])
    layer = conv(o["d"], o["kernel"], o["padding"], o["strides"], dtype=o["dtype"])
    variables = jax.eval_shape(layer.init, jax.random.PRNGKey(0), x)
    with jax.default_matmul_precision(o["precision"]):
        return "conv_general_dilated" not in str(jax.make_jaxpr(layer.apply)(variables, x))


def test_used_only_where_it_is_the_same_convolution_and_faster():
    assert uses_products() and uses_products(c=512, d=512, batch=11)
    for change in (
        dict(precision="highest"),
        dict(c=512, d=512, batch=10),
        dict(dtype=jnp.bfloat16),
        dict(kernel=(2, 2)),
        dict(strides=(2, 1)),
        dict(padding=((0, 0), (1, 1))),
        dict(c=3),
        dict(d=16),
        dict(height=2),
    ):
        assert not uses_products(**change), change


@pytest.mark.parametrize("shape", [(1, 4, 26), (2, 1, 9)])
def test_one_product_equals_the_direct_convolution(shape):
    x, kernel, g = draw(shape, 3, 5)
    expected, pull = jax.vjp(direct, x, kernel)
    found, pull_found = jax.vjp(winograd.as_product, x, kernel)
    for a, b in zip((found, *pull_found(g)), (expected, *pull(g)), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_large_kernels_on_few_pixels_are_one_product():
    assert uses_products(c=512, d=512, batch=1, height=4) and not uses_products(c=256, d=256, batch=1, height=4)


@pytest.mark.parametrize("kernel, strides", [((2, 2), (2, 2)), ((2, 1), (2, 1)), ((4, 1), (1, 1)), ((4, 2), (1, 2))])
def test_places_that_do_not_overlap(kernel, strides):
    """The layer's own gradients, of the image and of the kernel, against those of JAX's convolution in float64."""
    rng = np.random.default_rng(0)
    x, weights = rng.normal(size=(3, 4, 6, 5)), rng.normal(size=(*kernel, 5, 7))
    none = ((0, 0), (0, 0))

    def ours(x, weights):
        y = conv(7, kernel, none, strides).apply({"params": {"kernel": weights}}, x)
        return (jnp.sin(y) * jnp.arange(y.size).reshape(y.shape)).sum(), y

    def theirs(x, weights):
        y = jax.lax.conv_general_dilated(x, weights, strides, "VALID", **LAYOUT)
        return (jnp.sin(y) * jnp.arange(y.size).reshape(y.shape)).sum(), y

    single = [jnp.asarray(a, jnp.float32) for a in (x, weights)]
    assert "custom_vjp" in str(jax.make_jaxpr(ours)(*single))
    got = jax.grad(ours, (0, 1), has_aux=True)(*single)
    with jax.enable_x64():
        want = jax.grad(theirs, (0, 1), has_aux=True)(x, weights)
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, atol=1e-5 * float(np.abs(b).max()), rtol=0)


@pytest.mark.parametrize(
    "change",
    [
        dict(strides=(1, 1)),
        dict(strides=(2, 1)),
        dict(padding=SAME),
        dict(kernel=(1, 1), strides=(1, 1)),
        dict(dtype=jnp.bfloat16),
        dict(width=7),
    ],
)
def test_where_places_overlap_the_gradient_is_that_of_jax(change):
    o = dict(kernel=(2, 2), padding=((0, 0), (0, 0)), strides=(2, 2), dtype=jnp.float32, width=6) | change
    x = jnp.zeros((1, 4, o["width"], 3), o["dtype"])
    layer = conv(5, o["kernel"], o["padding"], o["strides"], dtype=o["dtype"])
    variables = jax.eval_shape(layer.init, jax.random.key(0), x)
    assert "custom_vjp" not in str(jax.make_jaxpr(layer.apply)(variables, x))
