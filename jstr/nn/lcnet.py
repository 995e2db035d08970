"""What the convolutional recognisers of PaddleOCR are made of, see jstr/models/ppocr.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from jstr.core import Array
from jstr.nn.depthwise import Depthwise
from jstr.nn.layers import batch_norm

Activation = Callable[[Array], Array]


class BlockSpec(NamedTuple):
    """channels: of the result. stride: vertical, or (vertical, horizontal). kernel: height and width of the depthwise
    convolution. attends: whether channels are weighted by squeeze and excitation."""

    channels: int
    stride: int | tuple[int, int] = 1
    attends: bool = False
    kernel: int = 3

    @property
    def strides(self) -> tuple[int, int]:
        return (self.stride, 1) if isinstance(self.stride, int) else self.stride


class Block(nn.Module):
    """Mixes pixels depthwise, then channels: [B, H, W, channels] -> [B, ceil(H / stride), W', spec.channels]."""

    spec: BlockSpec
    channels: int

    @nn.compact
    def __call__(self, x: Array) -> Array:
        x = Depthwise((3, 3), self.spec.strides, name="depthwise")(x)
        if self.spec.attends:
            x = weighted(x)
        y = pointwise(x, 2 * self.channels, "expand", gelu)
        y = pointwise(y, self.spec.channels, "project")
        return x + y if self.spec.channels == self.channels and self.spec.stride == 1 else y


class ScaledLayer(nn.Module):
    """The layer of PP-LCNetV3: [B, H, W, D] -> [B, H', W', spec.channels], a depthwise and a 1x1 convolution.

    Each is followed by a learnt scale and shift of all channels together, hard swish, and another such pair.
    """

    spec: BlockSpec

    @nn.compact
    def __call__(self, x: Array) -> Array:
        kernel = (self.spec.kernel, self.spec.kernel)
        x = scaled_swish(Depthwise(kernel, self.spec.strides, name="depthwise")(x), "depthwise")
        if self.spec.attends:
            x = weighted(x)
        return scaled_swish(pointwise(x, self.spec.channels, "project"), "project")


class Affine(nn.Module):
    """scale * x + bias, with one scale and one bias, parameters [1]."""

    @nn.compact
    def __call__(self, x: Array) -> Array:
        scale = self.param("scale", nn.initializers.ones, (1,)).astype(x.dtype)
        return scale * x + self.param("bias", nn.initializers.zeros, (1,)).astype(x.dtype)


class AttentionBlock(nn.Module):
    """A pre-norm transformer block over x [B, T, D]."""

    heads: int

    @nn.compact
    def __call__(self, x: Array) -> Array:
        batch, length, width = x.shape
        size, dtype = width // self.heads, x.dtype
        h = nn.LayerNorm(epsilon=1e-5, dtype=dtype, name="norm_0")(x)
        h = nn.Dense(3 * width, dtype=dtype, name="qkv")(h).reshape(batch, length, 3, self.heads, size)
        query, key, value = h[:, :, 0], h[:, :, 1], h[:, :, 2]
        scores = jnp.einsum("bqhd,bkhd->bhqk", query * size**-0.5, key).astype(jnp.float32)
        mixed = jnp.einsum("bhqk,bkhd->bqhd", jax.nn.softmax(scores).astype(dtype), value)
        x = x + nn.Dense(width, dtype=dtype, name="out")(mixed.reshape(batch, length, width))
        h = nn.LayerNorm(epsilon=1e-5, dtype=dtype, name="norm_1")(x)
        h = nn.swish(nn.Dense(2 * width, dtype=dtype, name="expand")(h))
        return x + nn.Dense(width, dtype=dtype, name="project")(h)


# What follows is called within a compact module.


def pointwise(x: Array, features: int, name: str, activation: Activation | None = None) -> Array:
    """A 1x1 convolution as a product: [..., D] -> [..., features]."""
    x = nn.Dense(features, dtype=x.dtype, name=name)(x)
    return x if activation is None else activation(x)


def normed(x: Array, train: bool, name: str, activation: Activation | None) -> Array:
    """`activation` of batch-normalised x [..., D]; its parameters are name_norm."""
    x = batch_norm(train, name=f"{name}_norm")(x).astype(x.dtype)
    return x if activation is None else activation(x)


def weighted(x: Array) -> Array:
    """x [B, H, W, D], each channel weighted by what all say on average (squeeze and excitation, a quarter of D)."""
    channels = x.shape[-1]
    weights = pointwise(x.mean(axis=(1, 2), keepdims=True), channels // 4, "squeeze", nn.relu)
    weights = pointwise(weights, channels, "excite")
    return x * jnp.clip(weights / 6 + 0.5, 0, 1).astype(x.dtype)


def scaled_swish(x: Array, name: str) -> Array:
    x = nn.hard_swish(Affine(name=f"{name}_affine_0")(x))
    return Affine(name=f"{name}_affine_1")(x)


def gelu(x: Array) -> Array:
    return nn.gelu(x, approximate=False)
