"""The base images that views on the device start from, and how they are sampled.

Coordinates are (u, v), fractions of the width and the height of the word's image; the middle of pixel x of W lies at
(x + 1/2) / W. An operation that moves pixels gives the coordinates that each pixel of its result comes from, so that
several of them sample the base image only once.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jstr.core import Array
from jstr.nn.tps import bilinear_sample


class Base(NamedTuple):
    """images [B, H, W, C]: uint8 or float32 in 0..255, resized to the model's size.

    size [B, 2]: height and width in pixels before the resize. filled [B]: the share of W that the image takes up; the
    columns after it are padding, which repeats its last one.
    """

    images: Array
    size: Array
    filled: Array

    @classmethod
    def make(cls, images: Array, size: Array, keep_ratio: bool) -> Base:
        """keep_ratio: whether an image narrower than W was padded (ImageSpec.fit) instead of stretched."""
        height, width = images.shape[1:3]
        filled = jnp.minimum(jnp.ceil(height * size[:, 1] / size[:, 0]) / width, 1.0)
        return cls(images, size, filled if keep_ratio else jnp.ones_like(filled))

    def coordinates(self) -> tuple[Array, Array]:
        """(u, v) of the pixels, [B, H, W] each; padding has those of the last column."""
        b, height, width = self.images.shape[:3]
        end = (self.filled * width)[:, None, None]
        u = jnp.minimum((jnp.arange(width) + 0.5), end - 0.5) / end
        v = (jnp.arange(height) + 0.5)[:, None] / height
        return jnp.broadcast_to(u, (b, height, width)), jnp.broadcast_to(v, (b, height, width))

    def column_mask(self) -> Array:
        """[B, W] float32: 1 for columns of the image, 0 for padding."""
        width = self.images.shape[2]
        return (jnp.arange(width) < self.filled[:, None] * width).astype(jnp.float32)

    def sample(self, u: Array, v: Array) -> Array:
        """The images at coordinates [B, H, W], bilinear -> float32 [B, H, W, C]. Borders repeat the edge."""
        height, width = self.images.shape[1:3]
        end = (self.filled * width)[:, None, None]
        x, y = jnp.clip(u * end - 0.5, 0.0, end - 1.0), jnp.clip(v * height - 0.5, 0.0, height - 1.0)
        images = self.images.astype(jnp.float32)
        return jax.lax.platform_dependent(images, x, y, tpu=sample_by_products, default=sample_by_index)


def sample_by_index(images: Array, x: Array, y: Array) -> Array:
    """images [B, H, W, C] at pixels (x, y) [B, h, w], bilinear."""
    height, width = images.shape[1:3]
    grid = jnp.stack([2 * x / max(width - 1, 1) - 1, 2 * y / max(height - 1, 1) - 1], axis=-1)
    return bilinear_sample(images, grid)


def sample_by_products(images: Array, x: Array, y: Array) -> Array:
    """The same by products with the weights of all columns, then of all rows.

    For TPUs, which multiply matrices much faster than they gather pixels. There, the weights have 8 bits, as pixels do.
    """
    b, height, width, channels = images.shape
    columns = linear_weight(x.reshape(b, -1, 1) - jnp.arange(width))  # [B, h * w, W]
    rows = linear_weight(y.reshape(b, -1, 1) - jnp.arange(height))
    found = jnp.einsum("bpx,byxc->bpyc", columns, images)
    return (found * rows[..., None]).sum(axis=2).reshape(*x.shape, channels)


def linear_weight(distance: Array) -> Array:
    """The weight of a pixel in linear interpolation, by its distance in pixels."""
    return jnp.maximum(1.0 - jnp.abs(distance), 0.0)


def to_uint8(images: Array) -> Array:
    """Rounded and limited to 0..255."""
    return jnp.clip(jnp.rint(images), 0.0, 255.0).astype(jnp.uint8)


def ranks(numbers: Array) -> Array:
    """Rank of each number within its row, [B, n] -> [B, n] int32: a random order if the numbers are random."""
    return (numbers[:, None, :] < numbers[:, :, None]).sum(axis=-1)
