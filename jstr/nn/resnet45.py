"""The residual network of ABINet (Fang et al. 2021, section 4.2; modules/resnet.py), which keeps a map of cells."""

from __future__ import annotations

from typing import Any

import flax.linen as nn

from jstr.core import Array
from jstr.nn.layers import VALID, ConvNorm, kaiming_out

STRIDES = (2, 1, 2, 1, 1)
BLOCKS = (3, 4, 6, 6, 3)


class Block(nn.Module):
    """1x1 and 3x3 convolution and a shortcut, which is a 1x1 convolution where stride or channels change."""

    channels: int
    stride: int = 1
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        def single(values, name, **geometry):
            layer = ConvNorm(self.channels, **geometry, dtype=self.dtype, kernel_init=kaiming_out, name=name)
            return layer(values, train=train)

        strides = (self.stride, self.stride)
        y = single(x, "conv_0", kernel=(1, 1), padding=VALID)
        y = single(y, "conv_1", strides=strides, relu=False)
        if self.stride != 1 or x.shape[-1] != self.channels:
            x = single(x, "shortcut", kernel=(1, 1), padding=VALID, strides=strides, relu=False)
        return nn.relu(x + y)


class ResNet45(nn.Module):
    """[B, H, W, C] -> [B, H / 4, W / 4, 16 * channels].

    channels: of the first convolution; each stage after the first doubles them. blocks: how many in each stage.
    """

    channels: int = 32
    blocks: tuple[int, ...] = BLOCKS
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        x = ConvNorm(self.channels, dtype=self.dtype, kernel_init=kaiming_out, name="conv")(x, train=train)
        for stage, (blocks, stride) in enumerate(zip(self.blocks, STRIDES, strict=True)):
            for i in range(blocks):
                block = Block(self.channels << stage, stride if i == 0 else 1, self.dtype, name=f"stage{stage}_{i}")
                x = block(x, train=train)
        return x
