"""The pixel scale that recognisers expect."""

from __future__ import annotations

import jax.numpy as jnp

from jstr.core import Array


def normalise(images: Array) -> Array:
    """Images [B, H, W, C] as float32 in [-1, 1] if they are uint8; floating-point images count as scaled already."""
    if images.dtype == jnp.uint8:
        return images.astype(jnp.float32) / 127.5 - 1.0
    return images
