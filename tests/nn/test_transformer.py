"""Transformer layers: position codes and the precision of norms."""

import jax
import jax.numpy as jnp
import numpy as np

from jstr.nn import transformer
from jstr.nn.transformer import Layer, sinusoid


def test_positions():
    code = sinusoid(26, 512)
    np.testing.assert_allclose(code[1, :4], [0.8415, 0.5403, 0.8219, 0.5697], atol=5e-5)
    np.testing.assert_allclose(code[25, :4], [-0.1324, 0.9912, -0.8501, 0.5266], atol=5e-5)


def test_norms_of_half_precision_layers_are_single():
    """Features of bfloat16 that differ by less than its step at their mean still come apart after the norm."""
    x = (1000 + jnp.arange(32.0) * 8).astype(jnp.bfloat16)[None, None]
    layer = Layer(2, 8, 0.0, jnp.bfloat16)
    params = layer.init(jax.random.key(0), x, train=False)
    zero = jax.tree.map(jnp.zeros_like, params)
    for norm in ("norm_0", "norm_1"):
        zero["params"][norm]["scale"] = params["params"][norm]["scale"]
    out = layer.apply(zero, x, train=False)[0, 0].astype(jnp.float32)
    expected = (np.arange(32) - 15.5) / np.arange(32).std()
    np.testing.assert_allclose(out, expected, atol=0.02)


def test_values_of_attention():
    """Scaled products, softmax over what may be attended to, and the mean of the values (Vaswani et al., eq. 1)."""
    rng = np.random.default_rng(0)
    query, key, value = (rng.normal(size=(2, n, 3, 4)).astype(np.float32) for n in (5, 6, 6))
    mask = rng.random((2, 1, 5, 6)) < 0.6
    mask[..., 0] = True
    found = transformer._attend(query, key, value, mask, deterministic=True)
    for b, q, h in np.ndindex(2, 5, 3):
        some = mask[b, 0, q]
        scores = np.exp(key[b, some, h] @ query[b, q, h] / 2)
        np.testing.assert_allclose(found[b, q, h], scores @ value[b, some, h] / scores.sum(), atol=1e-5)


def test_both_halves_of_a_layer_are_dropped(monkeypatch):
    """With all of them dropped, only the norms are left; the weights of the attention are another dropout."""
    monkeypatch.setattr(transformer, "drop", lambda x, key, rate: x)
    x = jnp.asarray(np.random.default_rng(0).normal(size=(1, 4, 8)), jnp.float32)
    layer = Layer(2, 16, 1 - 1e-7)
    params = layer.init(jax.random.key(0), x, train=False)
    out = layer.apply(params, x, train=True, rngs={"dropout": jax.random.key(1)})
    expected = (x - x.mean(-1, keepdims=True)) / x.std(-1, keepdims=True)
    np.testing.assert_allclose(out, expected, atol=1e-3)
