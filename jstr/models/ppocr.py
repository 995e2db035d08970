"""PaddleOCR's recognisers: a convolutional network whose height ends at one, a neck over its frames, and CTC.

PP-OCRv6 small and tiny, and the mobile network of PP-OCRv4 and v5 (PP-LCNetV3 and SVTR's neck). PaddleOCR (Apache-2.0)
publishes no paper on v6; this follows the graphs of its exported ONNX files. Batch norms that the export folded into
convolutions stay folded: those convolutions have a bias and no statistics. jstr/interop/ppocr.py loads the published
weights.
"""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp

from jstr.core import Array, ModelConfig, Prediction
from jstr.decoding import greedy
from jstr.nn import platform
from jstr.nn.depthwise import Depthwise
from jstr.nn.images import normalise
from jstr.nn.lcnet import AttentionBlock, Block, BlockSpec, ScaledLayer, gelu, normed, pointwise
from jstr.text.messages import InputError, check_choice

HEIGHT = 48
NECK, HEADS, NECK_BLOCKS, NARROW = 120, 8, 2, 60
TINY_FRAMES = 80

SMALL = (
    BlockSpec(96, attends=True), BlockSpec(96), BlockSpec(96),
    BlockSpec(192, stride=2), BlockSpec(192, attends=True), BlockSpec(192), BlockSpec(192, attends=True),
    BlockSpec(192), BlockSpec(192, attends=True), BlockSpec(192),
    BlockSpec(384, stride=2), BlockSpec(384, attends=True), BlockSpec(384),
)  # fmt: skip
TINY = (
    BlockSpec(48, attends=True), BlockSpec(48),
    BlockSpec(96, stride=2), BlockSpec(96, attends=True), BlockSpec(96),
    BlockSpec(160, stride=2), BlockSpec(160, attends=True), BlockSpec(160), BlockSpec(160),
)  # fmt: skip
MOBILE = (
    BlockSpec(32), BlockSpec(64), BlockSpec(64), BlockSpec(128, stride=2), BlockSpec(128), BlockSpec(240, (1, 2)),
    *(BlockSpec(240, kernel=5) for _ in range(4)),
    BlockSpec(480, 2, attends=True, kernel=5), BlockSpec(480, attends=True, kernel=5),
    BlockSpec(480, 2, kernel=5), BlockSpec(480, kernel=5),
)  # fmt: skip
NETWORKS = {"v6_small": SMALL, "v6_tiny": TINY, "mobile": MOBILE}


class Model(nn.Module):
    """A PP-OCR recogniser: images [B, 48, W, 3] in RGB -> logits [B, W // 8, C].

    Any width from 16 pixels on is taken, whatever model_config.image_size says. frames [B, W // 8, D] are what the
    classifier sees, visual [B, W // 8, D'] what the neck sees.
    network: one of NETWORKS.
    space_as_blank: the classifier has one class more, the space, whose probability is added to the blank's: for words,
      and for charsets without a space.
    dtype: of the computation. Parameters and logits stay float32.

    Raises:
      InputError: another height, grey images, or a token layout that is not CTC's with the blank as its only special.
    """

    model_config: ModelConfig
    network: str = "v6_small"
    space_as_blank: bool = False
    dtype: str = "float32"

    reads_text = False
    autoregressive = False
    has_projection = False
    has_attention_maps = False
    heads = ()

    def __post_init__(self):
        check_choice("network", self.network, tuple(NETWORKS))
        check_choice("dtype", self.dtype, ("float32", "bfloat16"))
        config = self.model_config
        if config.image_size[0] != HEIGHT or config.channels != 3:
            raise InputError(f"ppocr reads RGB images of height {HEIGHT}: set config.image.size and channels=3")
        if not config.is_ctc:
            raise InputError("ppocr needs a config.charset.layout for CTC")
        super().__post_init__()

    def __call__(self, images: Array, tokens: Array | None = None, *, train: bool) -> dict[str, Array]:
        several = isinstance(images.shape[0], int) and images.shape[0] > 1  # an export may leave the size open
        learns = train or self.is_mutable_collection("batch_stats")  # of an otherwise frozen network a part may learn
        if learns or not several or self.is_initializing() or platform.platform() != "cpu":
            return self.outputs(images, train)
        # One image after the other: the features of a batch leave a CPU's caches, which takes a third longer.
        each = nn.scan(
            lambda model, carry, image: (carry, model.outputs(image, train)),
            variable_broadcast=("params", "batch_stats"),
            split_rngs={"params": False},
        )
        return jax.tree.map(lambda x: x[:, 0], each(self, (), images[:, None])[1])

    @nn.compact
    def outputs(self, images: Array, train: bool) -> dict[str, Array]:
        """What `__call__` returns, of all images at once."""
        dtype = jnp.dtype(self.dtype)
        x = normalise(images)[..., ::-1].astype(dtype)  # the published networks were trained on BGR
        stem, neck = {"v6_small": (Stem, Neck), "v6_tiny": (TinyStem, TinyNeck), "mobile": (MobileStem, MobileNeck)}[
            self.network
        ]
        x = stem(name="stem")(x, train=train)
        for number, spec in enumerate(NETWORKS[self.network]):
            name = f"block_{number}"
            x = (ScaledLayer(spec, name=name) if self.network == "mobile" else Block(spec, x.shape[-1], name=name))(x)
        visual = nn.avg_pool(x, (3, 2), (3, 2))[:, 0]
        frames = neck(name="neck")(visual, train=train)
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
    """v6 small: two halvings of [B, H, W, 3] -> [B, H // 4, W // 4, 96]."""

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        def layer(x, features, kernel, stride, padding, name):
            conv = nn.Conv(features, (kernel, kernel), (stride, stride), padding, dtype=x.dtype, name=name)
            return nn.relu(conv(x))

        around, after = ((1, 1), (1, 1)), ((0, 1), (0, 1))
        x = layer(x, 48, 3, 2, around, "halve_0")
        y = layer(layer(x, 24, 2, 1, after, "branch_0"), 48, 2, 1, after, "branch_1")
        pooled = nn.max_pool(x, (2, 2), (1, 1), after)
        x = layer(jnp.concatenate([pooled, y], axis=-1), 48, 3, 2, around, "halve_1")
        return pointwise(x, 96, "widen", nn.relu)


class TinyStem(nn.Module):
    """v6 tiny: two halvings of [B, H, W, 3] -> [B, H // 4, W // 4, 48]."""

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        x = normed(halved(x, 24, "halve_0"), train, "halve_0", gelu)
        return normed(halved(x, 48, "halve_1"), train, "halve_1", None)


class MobileStem(nn.Module):
    """One halving of [B, H, W, 3] -> [B, H // 2, W // 2, 16]."""

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        return normed(halved(x, 16, "halve_0"), train, "halve_0", None)


class Neck(nn.Module):
    """v6 small: lets frames see each other, visual [B, T, D] -> [B, T, 120], by a local convolution and attention."""

    @nn.compact
    def __call__(self, visual: Array, *, train: bool) -> Array:
        skip, x = (normed(product(visual, NECK, name), train, name, nn.swish) for name in ("skip", "narrow"))
        x = x + normed(along(x, 7, "local"), train, "local", nn.swish)
        return attended(x) + skip


class TinyNeck(nn.Module):
    """v6 tiny: a local convolution, visual [B, T, D] -> [B, T, 80]."""

    @nn.compact
    def __call__(self, visual: Array, *, train: bool) -> Array:
        x = normed(along(visual, 5, "local"), train, "local", nn.hard_swish)
        x = normed(product(x, x.shape[-1], "mix"), train, "mix", nn.hard_swish)
        return pointwise(x, TINY_FRAMES, "narrow")


class MobileNeck(nn.Module):
    """v4 and v5 mobile: convolutions and attention beside what comes in, visual [B, T, D] -> [B, T, 120]."""

    @nn.compact
    def __call__(self, visual: Array, *, train: bool) -> Array:
        def narrowed(x, number):
            conv = nn.Conv(NARROW, (3,), padding=((1, 1),), use_bias=False, dtype=x.dtype, name=f"local_{number}")
            x = normed(conv(x), train, f"local_{number}", nn.swish)
            return normed(product(x, NECK, f"narrow_{number}"), train, f"narrow_{number}", nn.swish)

        x = attended(narrowed(visual, 0))
        x = normed(product(x, visual.shape[-1], "widen"), train, "widen", nn.swish)
        return narrowed(jnp.concatenate([visual, x], axis=-1), 1)


# What follows is called within a compact module.


def halved(x: Array, features: int, name: str) -> Array:
    """A 3x3 convolution that halves height and width, without bias."""
    return nn.Conv(features, (3, 3), (2, 2), ((1, 1), (1, 1)), use_bias=False, dtype=x.dtype, name=name)(x)


def product(x: Array, features: int, name: str) -> Array:
    return nn.Dense(features, use_bias=False, dtype=x.dtype, name=name)(x)


def along(x: Array, size: int, name: str) -> Array:
    """A depthwise convolution over the frames of x [B, T, D], without bias."""
    return Depthwise((1, size), use_bias=False, name=name)(x[:, None])[:, 0]


def attended(x: Array) -> Array:
    """x [B, T, D] after the attention blocks and a norm."""
    for number in range(NECK_BLOCKS):
        x = AttentionBlock(HEADS, name=f"attention_{number}")(x)
    return nn.LayerNorm(epsilon=1e-6, dtype=x.dtype, name="norm")(x)
