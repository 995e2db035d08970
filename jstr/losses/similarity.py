"""Cosine similarity without negatives (BYOL, SimSiam), and what tells whether it has collapsed."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jstr.core import Array, at_least_float32


def negative_cosine(predicted: Array, target: Array) -> Array:
    """-cos(p, z) of predictions and targets [..., D]: [...], from -1 to 1. The target is a constant.

    D(p, z) of SimSiam (Chen and He 2021, equation 1); the loss of BYOL (Grill et al. 2020, equation 2) is 2 + 2 D. A
    vector shorter than 1e-15 has cosine 0 with everything and no gradient.
    """
    return -jnp.sum(unit(predicted) * jax.lax.stop_gradient(unit(target)), axis=-1)


def spread(instances: Array, mask: Array) -> Array:
    """How far instances [N, D] of the mask [N] are from collapse: 0, all are the same, to 1, evenly spread.

    The standard deviation of each dimension of the l2-normalised instances, averaged over dimensions, times sqrt(D)
    (Chen and He 2021, section 4.1). 0 where nothing counts.
    """
    units, keep, count = _counted(instances, mask)
    centred = (units - units.sum(axis=0) / count) * keep
    return jnp.sqrt((centred**2).sum(axis=0) / count).mean() * jnp.sqrt(float(units.shape[-1]))


def mean_similarity(instances: Array, mask: Array) -> Array:
    """Mean cosine of two different instances [N, D] of the mask [N]: 1 at collapse, about 0 where evenly spread.

    0 where fewer than two count.
    """
    units, _, count = _counted(instances, mask)
    total, own = units.sum(axis=0), (units**2).sum()
    return (total @ total - own) / jnp.maximum(count * (count - 1), 1)


def unit(x: Array) -> Array:
    """x [..., D] over its length, at least in float32; 0, without a gradient, where it is shorter than 1e-15."""
    x = at_least_float32(x)
    square = jnp.sum(x * x, axis=-1, keepdims=True)
    has_direction = square > 1e-30
    return jnp.where(has_direction, x * jax.lax.rsqrt(jnp.where(has_direction, square, 1.0)), 0.0)


def _counted(instances: Array, mask: Array) -> tuple[Array, Array, Array]:
    """(unit vectors, 0 outside the mask; the mask [N, 1]; how many count, at least 1)."""
    units = unit(instances)
    keep = mask[:, None].astype(units.dtype)
    return units * keep, keep, jnp.maximum(keep.sum(), 1)
