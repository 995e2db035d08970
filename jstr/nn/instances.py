"""From the frames of a recogniser to the instances of a contrastive loss: projection heads and instance mappings."""

from __future__ import annotations

import flax.linen as nn
import jax.numpy as jnp

from jstr.core import Array
from jstr.nn.layers import dense
from jstr.nn.rnn import BiLSTM

HEADS = ("none", "linear", "mlp", "bilstm")
MAPPINGS = ("all", "window", "frame", "fixed")


class ProjectionHead(nn.Module):
    """Frames [B, S, D] -> [B, S, size], thrown away after pre-training. seqclr.md section 3.

    kind: `linear` and `mlp` (one hidden layer, ReLU) see a frame at a time, `bilstm` the whole word; none: identity.
    hidden_size, size: None is D.
    """

    kind: str = "none"
    hidden_size: int | None = None
    size: int | None = None

    @nn.compact
    def __call__(self, frames: Array) -> Array:
        hidden, size = self.hidden_size or frames.shape[-1], self.size or frames.shape[-1]
        if self.kind == "none":
            return frames
        if self.kind == "mlp":
            frames = nn.relu(dense(hidden, name="hidden")(frames))
        if self.kind == "bilstm":
            frames = BiLSTM(hidden, name="lstm")(frames)
        return dense(size, name="linear")(frames)


def frame_mask(filled: Array, frames: int) -> Array:
    """[B, frames] bool: frames that see at least some of the picture, when padding follows its share `filled` [B]."""
    return jnp.arange(frames) < jnp.maximum(jnp.ceil(filled[:, None] * frames - 1e-3), 1)


def map_frames(frames: Array, mask: Array, mapping: str, size: int) -> tuple[Array, Array]:
    """Instances [B, N, D] of frames [B, S, D], and which of them count [B, N] bool; frames with mask False do not.

    mapping: `all`, the mean (N = 1); `window`, adaptive average pooling to N = size windows, of which the i-th of a
    word of n frames holds frames floor(i n / N) to ceil((i + 1) n / N) - 1, so neighbours may share one (and all do
    where n < N); `frame`, every frame (N = S); `fixed`, windows of `size` frames, what is left over dropped. n counts
    the frames of the mask. seqclr.md section 4.
    """
    if mapping == "frame":
        return frames, mask
    n = mask.sum(axis=1)[:, None, None]
    rank = (jnp.cumsum(mask, axis=1) - 1)[:, None, :]
    if mapping == "fixed":
        i = jnp.arange(frames.shape[1] // size)[None, :, None]
        first, end = i * size, jnp.where((i + 1) * size <= n, (i + 1) * size, 0)
    else:
        windows = 1 if mapping == "all" else size
        i = jnp.arange(windows)[None, :, None]
        first, end = i * n // windows, -(-(i + 1) * n // windows)
    inside = (rank >= first) & (rank < end) & mask[:, None, :]
    count = inside.sum(axis=-1)
    weight = inside / jnp.maximum(count, 1)[..., None]
    return jnp.einsum("bns,bsd->bnd", weight.astype(frames.dtype), frames), count > 0


def less_their_mean(instances: Array, mask: Array) -> Array:
    """Instances [B, N, D], those of the mask [B, N] less the mean of these over the word; zero where one is alone."""
    keep = mask[..., None].astype(instances.dtype)
    mean = (instances * keep).sum(axis=1, keepdims=True) / jnp.maximum(keep.sum(axis=1, keepdims=True), 1)
    return (instances - mean) * keep
