"""Dropout whose random numbers cost little: on CPUs those of JAX take a third of the step of a compact ABINet.

A value stays or goes by a hash of its place and of two words that the key gives, 14 integer operations that fuse with
what follows. JAX's generator takes some 80, which an attention over 256 cells needs 65,536 times a head and word. The
result does not depend on how arrays lie on devices. The mixing function is lowbias32 (Chris Wellons, 2018).
"""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp

from jstr.core import Array


class Dropout(nn.Module):
    """Sets a share `rate` of the values to 0 and scales the others by 1 / (1 - rate), in training alone."""

    rate: float

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        return drop(x, self.make_rng("dropout"), self.rate) if train and self.rate else x


def drop(x: Array, key: Array, rate: float) -> Array:
    return jnp.where(keep(key, x.shape, rate), x / (1 - rate), 0).astype(x.dtype)


def keep(key: Array, shape: tuple[int, ...], rate: float) -> Array:
    """bool: True with probability 1 - rate, each for itself."""
    first, second = jax.random.bits(key, (2,), jnp.uint32)
    place, stride = jnp.zeros(shape, jnp.uint32), 1
    for axis in reversed(range(len(shape))):
        place += jax.lax.broadcasted_iota(jnp.uint32, shape, axis) * jnp.uint32(stride % 2**32)
        stride *= shape[axis]
    mixed = _mix(_mix(place * jnp.uint32(0x9E3779B9) + first) ^ second)
    return mixed >= jnp.uint32(min(round(rate * 2**32), 2**32 - 1))


def _mix(x: Array) -> Array:
    x = (x ^ (x >> 16)) * jnp.uint32(0x7FEB352D)
    x = (x ^ (x >> 15)) * jnp.uint32(0x846CA68B)
    return x ^ (x >> 16)
