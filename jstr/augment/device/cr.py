"""The weak and the strong augmentation of CR for a batch (Zheng et al. 2022), as host/cr.py does them for one image.

Draws have the same distribution, and sizes refer to the image before its resize, as there. Differences: the host
augments first and resizes the result; here the resized image is sampled once for both geometric operations, bilinear
instead of the nearest pixel, and operations on the values use mean, range and histogram of the resized image.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jstr.augment import spec
from jstr.augment.device.base import Base, ranks
from jstr.augment.spec import Channel, Spatial
from jstr.core import Array

NONE = -1  # no operation


def cr_weak(
    base: Base,
    key: Array,
    *,
    brightness: float = spec.BRIGHTNESS,
    contrast: float = spec.CONTRAST,
    saturation: float = spec.SATURATION,
    hue: float = spec.HUE,
) -> Array:
    """Colour jitter in random order -> uint8 [B, H, W, C]; parameters as on the host."""
    drawn = jax.random.uniform(key, (len(base.images), 8), minval=-1)
    factors = 1 + drawn[:, :3] * jnp.array([brightness, contrast, saturation])
    return jitter_colours(base, ranks(drawn[:, 4:]), factors, drawn[:, 3] * hue)


def jitter_colours(base: Base, rank: Array, factors: Array, turn: Array) -> Array:
    """Scales brightness, contrast and saturation by factors [B, 3], turns the hue by turn [B] -> uint8 [B, H, W, C].

    turn: a fraction of the colour circle. rank [B, 4]: when each of the four is applied.
    """
    order = jnp.argsort(rank[:, :3], axis=1)
    before = jnp.sort(rank[:, :3], axis=1) < rank[:, 3:]  # whether the first, second and third precede the hue
    ops = jnp.array([Channel.BRIGHTNESS, Channel.CONTRAST, Channel.SATURATION])[order]
    factors = jnp.take_along_axis(factors, order, axis=1)
    pixels, weight, colour = base.images.astype(jnp.float32), base.column_mask(), base.images.shape[-1] == 3
    for i in range(3):
        pixels = _scale(pixels, weight, jnp.where(before[:, i] | (not colour), ops[:, i], NONE), factors[:, i])
    if colour:
        pixels = _turn_hue(pixels, turn)
        for i in range(3):
            pixels = _scale(pixels, weight, jnp.where(before[:, i], NONE, ops[:, i]), factors[:, i])
    return pixels.astype(jnp.uint8)


def cr_strong(
    base: Base,
    key: Array,
    *,
    spatial: int = spec.SPATIAL_COUNT,
    channel: int = spec.CHANNEL_COUNT,
    probability: float = spec.PROBABILITY,
    cutout: float = 0.0,
) -> Array:
    """`spatial` geometric operations, then `channel` operations on the values -> uint8 [B, H, W, C]; as on the host."""
    keys, batch = jax.random.split(key, 2), len(base.images)
    op, level, sign = draw(keys[0], batch, spatial, len(Spatial), spec.SPATIAL_LEVELS, probability)
    pixels = apply_spatial(base, op, level, sign) if spatial else base.images.astype(jnp.float32)
    op, level, sign = draw(keys[1], batch, channel, len(Channel), spec.CHANNEL_LEVELS, probability)
    weight = base.column_mask()
    for i in range(channel):
        pixels = apply_channel(pixels, weight, op[:, i], level[:, i], sign[:, i])
    if cutout:
        pixels = apply_cutout(base, pixels, jax.random.fold_in(key, 2), cutout)
    return pixels.astype(jnp.uint8)


def apply_cutout(base: Base, pixels: Array, key: Array, probability: float) -> Array:
    """Puts a grey square on some of the images [B, H, W, C]."""
    chance, u0, v0 = jax.random.uniform(key, (3, len(pixels), 1, 1))
    (u, v), (height, width) = base.coordinates(), base.size.T[:, :, None, None]
    half = spec.CUTOUT_SIDE / 2
    inside = (jnp.abs(v - v0) < half) & (jnp.abs(u - u0) * width < half * height) & (chance < probability)
    return jnp.where(inside[..., None], float(spec.CUTOUT_GREY), pixels)


def draw(key: Array, batch: int, count: int, ops: int, levels: int, probability: float) -> tuple[Array, Array, Array]:
    """(operation or NONE, level from 1 to `levels`, sign) of `count` operations for each row, [B, count] each."""
    drawn = jax.random.uniform(key, (4, batch, count))
    op, level = jnp.floor(drawn[0] * ops), 1 + jnp.floor(drawn[1] * levels)
    op = jnp.where(drawn[2] < probability, op, NONE)
    return op.astype(jnp.int32), level.astype(jnp.int32), jnp.where(drawn[3] < 0.5, -1, 1)


def apply_spatial(base: Base, op: Array, level: Array, sign: Array) -> Array:
    """Geometric operations [B, n], the first column first -> float32 [B, H, W, C], whole numbers; outside is black."""
    u, v = base.coordinates()
    seen = jnp.ones(u.shape, bool)
    for i in reversed(range(op.shape[1])):  # the last operation is undone first
        u, v = _source(base, op[:, i], level[:, i], sign[:, i], u, v)
        seen &= (u >= 0) & (u < 1) & (v >= 0) & (v < 1)
    return jnp.rint(base.sample(u, v)) * seen[..., None]


def _source(base: Base, op: Array, level: Array, sign: Array, u: Array, v: Array) -> tuple[Array, Array]:
    """Where coordinates [B, H, W] come from. Shears and rotations act on the pixels before the resize."""
    op, level, sign, height, width = (x[:, None, None] for x in (op, level, sign, *base.size.T))
    amount, angle = sign * spec.move(level), jnp.deg2rad(sign * spec.rotation(level))
    cos, sin, du, dv, wide, high = jnp.cos(angle), jnp.sin(angle), u - 0.5, v - 0.5, width / height, height / width
    ops = [op == operation for operation in Spatial]
    shift_u, shift_v = jnp.trunc(amount * width) / width, jnp.trunc(amount * height) / height
    new_u = jnp.select(ops, [u + amount * v * high, u, u + shift_u, u, 0.5 + cos * du + sin * dv * high], u)
    new_v = jnp.select(ops, [v, v + amount * u * wide, v, v + shift_v, 0.5 + cos * dv - sin * du * wide], v)
    return new_u, new_v


def apply_channel(pixels: Array, weight: Array, op: Array, level: Array, sign: Array) -> Array:
    """One operation on the values for each row, op [B] -> float32 [B, H, W, C], whole numbers as `pixels` are.

    weight [B, W]: 1 for columns of the image, 0 for padding, which statistics leave out.
    """
    factor = spec.factor(level)
    pixels = _scale(
        pixels, weight, op, factor, jnp.where(op == Channel.SOLARISE_ADD, 1.0 * sign * spec.solarise_offset(level), 0.0)
    )
    op, level = op[:, None, None, None], level[:, None, None, None]
    step = jnp.where(op == Channel.POSTERISE, jnp.exp2(8.0 - spec.posterise_bits(level)), 1.0)
    solarise = [op == Channel.SOLARISE, op == Channel.SOLARISE_ADD]
    limit = jnp.select(solarise, [spec.solarise_threshold(level), spec.SOLARISE_ADD_THRESHOLD], 256)
    pixels = jnp.floor(pixels / step) * step
    pixels = jnp.where(pixels >= limit, 255 - pixels, pixels)
    return jnp.where(op == Channel.EQUALISE, _equalise(pixels, weight), pixels)


def _scale(pixels: Array, weight: Array, op: Array, factor: Array, offset: Array | float = 0.0) -> Array:
    """Brightness, contrast, saturation and autocontrast: gain * value + share * grey + rest, clipped to 0..255."""
    grey, shown = _grey(pixels), weight[:, None, :, None] > 0
    mean = jnp.floor((grey * shown).sum(axis=(1, 2, 3)) / (shown.sum(axis=(1, 2, 3)) * pixels.shape[1]) + 0.5)
    low = jnp.where(shown, pixels, 255).min(axis=(1, 2))
    high = jnp.where(shown, pixels, 0).max(axis=(1, 2))
    stretch = jnp.where(high > low, 255 / jnp.maximum(high - low, 1), 1.0)
    op, factor = op[:, None], factor[:, None]
    scales = (op == Channel.BRIGHTNESS) | (op == Channel.SATURATION) | (op == Channel.CONTRAST)
    stretches = op == Channel.AUTOCONTRAST
    gain = jnp.where(scales, factor, jnp.where(stretches, stretch, 1.0))
    share = jnp.where(op == Channel.SATURATION, 1 - factor, 0.0)
    low = jnp.where(high > low, low, 0.0)
    rest = jnp.select([op == Channel.CONTRAST, stretches], [mean[:, None] * (1 - factor), -low * stretch], 0.0)
    rest += jnp.reshape(offset, (-1, 1))
    gain, share, rest = (x[:, None, None] for x in (gain, share, rest))
    # A thousandth more, so that rounding errors do not push whole numbers below themselves.
    return jnp.floor((gain * pixels + share * grey + rest + 1e-3).clip(0, 255))


def _grey(pixels: Array) -> Array:
    """[B, H, W, C] to [B, H, W, 1], the luminance as Pillow weights it."""
    if pixels.shape[-1] == 1:
        return pixels
    red, green, blue = (pixels[..., i : i + 1] for i in range(3))
    return jnp.rint(0.299 * red + 0.587 * green + 0.114 * blue)


def _turn_hue(pixels: Array, turn: Array) -> Array:
    """RGB with another hue. turn [B]: a fraction of the colour circle, in steps of 1/256."""
    high, low = pixels.max(axis=-1), pixels.min(axis=-1)
    range_ = high - low
    red, green, blue = (pixels[..., i] for i in range(3))
    safe = jnp.maximum(range_, 1)
    sixths = jnp.select(
        [high == red, high == green], [(green - blue) / safe, 2 + (blue - red) / safe], 4 + (red - green) / safe
    )
    sixths += jnp.trunc(turn * 255)[:, None, None] * 6 / 256
    channels = [jnp.mod(n + sixths, 6) for n in (5, 3, 1)]
    return jnp.rint(jnp.stack([high - range_ * jnp.minimum(k, 4 - k).clip(0, 1) for k in channels], axis=-1))


def _equalise(pixels: Array, weight: Array) -> Array:
    """Equalises every channel by its own histogram, in the steps of Pillow.

    Values are split into 16 x 16, so that products of one-hot vectors count and look up: no device has to scatter.
    """
    b, height, width, channels = pixels.shape
    values = jnp.moveaxis(pixels, -1, 1).reshape(b, channels, -1).astype(jnp.int32)
    upper = jax.nn.one_hot(values // 16, 16, dtype=jnp.bfloat16)
    lower = jax.nn.one_hot(values % 16, 16, dtype=jnp.bfloat16)
    counted = upper * jnp.tile(weight, (1, height))[:, None, :, None].astype(jnp.bfloat16)
    counts = jnp.einsum("bcpi,bcpj->bcij", counted, lower, preferred_element_type=jnp.float32)
    counts = counts.reshape(b, channels, 256)
    highest = 255 - jnp.argmax(counts[..., ::-1] > 0, axis=-1, keepdims=True)  # of the word, whatever the padding is
    last = jnp.take_along_axis(counts, highest, axis=-1)
    step = jnp.floor((counts.sum(axis=-1, keepdims=True) - last) / 255)
    before = jnp.cumsum(counts, axis=-1) - counts
    table = jnp.floor((jnp.floor(step / 2) + before) / jnp.maximum(step, 1)).clip(0, 255)
    table = jnp.where(step > 0, table, jnp.arange(256)).astype(jnp.bfloat16).reshape(b, channels, 16, 16)
    rows = jnp.einsum("bcpi,bcij->bcpj", upper, table, preferred_element_type=jnp.float32)
    found = (rows * lower).sum(axis=-1).reshape(b, channels, height, width)
    return jnp.moveaxis(found, 1, -1)
