"""Encoded images, PIL images and arrays to pixels, all read as the file would be.

A turn noted in EXIF is applied, 16 bits are scaled to 8 (unless all levels are of 8 bits already), and transparent
images are laid on white, or on black where their ink is light. Files are refused that are not whole, or that would need
more than MAX_PIXELS to decode: the size is read from the header first.
"""

from __future__ import annotations

import io
import os
import stat
import struct
import warnings
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np

from jstr.text.messages import InputError, first_line

try:
    from PIL import Image, ImageOps
except ImportError:  # reading an exported network does without, where all images are JPEG, or PNG without transparency
    Image = ImageOps = None

MAX_PIXELS = 50_000_000  # of the largest telephones; decoded, they take 150 MB, and up to 1 GB on the way
_MAX_BYTES = 1 << 28  # of a file
_ORIENTATION = 0x0112  # EXIF
_STRIPE = 64  # rows that are computed at a time, for memory
_GREY = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601, as OpenCV and Pillow have it

warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")  # on files that are damaged a little
cv2.setNumThreads(0)  # the pipeline runs many decoders side by side; threads inside each would only fight
cv2.utils.logging.setLogLevel(0)  # a broken image is counted and named by the pipeline, not printed by the decoder


class NoPillow(InputError):
    """An image that only Pillow can decode, where it is not installed."""


def read_regular_file(path: str | os.PathLike) -> bytes:
    """The bytes of a file. Raises OSError: not there, not a regular file (which might never end), or far too large."""

    def opener(name: str, flags: int) -> int:
        return os.open(name, flags | os.O_NONBLOCK)  # a named pipe would wait for its writer

    with open(path, "rb", opener=opener) as stream:
        status = os.fstat(stream.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise OSError(0, "not a regular file")
        if status.st_size > _MAX_BYTES:
            raise OSError(0, f"{status.st_size:,} bytes are more than an image of a word has")
        return stream.read()


def decode_file(data: bytes, channels: int, backend: str = "cv2") -> np.ndarray | None:
    """Pixels uint8 [h, w, channels] of an encoded file; None when it is broken, cut off or too large."""
    if _cut_off(data):
        return None
    try:
        width, height, by_pillow = _inspect_header(data)
        if width * height > MAX_PIXELS:
            return None
        # Without Pillow, what it would decode for another backend is left to OpenCV: a JPEG may differ by a grey level.
        if by_pillow or (backend != "cv2" and Image is not None):
            _need_pillow()
            with Image.open(io.BytesIO(data)) as image:
                return from_pil(image, channels)
    except NoPillow:
        raise
    except Exception:  # Pillow raises many kinds for damaged files, SyntaxError and struct.error among them
        return None
    return _decode_cv2(data, channels)


def from_pil(image: Image.Image, channels: int) -> np.ndarray:
    """Pixels uint8 [h, w, channels] of a PIL image of any mode. Raises InputError: values that are no grey levels."""
    if 0 in image.size:
        raise InputError(f"an image of {image.width} x {image.height} has no pixels")
    if image.getexif().get(_ORIENTATION, 1) != 1:
        image = ImageOps.exif_transpose(image)
    if _has_wide_values(image):
        return from_array(np.asarray(image), channels)
    if image.mode in ("LAB", "La"):  # which Pillow does not turn into everything
        image = image.convert("RGB" if image.mode == "LAB" else "LA")
    if image.has_transparency_data:
        rgba = np.asarray(image if image.mode == "RGBA" else image.convert("RGBA"))
        return _to_channels(_compose(rgba), channels)
    pixels = np.asarray(image.convert("L" if channels == 1 else "RGB"))
    return pixels[..., None] if channels == 1 else pixels


def from_array(image: Any, channels: int) -> np.ndarray:
    """Pixels uint8 [h, w, channels] of an array: [h, w], [h, w, 1], RGB [h, w, 3] or RGBA [h, w, 4], or channels first.

    image: an array of any library, through `__array__`. bool; integers from 0 to 255 or, scaled to 8 bits, of 16;
    floats from 0 to 1 or from 0 to 255.

    Raises:
      InputError: not an image of that form.
    """
    try:
        pixels = np.asarray(image)
    except Exception as error:  # of other libraries, such as a tensor on an accelerator
        raise InputError(f"an image of type {type(image).__name__} is no array: {first_line(error)}") from error
    if pixels.dtype.kind in "USO":
        raise InputError("an array of texts or objects is no image; give several images as a list")
    if pixels.size == 0:
        raise InputError(f"an image of shape {list(pixels.shape)} has no pixels")
    if pixels.ndim not in (2, 3):
        raise InputError(f"an image must be [H, W] or [H, W, 3], not {pixels.dtype} {list(pixels.shape)}")
    if pixels.ndim == 3 and pixels.shape[-1] > 4 and pixels.shape[0] in (1, 3, 4):
        pixels = np.moveaxis(pixels, 0, -1)
    pixels = _as_uint8(pixels)
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    if pixels.shape[-1] not in (1, 3, 4):
        several = "; give several grey images as a list" if pixels.shape[-1] > 4 else ""
        raise InputError(f"an image must have 1, 3 or 4 channels, not {pixels.shape[-1]}{several}")
    return _to_channels(_compose(pixels) if pixels.shape[-1] == 4 else pixels, channels)


def _to_channels(image: np.ndarray, channels: int) -> np.ndarray:
    """uint8 [h, w, 1 or 3] to [h, w, channels]."""
    have = image.shape[-1]
    if channels == 1 and have > 1:
        return cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY)[..., None]
    return np.repeat(image, 3, axis=-1) if channels == 3 and have == 1 else image


def _as_uint8(pixels: np.ndarray) -> np.ndarray:
    """Raises InputError: values that are no grey levels."""
    kind = pixels.dtype.kind
    if pixels.dtype == np.uint8:
        return pixels
    if kind == "b":
        return pixels.astype(np.uint8) * np.uint8(255)
    if kind not in "iuf":
        raise InputError(f"an image must be of numbers, not {pixels.dtype} {list(pixels.shape)}")
    low, high = float(pixels.min()), float(pixels.max())
    if kind == "f" and 0 <= low and high <= 255:  # also false of numbers that are none
        return _by_stripes(lambda rows: np.round(rows.astype(np.float64) * (255 if high <= 1 else 1)), pixels)
    if kind in "iu" and 0 <= low and high <= 255:
        return pixels.astype(np.uint8)
    if kind in "iu" and 0 <= low and high < 2**16:
        return _by_stripes(lambda rows: rows >> 8, pixels)
    raise InputError(f"an image of {pixels.dtype} from {low:g} to {high:g}: give 0 to 255, or floats from 0 to 1")


def _by_stripes(convert: Callable[[np.ndarray], np.ndarray], pixels: np.ndarray) -> np.ndarray:
    """`convert` of some rows at a time, as uint8 of the shape of `pixels`."""
    out = np.empty(pixels.shape, np.uint8)
    for row in range(0, len(pixels), _STRIPE):
        out[row : row + _STRIPE] = convert(pixels[row : row + _STRIPE])
    return out


def is_pil(image: Any) -> bool:
    """Whether this is an image of Pillow."""
    return Image is not None and isinstance(image, Image.Image)


def _need_pillow() -> None:
    if Image is None:
        raise NoPillow("an image that is neither JPEG nor plain PNG needs the package pillow: pip install pillow")


def _has_wide_values(image: Image.Image) -> bool:
    """Whether a PIL image holds grey levels of 16 or 32 bits, or floats."""
    return image.mode.startswith("I") or image.mode == "F"


def _compose(rgba: np.ndarray) -> np.ndarray:
    """RGBA uint8 [h, w, 4] on a ground that its ink differs from: white, or black for light ink. RGB [h, w, 3].

    An image that is transparent everywhere is taken without its transparency.
    """
    rgb, alpha = rgba[..., :3], rgba[..., 3]
    if alpha.min() == 255 or not alpha.any():
        return np.ascontiguousarray(rgb)
    stripes = [slice(row, row + _STRIPE) for row in range(0, len(rgba), _STRIPE)]
    weighted = sum(float((rgb[rows] @ _GREY * alpha[rows]).sum(dtype=np.float64)) for rows in stripes)
    ground = 255.0 if weighted / float(alpha.sum(dtype=np.float64)) < 127.5 else 0.0
    out = np.empty(rgb.shape, np.uint8)
    for rows in stripes:
        share = alpha[rows, :, None].astype(np.float32) / 255
        out[rows] = np.round(rgb[rows] * share + ground * (1 - share))
    return out


def _cut_off(data: bytes) -> bool:
    """True for JPEG and PNG files without their end marker: decoders return the rest as grey or black."""
    if data[:2] == b"\xff\xd8":
        return b"\xff\xd9" not in data[2:]
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        return b"IEND" not in data[8:]
    return len(data) == 0


def _inspect_header(data: bytes) -> tuple[int, int, bool]:
    """(width, height, whether Pillow must decode it) of an encoded file.

    OpenCV ignores transparency, the turn of AVIF, and that 16 bits may hold levels of 8. Raises any error for what is
    no image.
    """
    if data[:2] == b"\xff\xd8":
        return *_jpeg_size(data), False
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        width, height = struct.unpack(">II", data[16:24])
        transparent = data[25] in (4, 6) or data.find(b"tRNS", 0, data.find(b"IDAT")) > 0
        return width, height, transparent or data[24:26] == b"\x10\0"
    _need_pillow()
    with Image.open(io.BytesIO(data)) as image:  # reads the header only
        by_pillow = image.has_transparency_data or image.format == "AVIF" or _has_wide_values(image)
        return *image.size, by_pillow


def image_size(data: bytes) -> tuple[int, int] | None:
    """(width, height) in the header of an encoded file, before any turn; None for what is no image."""
    try:
        return _inspect_header(data)[:2]
    except Exception:  # see decode_file
        return None


def fits_in_memory(data: bytes) -> bool:
    """Whether an encoded file is an image of at most MAX_PIXELS."""
    size = image_size(data)
    return size is not None and size[0] * size[1] <= MAX_PIXELS


def _jpeg_size(data: bytes) -> tuple[int, int]:
    """(width, height) in the frame header."""
    at = 2
    while True:
        while data[at] == 0xFF and data[at + 1] == 0xFF:  # fill bytes
            at += 1
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        if data[at] != 0xFF or length < 2:
            raise ValueError("not a JPEG marker")
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack(">HH", data[at + 5 : at + 9])
            return width, height
        at += 2 + length


def _decode_cv2(data: bytes, channels: int) -> np.ndarray | None:
    flag = cv2.IMREAD_GRAYSCALE if channels == 1 else cv2.IMREAD_COLOR_RGB
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flag)
    except cv2.error:
        return None
    if image is None:
        return None
    return image[..., None] if channels == 1 else image
