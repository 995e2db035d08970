"""The scale in which recognisers see images."""

from __future__ import annotations

import jax.numpy as jnp

from jstr.core import Array


def normalise(images: Array) -> Array:
    """[B, H, W, C] uint8 becomes float32 in [-1, 1]; floating-point images are taken to be scaled already."""
    if images.dtype == jnp.uint8:
        return images.astype(jnp.float32) / 127.5 - 1.0
    return images
