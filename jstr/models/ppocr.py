"""PP-OCRv6's small recogniser: a convolutional network, two blocks of self-attention over its frames, and CTC.

PaddleOCR (Apache-2.0) publishes no paper on it; this follows the graph of its exported ONNX file. Batch norms that the
export folded into convolutions stay folded: those convolutions have a bias and no statistics. jstr/interop/ppocr.py
loads the published weights.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from jstr.core import Array, ModelConfig, Prediction
from jstr.decoding import greedy
from jstr.messages import InputError, check_choice
from jstr.nn.depthwise import Depthwise
from jstr.nn.images import normalise
from jstr.nn.layers import batch_norm

HEIGHT = 48
NECK, HEADS, NECK_BLOCKS = 120, 8, 2


class BlockSpec(NamedTuple):
    """channels: of the result. stride: vertical. attends: whether channels are weighted by squeeze and excitation."""

    channels: int
    stride: int = 1
    attends: bool = False


SMALL = (
    BlockSpec(96, attends=True), BlockSpec(96), BlockSpec(96),
    BlockSpec(192, stride=2), BlockSpec(192, attends=True), BlockSpec(192), BlockSpec(192, attends=True),
    BlockSpec(192), BlockSpec(192, attends=True), BlockSpec(192),
    BlockSpec(384, stride=2), BlockSpec(384, attends=True), BlockSpec(384),
)  # fmt: skip


class Model(nn.Module):
    """PP-OCRv6 small: images [B, 48, W, 3] in RGB -> logits [B, W // 8, C].

    Any width from 16 pixels on is taken, whatever model_config.image_size says. frames [B, W // 8, 120] are what the
    classifier sees, visual [B, W // 8, 384] what the neck sees.
    space_as_blank: the classifier has one class more, the space, whose probability is added to the blank's: for words,
      and for charsets without a space.
    dtype: of the computation. Parameters and logits stay float32.

    Raises:
      InputError: another height, grey images, or a token layout that is not CTC's with the blank as its only special.
    """

    model_config: ModelConfig
    space_as_blank: bool = False
    dtype: str = "float32"

    reads_text = False
    autoregressive = False
    has_projection = False
    has_attention_maps = False
    heads = ()

    def __post_init__(self):
        check_choice("dtype", self.dtype, ("float32", "bfloat16"))
        config = self.model_config
        if config.image_size[0] != HEIGHT or config.channels != 3:
            raise InputError(f"ppocr reads RGB images of height {HEIGHT}: set config.image.size and channels=3")
        if not config.is_ctc:
            raise InputError("ppocr needs a config.charset.layout for CTC")
        super().__post_init__()

    @nn.compact
    def __call__(self, images: Array, tokens: Array | None = None, *, train: bool) -> dict[str, Array]:
        dtype = jnp.dtype(self.dtype)
        x = normalise(images)[..., ::-1].astype(dtype)  # the published network was trained on BGR
        x = Stem(name="stem")(x)
        channels = x.shape[-1]
        for number, spec in enumerate(SMALL):
            x = Block(spec, channels, name=f"block_{number}")(x)
            channels = spec.channels
        visual = nn.avg_pool(x, (3, 2), (3, 2))[:, 0]
        frames = Neck(name="neck")(visual, train=train)
        classes = self.model_config.num_classes + self.space_as_blank
        logits = nn.Dense(classes, dtype=dtype, name="classifier")(frames).astype(jnp.float32)
        if self.space_as_blank:
            blank = jnp.logaddexp(logits[..., :1], logits[..., -1:])
            logits = jnp.concatenate([blank, logits[..., 1:-1]], axis=-1)
        return {"logits": logits, "frames": frames, "visual": visual}

    def decode(self, images: Array) -> Prediction:
        """Greedy reading of images [B, 48, W, 3]."""
        return greedy.ctc_prediction(self(images, train=False)["logits"])


class Stem(nn.Module):
    """Two halvings of [B, H, W, 3] -> [B, H // 4, W // 4, 96]."""

    @nn.compact
    def __call__(self, x: Array) -> Array:
        def layer(x, features, kernel, stride, padding, name):
            conv = nn.Conv(features, (kernel, kernel), (stride, stride), padding, dtype=x.dtype, name=name)
            return nn.relu(conv(x))

        around, after = ((1, 1), (1, 1)), ((0, 1), (0, 1))
        x = layer(x, 48, 3, 2, around, "halve_0")
        y = layer(layer(x, 24, 2, 1, after, "branch_0"), 48, 2, 1, after, "branch_1")
        pooled = nn.max_pool(x, (2, 2), (1, 1), after)
        x = layer(jnp.concatenate([pooled, y], axis=-1), 48, 3, 2, around, "halve_1")
        return pointwise(x, 96, "widen", nn.relu)


class Block(nn.Module):
    """Mixes pixels depthwise, then channels: [B, H, W, channels] -> [B, H // stride, W, spec.channels]."""

    spec: BlockSpec
    channels: int

    @nn.compact
    def __call__(self, x: Array) -> Array:
        x = Depthwise((3, 3), (self.spec.stride, 1), name="depthwise")(x)
        if self.spec.attends:
            weights = pointwise(x.mean(axis=(1, 2), keepdims=True), self.channels // 4, "squeeze", nn.relu)
            weights = pointwise(weights, self.channels, "excite")
            x = x * jnp.clip(weights / 6 + 0.5, 0, 1).astype(x.dtype)
        y = pointwise(x, 2 * self.channels, "expand", lambda z: nn.gelu(z, approximate=False))
        y = pointwise(y, self.spec.channels, "project")
        return x + y if self.spec.channels == self.channels and self.spec.stride == 1 else y


class Neck(nn.Module):
    """Lets frames see each other: visual [B, T, D] -> [B, T, NECK], by a local convolution and self-attention."""

    @nn.compact
    def __call__(self, visual: Array, *, train: bool) -> Array:
        def narrowed(name: str) -> Array:
            x = nn.Dense(NECK, use_bias=False, dtype=visual.dtype, name=name)(visual)
            return nn.swish(batch_norm(train, name=f"{name}_norm")(x).astype(visual.dtype))

        skip, x = narrowed("skip"), narrowed("narrow")
        local = Depthwise((1, 7), use_bias=False, name="local")(x[:, None])[:, 0]
        x = x + nn.swish(batch_norm(train, name="local_norm")(local).astype(x.dtype))
        for number in range(NECK_BLOCKS):
            x = AttentionBlock(name=f"attention_{number}")(x)
        return nn.LayerNorm(epsilon=1e-6, dtype=x.dtype, name="norm")(x) + skip


class AttentionBlock(nn.Module):
    """A pre-norm transformer block over x [B, T, NECK]."""

    @nn.compact
    def __call__(self, x: Array) -> Array:
        batch, length, width = x.shape
        size, dtype = width // HEADS, x.dtype
        h = nn.LayerNorm(epsilon=1e-5, dtype=dtype, name="norm_0")(x)
        h = nn.Dense(3 * width, dtype=dtype, name="qkv")(h).reshape(batch, length, 3, HEADS, size)
        query, key, value = h[:, :, 0], h[:, :, 1], h[:, :, 2]
        scores = jnp.einsum("bqhd,bkhd->bhqk", query * size**-0.5, key).astype(jnp.float32)
        mixed = jnp.einsum("bhqk,bkhd->bqhd", jax.nn.softmax(scores).astype(dtype), value)
        x = x + nn.Dense(width, dtype=dtype, name="out")(mixed.reshape(batch, length, width))
        h = nn.LayerNorm(epsilon=1e-5, dtype=dtype, name="norm_1")(x)
        h = nn.swish(nn.Dense(2 * width, dtype=dtype, name="expand")(h))
        return x + nn.Dense(width, dtype=dtype, name="project")(h)


def pointwise(x: Array, features: int, name: str, activation: Any = None) -> Array:
    """A 1x1 convolution as a product: [..., D] -> [..., features]. Call within a compact module."""
    x = nn.Dense(features, dtype=x.dtype, name=name)(x)
    return x if activation is None else activation(x)
