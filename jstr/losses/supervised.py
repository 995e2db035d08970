"""Losses against labels. Arrays in, values per example out; the caller reduces and weights them."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import optax

from jstr.core import Array, at_least_float32


def sequence_cross_entropy(logits: Array, targets: Array, pad_id: int) -> tuple[Array, Array]:
    """Cross-entropy of logits [B, T, C] against ids [B, T], ignoring positions that hold pad_id.

    Returns (sum over positions [B], number of positions [B] float32). The published loss is the ratio of their sums.
    """
    log_prob = jax.nn.log_softmax(at_least_float32(logits))
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
    logits = at_least_float32(logits)
    frame_padding = jnp.zeros(logits.shape[:2], logits.dtype)
    nll = optax.ctc_loss(logits, frame_padding, tokens, padding.astype(logits.dtype), blank_id=blank_id)
    return jnp.where(alignable, nll / jnp.maximum(length, 1), 0.0), alignable
