"""Feature extractors of the four-stage recognisers: an image becomes a short sequence of columns.

All map [B, H, W, C] to [B, h, S, channels], with h = 1 for H = 32. VGG, RCNN and ResNet are those of Baek et al. 2019
(modules/feature_extraction.py of deep-text-recognition-benchmark); Compact is new.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import flax.linen as nn

from jstr.core import Array
from jstr.nn.layers import SAME, VALID, ConvNorm, batch_norm, conv
from jstr.nn.pooling import max_pool, max_pool_overlapping

GRCL_STEPS = 5
RESNET_BLOCKS = (1, 2, 5, 3)
COMPACT_BLOCKS = (1, 2, 2)
DEEPER_BLOCKS = (2, 3, 3)


class VGG(nn.Module):
    """The seven convolutions of CRNN (Shi et al. 2015, table 1). S = W // 4 - 1."""

    channels: int
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        c = self.channels

        def plain(x, features, index, **geometry):
            layer = conv(features, **geometry, use_bias=True, dtype=self.dtype, name=f"conv_{index}")
            return nn.relu(layer(x))

        x = max_pool(plain(x, c // 8, 0), 2, 2)
        x = max_pool(plain(x, c // 4, 1), 2, 2)
        x = plain(x, c // 2, 2)
        x = max_pool(plain(x, c // 2, 3), 2, 1)
        x = ConvNorm(c, dtype=self.dtype, name="conv_4")(x, train=train)
        x = ConvNorm(c, dtype=self.dtype, name="conv_5")(x, train=train)
        x = max_pool(x, 2, 1)
        return plain(x, c, 6, kernel=(2, 2), padding=VALID)


class GRCL(nn.Module):
    """Gated recurrent convolution layer (Wang and Hu 2017). Its steps share the convolutions but not the norms."""

    channels: int
    dtype: Any = None

    @nn.compact
    def __call__(self, u: Array, *, train: bool) -> Array:
        def convolution(name, kernel, padding):
            return conv(self.channels, kernel, padding, dtype=self.dtype, name=name)

        def norm(name, x):
            return batch_norm(train, dtype=self.dtype, name=name)(x)

        gate_input = convolution("gate_input", (1, 1), VALID)(u)
        forward_input = convolution("input", (3, 3), SAME)(u)
        gate_state = convolution("gate_state", (1, 1), VALID)
        state = convolution("state", (3, 3), SAME)
        x = nn.relu(norm("norm", forward_input))
        for t in range(GRCL_STEPS):
            gate = norm(f"gate_input_norm_{t}", gate_input) + norm(f"gate_state_norm_{t}", gate_state(x))
            gated = norm(f"state_norm_{t}", state(x)) * nn.sigmoid(gate)
            x = nn.relu(norm(f"input_norm_{t}", forward_input) + norm(f"gated_norm_{t}", gated))
        return x


class RCNN(nn.Module):
    """GRCNN (Wang and Hu 2017): three GRCLs between two convolutions. S = W // 4 + 1."""

    channels: int
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        c = self.channels
        x = nn.relu(conv(c // 8, use_bias=True, dtype=self.dtype, name="conv_0")(x))
        x = GRCL(c // 8, dtype=self.dtype, name="grcl_0")(max_pool(x, 2, 2), train=train)
        x = GRCL(c // 4, dtype=self.dtype, name="grcl_1")(max_pool(x, 2, 2), train=train)
        x = GRCL(c // 2, dtype=self.dtype, name="grcl_2")(max_pool_overlapping(x), train=train)
        x = max_pool_overlapping(x)
        return ConvNorm(c, (2, 2), VALID, dtype=self.dtype, name="conv_1")(x, train=train)


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut, which is a 1x1 convolution where the number of channels changes.

    scale_init: of the last norm. With zeros, a block without a convolution in its shortcut starts as the identity of
    what a ReLU leaves (Goyal et al. 2017, section 5.1).
    """

    channels: int
    dtype: Any = None
    scale_init: Callable = nn.initializers.ones

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        shortcut = x
        y = ConvNorm(self.channels, dtype=self.dtype, name="conv_0")(x, train=train)
        last = ConvNorm(self.channels, relu=False, dtype=self.dtype, scale_init=self.scale_init, name="conv_1")
        y = last(y, train=train)
        if x.shape[-1] != self.channels:
            block = ConvNorm(self.channels, (1, 1), VALID, relu=False, dtype=self.dtype, name="shortcut")
            shortcut = block(x, train=train)
        return nn.relu(y + shortcut)


class ResNet(nn.Module):
    """The residual network of FAN (Cheng et al. 2017), with 1, 2, 5 and 3 blocks. S = W // 4 + 1."""

    channels: int
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        c = self.channels

        def single(x, features, name, kernel=(3, 3), padding=SAME, strides=(1, 1)):
            return ConvNorm(features, kernel, padding, strides, dtype=self.dtype, name=name)(x, train=train)

        def layer(x, features, index):
            for i in range(RESNET_BLOCKS[index - 1]):
                x = ResidualBlock(features, dtype=self.dtype, name=f"layer{index}_{i}")(x, train=train)
            return x

        x = single(x, c // 16, "conv0_1")
        x = max_pool(single(x, c // 8, "conv0_2"), 2, 2)
        x = max_pool(single(layer(x, c // 4, 1), c // 4, "conv1"), 2, 2)
        x = max_pool_overlapping(single(layer(x, c // 2, 2), c // 2, "conv2"))
        x = layer(single(layer(x, c, 3), c, "conv3"), c, 4)
        x = single(x, c, "conv4_1", (2, 2), ((0, 0), (1, 1)), (2, 1))
        return single(x, c, "conv4_2", (2, 2), VALID)


class Compact(nn.Module):
    """A small residual network for reading quickly without an accelerator. S = W // 4.

    The stem turns each 2x2 pixels into channels, because on a CPU a thin layer at full resolution costs more than a
    wide one later. Residual blocks follow at 1/2, 1/4 and 1/8 of the height; the width stops shrinking at 1/4.

    blocks: residual blocks at each height. scale_init: of their last norms; with zeros, a deeper network that is given
    the weights of a shallower one starts as the same function.
    """

    channels: int
    dtype: Any = None
    blocks: tuple[int, int, int] = COMPACT_BLOCKS
    scale_init: Callable = nn.initializers.ones

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        c = self.channels

        def single(x, features, name, kernel=(3, 3), padding=SAME, strides=(1, 1)):
            return ConvNorm(features, kernel, padding, strides, dtype=self.dtype, name=name)(x, train=train)

        b, h, w, k = x.shape
        x = x[:, : h // 2 * 2, : w // 2 * 2].reshape(b, h // 2, 2, w // 2, 2, k).transpose(0, 1, 3, 2, 4, 5)
        x = single(x.reshape(b, h // 2, w // 2, 4 * k), c // 8, "stem")
        for level, (blocks, kernel) in enumerate(zip(self.blocks, ((2, 2), (2, 1), None), strict=True)):
            for i in range(blocks):
                x = ResidualBlock(x.shape[-1], self.dtype, self.scale_init, name=f"level{level}_{i}")(x, train=train)
            if kernel:
                x = single(x, 2 * x.shape[-1], f"down{level}", kernel, VALID, kernel)
        return single(x, c, "columns", (4, 1), VALID)


CompactDeeper = functools.partial(Compact, blocks=DEEPER_BLOCKS, scale_init=nn.initializers.zeros)
EXTRACTORS = {"vgg": VGG, "rcnn": RCNN, "resnet": ResNet, "compact": Compact, "compact_deeper": CompactDeeper}
MINIMUM_SIZE = {
    "vgg": (32, 8),
    "rcnn": (32, 4),
    "resnet": (32, 4),
    "compact": (32, 4),
    "compact_deeper": (32, 4),
}  # (height, width) that leave one frame


def num_frames(features: str, width: int) -> int:
    """S, the number of columns that an extractor makes of an image that is `width` pixels wide."""
    return width // 4 + {"vgg": -1, "rcnn": 1, "resnet": 1, "compact": 0, "compact_deeper": 0}[features]
