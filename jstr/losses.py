"""Loss functions: arrays in, values per example out. Whoever calls them reduces and weights."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from jstr.core import Array


def precise(logits: Array) -> Array:
    """In float32, or what is higher."""
    return logits.astype(jnp.promote_types(logits.dtype, jnp.float32))


def sequence_cross_entropy(logits: Array, targets: Array, pad_id: int) -> tuple[Array, Array]:
    """Cross-entropy of logits [B, T, C] against ids [B, T], leaving out positions that hold pad_id.

    Returns (sum over positions [B], number of positions [B] float32). The published loss is the ratio of their sums.
    """
    log_prob = jax.nn.log_softmax(precise(logits))
    entropy = -jnp.take_along_axis(log_prob, targets[..., None], axis=-1)[..., 0]
    mask = targets != pad_id
    return jnp.where(mask, entropy, 0.0).sum(axis=1), mask.sum(axis=1).astype(jnp.float32)


def ctc(logits: Array, tokens: Array, pad_id: int, blank_id: int = 0) -> tuple[Array, Array]:
    """CTC loss (Graves et al. 2006) of logits [B, T, C] for labels [B, N] that end in padding.

    Returns (negative log likelihood / label length [B], alignable [B] bool). A label that needs more than T frames
    (one for each character, one more between equal neighbours) is not alignable: its loss and its gradient are 0. The
    mean of the first over the batch is torch's CTCLoss with zero_infinity. The length of an empty label counts as 1.
    """
    padding = tokens == pad_id
    length = (~padding).sum(axis=1)
    repeats = ((tokens[:, 1:] == tokens[:, :-1]) & ~padding[:, 1:]).sum(axis=1)
    alignable = length + repeats <= logits.shape[1]
    logits = precise(logits)
    frame_padding = jnp.zeros(logits.shape[:2], logits.dtype)
    nll = optax.ctc_loss(logits, frame_padding, tokens, padding.astype(logits.dtype), blank_id=blank_id)
    return jnp.where(alignable, nll / jnp.maximum(length, 1), 0.0), alignable


class Contrast(NamedTuple):
    """What nt_xent finds: a value per pair [N], both directions averaged, but for the last.

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
    published loss. An instance of length zero has cosine 0 with everything, and no gradient.
    SeqCLR (Aberdam et al. 2021), seqclr.md section 5. Memory: (2N)^2 floats.
    """
    # Views on an axis of their own, so that the split of N over devices stays as it is: one gather, no shuffling.
    count = len(view0)
    keep = jnp.ones(count, bool) if mask is None else mask
    units = _unit(precise(jnp.stack([view0, view1], axis=1)))
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


def _unit(x: Array) -> Array:
    square = jnp.sum(x * x, axis=-1, keepdims=True)
    somewhere = square > 1e-12
    return jnp.where(somewhere, x * jax.lax.rsqrt(jnp.where(somewhere, square, 1.0)), 0.0)
