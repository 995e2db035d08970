"""Convolution, batch normalisation and dense layers with the conventions of the published recognisers.

`dtype` is always that of the computation; None follows the inputs and the parameters, which are float32.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax

from jstr.core import Array
from jstr.nn import winograd
from jstr.nn.batch_norm import BatchNorm

# Kaiming normal with gain sqrt(2), not truncated: every matrix and convolution of Baek et al. 2019 (their train.py).
kaiming = jax.nn.initializers.variance_scaling(2.0, "fan_in", "normal")
# The same for an embedding table [classes, width], whose fan-in in PyTorch is its width.
kaiming_table = jax.nn.initializers.variance_scaling(2.0, "fan_in", "normal", in_axis=1, out_axis=0)
# The same for stacked matrices [n, in, out].
kaiming_stacked = jax.nn.initializers.variance_scaling(2.0, "fan_in", "normal", batch_axis=0)
# Normal with variance 2 / (kernel area * output channels).
kaiming_out = jax.nn.initializers.variance_scaling(2.0, "fan_out", "normal")
# Uniform in +-1 / sqrt(fan-in): the default of PyTorch's linear layers and convolutions.
torch_default = jax.nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform")

SAME = ((1, 1), (1, 1))
VALID = ((0, 0), (0, 0))


Padding = tuple[tuple[int, int], tuple[int, int]]


def conv(
    features: int,
    kernel: tuple[int, int] = (3, 3),
    padding: Padding = SAME,
    strides: tuple[int, int] = (1, 1),
    *,
    use_bias: bool = False,
    dtype: Any = None,
    name: str | None = None,
    kernel_init: Callable = kaiming,
) -> nn.Conv:
    """`flax.linen.Conv` [B, H, W, C] -> [B, H', W', features], computed by Winograd's method where that is faster."""
    return nn.Conv(
        features,
        kernel,
        strides,
        padding,
        use_bias=use_bias,
        dtype=dtype,
        kernel_init=kernel_init,
        name=name,
        conv_general_dilated=winograd.conv_general_dilated,
    )


def dense(
    features: int, *, use_bias: bool = True, dtype: Any = None, name: str | None = None, kernel_init: Callable = kaiming
) -> nn.Dense:
    """`flax.linen.Dense` [..., D] -> [..., features], Kaiming normal by default."""
    return nn.Dense(features, use_bias=use_bias, dtype=dtype, kernel_init=kernel_init, name=name)


def batch_norm(
    train: bool, *, dtype: Any = None, name: str | None = None, scale_init: Callable = nn.initializers.ones
) -> BatchNorm:
    """Batch normalisation over all axes but the last; momentum 0.9 and epsilon 1e-5 are PyTorch's defaults."""
    fixed = dict(momentum=0.9, epsilon=1e-5)
    return BatchNorm(use_running_average=not train, **fixed, dtype=dtype, name=name, scale_init=scale_init)


class ConvNorm(nn.Module):
    """Convolution, batch normalisation, and ReLU if `relu`: [B, H, W, C] -> [B, H', W', features]."""

    features: int
    kernel: tuple[int, int] = (3, 3)
    padding: Padding = SAME
    strides: tuple[int, int] = (1, 1)
    relu: bool = True
    dtype: Any = None
    use_bias: bool = False
    kernel_init: Callable = kaiming
    scale_init: Callable = nn.initializers.ones

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        options = dict(use_bias=self.use_bias, dtype=self.dtype, kernel_init=self.kernel_init)
        x = conv(self.features, self.kernel, self.padding, self.strides, **options, name="conv")(x)
        x = batch_norm(train, dtype=self.dtype, name="norm", scale_init=self.scale_init)(x)
        return nn.relu(x) if self.relu else x
