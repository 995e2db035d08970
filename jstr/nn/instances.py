"""From the frames of a recogniser to the instances of a loss: projection heads, instance mappings, a predictor."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp

from jstr.core import Array
from jstr.nn.layers import dense
from jstr.nn.rnn import BiLSTM

HEADS = ("none", "linear", "mlp", "mlp_norm", "bilstm")
MAPPINGS = ("all", "window", "frame")


class ProjectionHead(nn.Module):
    """Frames [B, S, D] of the mask [B, S] -> [B, S, D]; discarded after pre-training.

    kind: `linear` and `mlp` (one hidden layer, ReLU) map each frame by itself, `bilstm` reads the whole word; `none` is
    the identity: Aberdam et al. 2021 (SeqCLR), section 3.2. `mlp_norm` normalises the hidden layer over the batch, as
    the projector of BYOL does (Grill et al. 2020, section 3.3). mask: the frames that its statistics count; None: all.
    """

    kind: str = "none"

    @nn.compact
    def __call__(self, frames: Array, mask: Array | None = None) -> Array:
        size = frames.shape[-1]
        if self.kind == "none":
            return frames
        if self.kind == "mlp":
            frames = nn.relu(dense(size, name="hidden")(frames))
        if self.kind == "mlp_norm":
            mask = jnp.ones(frames.shape[:2], bool) if mask is None else mask
            frames = HiddenLayer(size, name="hidden")(frames, mask)
        if self.kind == "bilstm":
            frames = BiLSTM(size, name="lstm")(frames)
        return dense(size, name="linear")(frames)


def frame_mask(filled: Array, frames: int) -> Array:
    """[B, frames] bool: the frames that show the image; padding begins after its share `filled` [B] of the width."""
    return jnp.arange(frames) < jnp.maximum(jnp.ceil(filled[:, None] * frames - 1e-3), 1)


def map_frames(frames: Array, mask: Array, mapping: str, size: int) -> tuple[Array, Array]:
    """Maps frames [B, S, D] to instances [B, N, D], and returns which of these count [B, N] bool.

    mask [B, S]: the frames to use, n of each word. mapping (Aberdam et al. 2021, section 3.3):
      `all`: their mean, N = 1. `frame`: every frame, N = S.
      `window`: adaptive average pooling to N = size windows. Window i holds frames floor(i n / N) to
        ceil((i + 1) n / N) - 1, so neighbours may share a frame, and all of them do where n < N.
    """
    if mapping == "frame":
        return frames, mask
    n = mask.sum(axis=1)[:, None, None]
    rank = (jnp.cumsum(mask, axis=1) - 1)[:, None, :]
    windows = 1 if mapping == "all" else size
    i = jnp.arange(windows)[None, :, None]
    first, end = i * n // windows, -(-(i + 1) * n // windows)
    inside = (rank >= first) & (rank < end) & mask[:, None, :]
    count = inside.sum(axis=-1)
    weight = inside / jnp.maximum(count, 1)[..., None]
    return jnp.einsum("bns,bsd->bnd", weight.astype(frames.dtype), frames), count > 0


def center_instances(instances: Array, mask: Array) -> Array:
    """Subtracts from each instance of the mask [B, N] the mean of those of its word: [B, N, D], 0 outside the mask."""
    keep = mask[..., None].astype(instances.dtype)
    mean = (instances * keep).sum(axis=1, keepdims=True) / jnp.maximum(keep.sum(axis=1, keepdims=True), 1)
    centred = (instances - mean) * keep
    rounding = 8 * jnp.finfo(instances.dtype).eps * jnp.abs(instances).max(axis=-1, keepdims=True)
    return jnp.where(jnp.abs(centred).max(axis=-1, keepdims=True) > rounding, centred, 0)


class HiddenLayer(nn.Module):
    """A dense layer, batch normalisation and ReLU: [B, N, D] of the mask [B, N] -> [B, N, width].

    The statistics are those of the batch, of what counts: such layers are used in training only.
    """

    width: int

    @nn.compact
    def __call__(self, x: Array, mask: Array) -> Array:
        x = dense(self.width, use_bias=False, name="dense")(x)
        keep = mask[..., None].astype(x.dtype)
        count = jnp.maximum(keep.sum(), 1)
        centred = x - (x * keep).sum(axis=(0, 1)) / count
        variance = (centred**2 * keep).sum(axis=(0, 1)) / count
        scale = self.param("scale", nn.initializers.ones, (self.width,))
        bias = self.param("bias", nn.initializers.zeros, (self.width,))
        return nn.relu(centred * jax.lax.rsqrt(variance + 1e-5) * scale + bias)


class Predictor(nn.Module):
    """Instances [B, N, D] of the mask [B, N] -> predictions of another view's instances [B, N, D].

    One hidden layer with batch normalisation and ReLU, as in BYOL (Grill et al. 2020, section 3.3) and SimSiam.
    """

    hidden: int

    @nn.compact
    def __call__(self, instances: Array, mask: Array) -> Array:
        return dense(instances.shape[-1], name="out")(HiddenLayer(self.hidden, name="hidden")(instances, mask))
