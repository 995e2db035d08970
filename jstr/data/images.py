"""Encoded bytes to pixels and pixels to the model's size. Training, evaluation and reading all go through here."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image

from jstr.core import InputError

cv2.setNumThreads(0)  # the pipeline runs many decoders side by side; threads inside each would only fight
cv2.utils.logging.setLogLevel(0)  # a broken image is counted and named by the pipeline, not printed by the decoder


@dataclass(frozen=True)
class ImageSpec:
    """What a model is fed. size: (height, width) in pixels. channels: 1 grey, 3 RGB.

    keep_ratio: resize to the height and pad on the right by repeating the last column, instead of stretching.
    backend: "cv2" (fast; shrinks by area) or "pillow" (antialiased bicubic, as the PyTorch projects do it).
    """

    size: tuple[int, int]
    channels: int
    keep_ratio: bool = False
    backend: str = "cv2"

    @classmethod
    def make(cls, config) -> ImageSpec:
        """From config.image. Raises InputError for values that cannot be."""
        spec = cls(tuple(config["size"]), config["channels"], config["keep_ratio"], config["backend"])
        if spec.channels not in (1, 3):
            raise InputError(f"config.image.channels={spec.channels}: use 1 (grey) or 3 (RGB)")
        if spec.backend not in RESIZE:
            raise InputError(f"config.image.backend={spec.backend!r}: choose one of {', '.join(RESIZE)}")
        if len(spec.size) != 2 or min(spec.size) < 8:
            raise InputError(f"config.image.size={spec.size}: give (height, width) in pixels, at least 8 each")
        return spec

    def decode(self, data: bytes | np.ndarray | None) -> np.ndarray | None:
        """Pixels uint8 [h, w, channels] of an encoded file or an RGB array; None when it is broken or cut off."""
        if data is None:
            return None
        if isinstance(data, np.ndarray):
            return to_channels(data, self.channels)
        if _cut_off(data):
            return None
        return _decode_pillow(data, self.channels) if self.backend == "pillow" else _decode_cv2(data, self.channels)

    def fit(self, image: np.ndarray) -> np.ndarray:
        """uint8 [h, w, c] to [height, width, c]."""
        height, width = self.size
        target = self._target(image)
        image = RESIZE[self.backend](image, height, target)
        if target < width:
            image = np.concatenate([image, np.repeat(image[:, -1:], width - target, axis=1)], axis=1)
        return image

    def filled(self, image: np.ndarray) -> float:
        """The share of the width that an image [h, w, c] takes up after `fit`; the rest is padding."""
        return self._target(image) / self.size[1]

    def _target(self, image: np.ndarray) -> int:
        height, width = self.size
        return min(width, math.ceil(height * image.shape[1] / image.shape[0])) if self.keep_ratio else width


def to_channels(image: np.ndarray, channels: int) -> np.ndarray:
    """uint8 [h, w], [h, w, 1], RGB [h, w, 3] or RGBA [h, w, 4] to [h, w, channels].

    Raises:
      InputError: not an image of that form.
    """
    if image.dtype != np.uint8 or image.ndim not in (2, 3) or 0 in image.shape:
        raise InputError(f"an image must be uint8 [H, W] or [H, W, 3], not {image.dtype} {list(image.shape)}")
    if image.ndim == 2:
        image = image[..., None]
    have = image.shape[-1]
    if have not in (1, 3, 4):
        raise InputError(f"an image must have 1, 3 or 4 channels, not {have}")
    image = image[..., :3] if have == 4 else image
    if channels == 1 and have > 1:
        return cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY)[..., None]
    return np.repeat(image, 3, axis=-1) if channels == 3 and have == 1 else image


def _cut_off(data: bytes) -> bool:
    """True for JPEG and PNG files without their end marker: decoders return the rest as grey or black."""
    if data[:2] == b"\xff\xd8":
        return b"\xff\xd9" not in data[2:]
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        return b"IEND" not in data[8:]
    return len(data) == 0


def _decode_cv2(data: bytes, channels: int) -> np.ndarray | None:
    flag = cv2.IMREAD_GRAYSCALE if channels == 1 else cv2.IMREAD_COLOR_RGB
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flag)
    except cv2.error:
        return None
    if image is None:
        return None
    return image[..., None] if channels == 1 else image


def _decode_pillow(data: bytes, channels: int) -> np.ndarray | None:
    try:
        with Image.open(io.BytesIO(data)) as image:
            pixels = np.asarray(image.convert("L" if channels == 1 else "RGB"))
    except Exception:  # Pillow raises many kinds for damaged files, SyntaxError and struct.error among them
        return None
    return pixels[..., None] if channels == 1 else pixels


def _resize_cv2(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Shrinks by area first (cv2 does not antialias otherwise), then enlarges what is left by cubic."""
    h, w, channels = image.shape
    if h > height or w > width:
        h, w = min(h, height), min(w, width)
        image = cv2.resize(image, (w, h), interpolation=cv2.INTER_AREA)
    if (h, w) != (height, width):
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_CUBIC)
    return image.reshape(height, width, channels)


def _resize_pillow(image: np.ndarray, height: int, width: int) -> np.ndarray:
    channels = image.shape[-1]
    picture = Image.fromarray(image[..., 0] if channels == 1 else image)
    return np.asarray(picture.resize((width, height), Image.Resampling.BICUBIC)).reshape(height, width, channels)


RESIZE = {"cv2": _resize_cv2, "pillow": _resize_pillow}
