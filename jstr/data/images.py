"""Images in the form that a model is fed. Training, evaluation and reading all go through here."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from jstr.data.decode import MAX_PIXELS, decode_file, from_array, from_pil, is_pil, read_regular_file
from jstr.text.messages import InputError, check_choice

SHRINK_FROM = 8  # times the model's size
GREY = 128  # what is zero once images are in -1..1


@dataclass(frozen=True)
class ImageSpec:
    """What a model is fed. size: (height, width) in pixels. channels: 1 grey, 3 RGB.

    keep_ratio: resize to the height and pad on the right, instead of stretching.
    widths: greater widths, in ascending order. An image that needs one is fitted to it when it is read; (): all are
      fitted to `size`, as in training. With keep_ratio.
    pad: what is padded with: the last column again ("edge") or middle grey ("grey").
    backend: "cv2" (fast; shrinks by area), "pillow" (antialiased bicubic, as most PyTorch projects resize) or
      "cv2_linear" (Pillow's decoder and OpenCV's bilinear, which does not antialias, as the official ABINet resizes).
    """

    size: tuple[int, int]
    channels: int
    keep_ratio: bool = False
    backend: str = "cv2"
    pad: str = "edge"
    widths: tuple[int, ...] = ()

    @classmethod
    def make(cls, config) -> ImageSpec:
        """From config.image. Raises InputError for values that cannot be."""
        names = ("channels", "keep_ratio", "backend")
        spec = cls(
            tuple(config["size"]),
            *(config[name] for name in names),
            config.get("pad", "edge"),
            tuple(config.get("widths", ())),
        )
        if spec.channels not in (1, 3):
            raise InputError(f"config.image.channels={spec.channels}: use 1 (grey) or 3 (RGB)")
        if spec.backend not in RESIZE:
            raise InputError(f"config.image.backend={spec.backend!r}: choose one of {', '.join(RESIZE)}")
        check_choice("config.image.pad", spec.pad, ("edge", "grey"))
        whole = len(spec.size) == 2 and all(isinstance(side, int) for side in spec.size)
        if not whole or min(spec.size) < 8 or spec.size[0] * spec.size[1] > MAX_PIXELS:
            raise InputError(
                f"config.image.size={spec.size}: give (height, width) in pixels, from 8 each to a large image"
            )
        widths = (spec.size[1], *spec.widths)
        if list(widths) != sorted(set(widths)) or (spec.widths and not spec.keep_ratio):
            raise InputError(
                f"config.image.widths={spec.widths}: give widths above that of size, ascending, with keep_ratio"
            )
        return spec

    def decode(self, data: bytes | np.ndarray | None) -> np.ndarray | None:
        """Pixels uint8 [h, w, channels] of an encoded file or an RGB array; None when it is broken or cut off."""
        if data is None:
            return None
        if isinstance(data, np.ndarray):
            return from_array(data, self.channels)
        return decode_file(data, self.channels, self.backend)

    def open_all(self, images: Any, one: str = "an image", many: str = "images") -> Iterator[np.ndarray]:
        """`open` for one image or several. Raises InputError, which says which of them is wrong."""
        single = is_one_image(images)
        if not single and not isinstance(images, Iterable):
            raise InputError(f"cannot read {type(images).__name__}; give {one} or several")
        for number, image in enumerate([images] if single else images):
            try:
                pixels = self.open(image)
            except InputError as error:
                raise error if single else InputError(f"{many}[{number}]: {error}") from error
            yield pixels

    def open(self, image: Any) -> np.ndarray:
        """Pixels uint8 [h, w, channels] of a path, a PIL image, an array, the bytes of a file, or an open file.

        Raises:
          InputError: none of these, or not an image that can be decoded.
        """
        if is_pil(image):
            try:
                return from_pil(image, self.channels)
            except InputError:
                raise
            except Exception as error:  # Pillow reads files late, and raises many kinds
                raise InputError(f"PIL image {getattr(image, 'filename', '')}: cannot be decoded: {error}") from error
        name = "image"
        if isinstance(image, str | os.PathLike):
            name, image = os.fspath(image), _read_file(image)
        elif hasattr(image, "read"):
            name = str(getattr(image, "name", "open file"))
            try:
                image = image.read()
            except (OSError, ValueError) as error:  # ValueError: a closed file
                raise InputError(f"{name}: cannot be read: {error}") from error
        if isinstance(image, bytes | bytearray | memoryview):
            pixels = self.decode(bytes(image))
            if pixels is None:
                raise InputError(f"{name}: not an image that can be decoded")
            return pixels
        if not hasattr(image, "__array__"):
            raise InputError(f"{name}: cannot read {type(image).__name__}; give a path, bytes, a PIL image or an array")
        return from_array(image, self.channels)

    def shrink(self, image: np.ndarray) -> np.ndarray:
        """uint8 [h, w, c], made smaller where it has far more pixels than the model sees: views take time by pixels.

        Images of up to SHRINK_FROM times the model's height and width are returned as they are.
        """
        h, w, channels = image.shape
        height, width = self.size
        limit = SHRINK_FROM**2 * height * width
        scale = max(math.sqrt(limit / (h * w)), height / h)
        if h * w <= limit or scale >= 1:
            return image
        shape = max(round(w * scale), 1), max(round(h * scale), 1)
        return cv2.resize(image, shape, interpolation=cv2.INTER_AREA).reshape(shape[1], shape[0], channels)

    def fit(self, image: np.ndarray, width: int | None = None) -> np.ndarray:
        """uint8 [h, w, c] to [height, width, c]; width: another one than that of `size`, see reading_width."""
        width = width or self.size[1]
        return self.padded(RESIZE[self.backend](image, self.size[0], self._target(image, width)), width)

    def padded(self, image: np.ndarray, width: int) -> np.ndarray:
        """uint8 [h, w, c] to [h, width, c]."""
        missing = width - image.shape[1]
        if missing <= 0:
            return image
        column = image[:, -1:] if self.pad == "edge" else np.full_like(image[:, -1:], GREY)
        return np.concatenate([image, np.repeat(column, missing, axis=1)], axis=1)

    def reading_width(self, image: np.ndarray) -> int:
        """The least of the widths that an image [h, w, c] has room in at the model's height, or the greatest."""
        widths = (self.size[1], *self.widths)
        needed = self._target(image, widths[-1])
        return next(width for width in widths if width >= needed)

    def fit_for_reading(self, image: np.ndarray) -> np.ndarray:
        """uint8 [h, w, c] to [height, reading_width, c]."""
        return self.fit(image, self.reading_width(image))

    def filled(self, image: np.ndarray) -> float:
        """The share of the width that an image [h, w, c] takes up after `fit`; the rest is padding."""
        return self._target(image, self.size[1]) / self.size[1]

    def filled_by(self, aspect: float, width: int) -> float:
        """The same for an image of this width / height that was fitted to `width`."""
        return min(1.0, aspect * self.size[0] / width) if self.keep_ratio else 1.0

    def upside_down(self, image: np.ndarray, aspect: float) -> np.ndarray:
        """uint8 [h, w, c] of a crop of this width / height after `fit`, turned by half; padding stays on the right."""
        shown = math.ceil(self.filled_by(aspect, image.shape[1]) * image.shape[1] - 1e-6)
        return self.padded(np.ascontiguousarray(image[::-1, :shown][:, ::-1]), image.shape[1])

    def _target(self, image: np.ndarray, width: int) -> int:
        """The columns of an image of `width` that show something; the others are padding."""
        return min(width, math.ceil(self.size[0] * image.shape[1] / image.shape[0])) if self.keep_ratio else width


RGB = ImageSpec((32, 100), 3)  # opens images in colour; its size is not used


def is_one_image(images: Any) -> bool:
    """Whether this is one image (of the kinds that ImageSpec.open takes) rather than several."""
    kinds = str | os.PathLike | bytes | bytearray | memoryview
    if isinstance(images, kinds) or is_pil(images) or hasattr(images, "read"):
        return True
    return hasattr(images, "__array__") and len(getattr(images, "shape", ())) < 4


def _read_file(file: str | os.PathLike) -> bytes:
    try:
        return read_regular_file(os.path.expanduser(file))
    except (OSError, ValueError) as error:  # ValueError: a name with a zero byte
        raise InputError(f"{file}: {getattr(error, 'strerror', None) or error}") from error


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
    try:
        from PIL import Image
    except ImportError:  # exported networks are read without it
        raise InputError("config.image.backend='pillow' resizes with Pillow: pip install pillow") from None
    channels = image.shape[-1]
    image = Image.fromarray(image[..., 0] if channels == 1 else image)
    return np.asarray(image.resize((width, height), Image.Resampling.BICUBIC)).reshape(height, width, channels)


def _resize_cv2_linear(image: np.ndarray, height: int, width: int) -> np.ndarray:
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR).reshape(height, width, -1)


RESIZE = {"cv2": _resize_cv2, "cv2_linear": _resize_cv2_linear, "pillow": _resize_pillow}
