"""CORAL: the distance between the second moments of two sets of features."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jstr.core import Array, at_least_float32


def scatter(features: Array, keep: Array) -> tuple[Array, Array]:
    """(sum of (x - mean)(x - mean)^T over the kept rows [D, D], number of rows) of features [N, D], keep [N] bool."""
    count = keep.sum().astype(jnp.float32)
    features = jnp.where(keep[:, None], at_least_float32(features), 0.0)
    centred = jnp.where(keep[:, None], features - features.sum(axis=0) / jnp.maximum(count, 1), 0.0)
    return jnp.matmul(centred.T, centred, precision=jax.lax.Precision.HIGHEST), count


def coral(source: Array, source_keep: Array, target: Array, target_keep: Array, normalise: bool = False) -> Array:
    """How far the second moments of two sets of characters, [N, D] and [M, D], differ; 0 when either is empty.

    normalise=False, the published code of CR (loss_coral.py): squared distance of the scatter matrices / (4 D^4), which
    grows with the square of the number of characters. True, CORAL (Sun and Saenko 2016, equation 1): of the covariances
    / (4 D^2). source_keep [N] and target_keep [M], bool: the rows that count.
    """
    (a, n), (b, m) = scatter(source, source_keep), scatter(target, target_keep)
    size = source.shape[-1]
    if normalise:
        a, b = a / jnp.maximum(n - 1, 1), b / jnp.maximum(m - 1, 1)
    distance = jnp.square(a - b).sum() / (4.0 * size ** (2 if normalise else 4))  # a float: D^4 is beyond int32
    return jnp.where((n > 0) & (m > 0), distance, 0.0)
