"""Depthwise convolution: every channel has a kernel of its own."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp

from jstr.core import Array
from jstr.nn import platform


class Depthwise(nn.Module):
    """Depthwise convolution with zero padding: [B, H, W, C] -> [B, H', W', C]; parameters kernel [h, w, C], bias [C].

    On CPUs it is the sum of shifted images, each weighted by one element of the kernel: XLA's grouped convolution takes
    several times as long there.
    """

    kernel: tuple[int, int] = (3, 3)
    strides: tuple[int, int] = (1, 1)
    use_bias: bool = True

    @nn.compact
    def __call__(self, x: Array) -> Array:
        channels = x.shape[-1]
        init = jax.nn.initializers.variance_scaling(2.0, "fan_in", "normal", in_axis=(0, 1), out_axis=2)
        kernel = self.param("kernel", init, (*self.kernel, channels)).astype(x.dtype)
        y = depthwise(x, kernel, self.strides)
        if self.use_bias:
            y = y + self.param("bias", nn.initializers.zeros, (channels,)).astype(x.dtype)
        return y


def depthwise(x: Array, kernel: Array, strides: tuple[int, int] = (1, 1)) -> Array:
    """Correlates each channel of x [B, H, W, C] with its part of kernel [h, w, C]; h and w odd, zeros around x."""
    height, width, channels = kernel.shape
    margins = ((height // 2, height // 2), (width // 2, width // 2))
    if platform.platform() != "cpu":
        return jax.lax.conv_general_dilated(
            x,
            kernel[:, :, None],
            strides,
            margins,
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            feature_group_count=channels,
        )
    padded = jnp.pad(x, ((0, 0), *margins, (0, 0)))
    down, across = ((size - 1) // stride + 1 for size, stride in zip(x.shape[1:3], strides, strict=True))
    ends = (down - 1) * strides[0] + 1, (across - 1) * strides[1] + 1
    parts = [
        padded[:, i : i + ends[0] : strides[0], j : j + ends[1] : strides[1]] * kernel[i, j]
        for i in range(height)
        for j in range(width)
    ]
    return sum(parts[1:], parts[0])
