"""The contrastive loss of SeqCLR. Arrays in, values per pair out; the caller reduces and weights them."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jstr.core import Array
from jstr.losses.similarity import unit


class Contrast(NamedTuple):
    """What nt_xent returns: a value per pair [N], both directions averaged, except for the last.

    loss: 0 where the mask is False. picked: 1 where the positive is nearer than every negative. alignment: squared
    distance of the two views on the unit sphere. uniformity: scalar, the logarithm of the mean over all negatives of
    exp(-2 squared distance); 0 when all instances are the same, lower is more even (Wang and Isola 2020).
    """

    loss: Array
    picked: Array
    alignment: Array
    uniformity: Array


def nt_xent(view0: Array, view1: Array, temperature: float = 0.1, mask: Array | None = None) -> Contrast:
    """NT-Xent over the instances [N, D] of two views, of which view0[i] and view1[i] are a positive pair.

    With u any of the 2N instances, u+ its positive and s the cosine: -log exp(s(u, u+)/t) / sum exp(s(u, u')/t) over
    all u' but u itself, so the other windows of the same image are negatives too. mask [N] bool: pairs that count; the
    others are nobody's negatives. `loss` is the mean of both directions, so its mean over the pairs that count is the
    published loss. An instance shorter than 1e-15, whose gradient would overflow, has cosine 0 with everything and no
    gradient.
    SeqCLR (Aberdam et al. 2021); the mean is that of SeqCLRLoss in the code of SemiMTR. Memory: (2N)^2 floats.
    """
    # Views on an axis of their own, so that the split of N over devices stays as it is: one gather, no shuffling.
    count = len(view0)
    keep = jnp.ones(count, bool) if mask is None else mask
    units = unit(jnp.stack([view0, view1], axis=1))
    cosine = jnp.einsum("nvd,mwd->nvmw", units, units, precision=jax.lax.Precision.HIGHEST)
    positive = jnp.sum(units[:, 0] * units[:, 1], axis=1)[:, None]
    negative = (~jnp.eye(count, dtype=bool) & keep & keep[:, None])[:, None, :, None]
    hardest = jnp.max(cosine, axis=(2, 3), initial=-2.0, where=negative)

    def per_pair(values):
        return jnp.where(keep, values.mean(axis=1), 0.0)

    # Of 2N - 1 terms the positive is written apart: then no row is empty, whatever the mask leaves.
    negatives = jnp.where(negative, cosine / temperature, -jnp.inf)
    top = jax.lax.stop_gradient(jnp.maximum(positive, hardest) / temperature)
    total = jnp.exp(positive / temperature - top) + jnp.exp(negatives - top[:, :, None, None]).sum(axis=(2, 3))
    spread = jnp.where(negative, jnp.exp(4 * (cosine - 1)), 0.0).sum() / jnp.maximum(4 * negative.sum(), 1)
    return Contrast(
        loss=per_pair(jnp.log(total) + top - positive / temperature),
        picked=per_pair((positive > hardest).astype(cosine.dtype)),
        alignment=jnp.where(keep, 2 - 2 * positive[:, 0], 0.0),
        uniformity=jnp.where(negative.any(), jnp.log(jnp.maximum(spread, 1e-30)), 0.0),
    )
