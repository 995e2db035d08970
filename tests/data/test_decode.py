"""Every kind of image reads as its file does."""

import io
import os
import struct
import tracemalloc
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from jstr.data import decode
from jstr.data.decode import from_array
from jstr.data.images import ImageSpec
from jstr.text.messages import InputError

GREY = ImageSpec((32, 100), 1)
SPECS = [ImageSpec((32, 100), channels, backend=backend) for channels in (1, 3) for backend in ("cv2", "pillow")]


def encoded(suffix, shape=(40, 90, 3)):
    picture = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    return cv2.imencode(suffix, picture)[1].tobytes()


@pytest.mark.parametrize("backend", ["cv2", "cv2_linear", "pillow"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp"])
def test_decode_and_fit(backend, channels, suffix):
    spec = ImageSpec((32, 100), channels, backend=backend)
    image = spec.decode(encoded(suffix))
    assert image.shape == (40, 90, channels) and image.dtype == np.uint8
    assert spec.fit(image).shape == (32, 100, channels)


@pytest.mark.parametrize("backend", ["cv2", "cv2_linear", "pillow"])
def test_colours_are_rgb(backend):
    red = cv2.imencode(".png", np.full((9, 9, 3), (0, 0, 255), np.uint8))[1].tobytes()
    assert ImageSpec((32, 100), 3, backend=backend).decode(red)[0, 0].tolist() == [255, 0, 0]


@pytest.mark.parametrize("backend", ["cv2", "cv2_linear", "pillow"])
@pytest.mark.parametrize("data", [None, b"", b"not an image", b"\xff\xd8\xff\xe0 broken"])
def test_broken_images_are_none(backend, data):
    assert ImageSpec((32, 100), 1, backend=backend).decode(data) is None


@pytest.mark.parametrize("backend", ["cv2", "cv2_linear", "pillow"])
@pytest.mark.parametrize("suffix", [".png", ".jpg"])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.9, 0.99])
def test_cut_off_images_are_none(backend, suffix, share):
    data = encoded(suffix)
    assert ImageSpec((32, 100), 1, backend=backend).decode(data[: int(share * len(data))]) is None


def test_array_forms():
    assert from_array(np.zeros((4, 5), np.uint8), 3).shape == (4, 5, 3)
    assert from_array(np.zeros((4, 5, 4), np.uint8), 1).shape == (4, 5, 1)
    for bad in (np.full((4, 5), -1.0), np.zeros((4, 5, 2), np.uint8), np.zeros((0, 5), np.uint8)):
        with pytest.raises(InputError, match="an image"):
            from_array(bad, 1)


def word(colour=(0, 0, 0), ground=(255, 255, 255)):
    """RGB uint8 [40, 90, 3] with ink and ground, and where the ink is."""
    ink = np.zeros((40, 90), bool)
    ink[10:30, 10:20] = ink[15:25, 30:80] = True
    return np.where(ink[..., None], np.uint8(colour), np.uint8(ground)), ink


def saved(image, suffix="PNG", **options):
    stream = io.BytesIO()
    image.save(stream, suffix, **options)
    return stream.getvalue()


@pytest.mark.parametrize("spec", SPECS, ids=str)
@pytest.mark.parametrize("ink_level, ground", [(0, 255), (90, 255), (255, 0), (200, 0)])
def test_transparent_images_lie_on_a_ground_that_differs_from_their_ink(spec, ink_level, ground, tmp_path):
    colour, ink = word((ink_level,) * 3, (ink_level,) * 3)
    rgba = np.dstack([colour, np.where(ink, 255, 0).astype(np.uint8)])
    image = Image.fromarray(rgba)
    palette = Image.fromarray(ink.astype(np.uint8) * 2, "P")
    palette.putpalette([ink_level] * 768)
    png, webp = saved(image), saved(image, "WEBP", lossless=True)
    images = [image, rgba, png, io.BytesIO(png), webp, image.convert("LA"), saved(palette, transparency=0)]
    (tmp_path / "a.png").write_bytes(png)
    for form in [*images, tmp_path / "a.png", str(tmp_path / "a.png")]:
        pixels = spec.open(form)
        assert np.abs(pixels[ink].astype(int) - ink_level).max() <= 1 and (pixels[~ink] == ground).all()
    tall = np.tile(rgba, (4, 1, 1))  # more rows than are computed at a time
    np.testing.assert_array_equal(spec.open(tall), np.tile(spec.open(rgba), (4, 1, 1)))
    opaque = np.dstack([colour, np.full_like(colour[..., :1], 255)])
    np.testing.assert_array_equal(spec.open(opaque), spec.open(colour))
    colour, _ = word()
    np.testing.assert_array_equal(spec.open(np.dstack([colour, np.zeros((40, 90), np.uint8)])), spec.open(colour))


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_turned_images_are_turned_back(spec):
    rgb, _ = word()
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = Image.fromarray(rgb).transpose(Image.Transpose.ROTATE_90)
    for suffix, options in (("JPEG", dict(quality=100)), ("PNG", {}), ("WEBP", dict(lossless=True)), ("TIFF", {})):
        data = saved(turned, suffix, exif=exif, **options)
        for form in (data, Image.open(io.BytesIO(data))):
            assert np.abs(spec.open(form).astype(int) - rgb[..., : spec.channels]).mean() < 3, suffix
    avif = saved(turned, "AVIF", exif=exif)
    assert spec.open(avif).shape == spec.open(Image.open(io.BytesIO(avif))).shape == (40, 90, spec.channels)


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_sixteen_bits_are_scaled(spec):
    grey = np.random.default_rng(0).integers(0, 256, (40, 90)).astype(np.uint16)
    wide = grey * 257
    for suffix in ("PNG", "TIFF"):
        data = saved(Image.fromarray(wide), suffix)
        for form in (data, Image.open(io.BytesIO(data)), wide, wide.astype(np.int32)):
            np.testing.assert_array_equal(spec.open(form)[..., 0], grey)
        narrow = saved(Image.fromarray(grey), suffix)  # levels of 8 bits
        for form in (narrow, Image.open(io.BytesIO(narrow)), grey, Image.fromarray(grey.astype(np.uint8)).convert("I")):
            np.testing.assert_array_equal(spec.open(form)[..., 0], grey)


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_arrays_of_any_library(spec):
    class Tensor:
        def __init__(self, values):
            self.values, self.shape = values, values.shape

        def __array__(self, dtype=None, copy=None):
            return self.values

    rgb = np.random.default_rng(0).integers(0, 256, (40, 90, 3)).astype(np.uint8)
    expected = spec.open(rgb)
    for form in (
        rgb / 255,
        (rgb / 255).astype(np.float32),
        rgb.astype(np.float32),
        rgb.astype(np.int64),
        Tensor(rgb),
        Tensor(np.moveaxis(rgb, -1, 0) / 255),
        np.asfortranarray(rgb),
        rgb[::-1][::-1],
    ):
        np.testing.assert_array_equal(spec.open(form), expected)
    assert spec.open(word()[1])[..., 0].tolist() == (word()[1] * 255).tolist()
    bad = [np.full((4, 5), np.nan), np.full((4, 5), 300.0), np.full((4, 5), 1e5, int), np.full((4, 5), 1j)]
    for form in [*bad, np.array([["a"]]), "no/such/file.png", b"no image", object(), io.StringIO("text"), 7, "\0"]:
        with pytest.raises(InputError) as error:
            spec.open(form)
        assert "\n" not in str(error.value) and len(str(error.value)) < 300


@pytest.mark.parametrize("mode", "1 L P RGB RGBA CMYK YCbCr LAB HSV I F LA La PA RGBa RGBX I;16".split())
def test_pil_images_of_every_mode(mode):
    grey = Image.fromarray(np.tile(np.arange(0, 180, 2, dtype=np.uint8), (40, 1)))
    start = grey if mode in ("1", "I", "F", "I;16") else grey.convert("LA" if mode == "La" else "RGB")
    for spec in SPECS:
        difference = np.abs(spec.open(start.convert(mode)).astype(int) - np.asarray(grey)[..., None])
        assert difference.mean() < {"1": 100, "P": 20, "PA": 20}.get(mode, 8), spec  # dithered


def test_closed_and_damaged_images_are_one_line():
    closed, whole = io.BytesIO(), encoded(".png")
    closed.close()
    image = Image.open(io.BytesIO(whole))
    image.close()
    for form in (closed, image, Image.open(io.BytesIO(whole[: len(whole) // 2]))):
        with pytest.raises(InputError) as error:
            GREY.open(form)
        assert "\n" not in str(error.value)


def small_file_of_a_huge_image(suffix):
    """A file of a few KB whose header asks for gigabytes."""
    huge, small = 20_000, 16
    if suffix == "PNG":
        header = struct.pack(">IIBBBBB", huge, huge, 8, 2, 0, 0, 0)
        chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(bytes(1000))), (b"IEND", b"")]
        packed = [struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in chunks]
        return b"\x89PNG\r\n\x1a\n" + b"".join(packed)
    data = bytearray(saved(Image.new("RGB", (small, small)), suffix))
    if suffix == "JPEG":
        at = data.index(b"\xff\xc0") + 5
        data[at : at + 4] = struct.pack(">HH", huge, huge)
    elif suffix == "BMP":
        data[18:26] = struct.pack("<ii", huge, huge)
    elif suffix == "GIF":
        data[6:10] = struct.pack("<HH", huge, huge)
    return bytes(data)


@pytest.mark.parametrize("backend", ["cv2", "pillow"])
@pytest.mark.parametrize("suffix", ["PNG", "JPEG", "BMP", "GIF"])
def test_small_files_cannot_ask_for_gigabytes(backend, suffix, monkeypatch):
    """No decoder sees them."""
    spec, decoded = ImageSpec((32, 100), 3, backend=backend), []
    monkeypatch.setattr(decode, "_decode_cv2", lambda *_: decoded.append(1))
    monkeypatch.setattr(decode, "from_pil", lambda *_: decoded.append(1))
    data = small_file_of_a_huge_image(suffix)
    assert len(data) < 5000 and spec.decode(data) is None and not decoded
    spec.decode(encoded(f".{suffix.lower()}"))
    assert decoded


@pytest.mark.parametrize("dtype, scale", [(np.float32, 1 / 65535), (np.int32, 1)])
def test_wide_values_are_scaled_without_copies_of_the_image(dtype, scale):
    """Only some rows at a time are in float64."""
    wide = np.arange(2**20).reshape(1024, 1024) % 2**16
    pixels = (wide * scale).astype(dtype)
    tracemalloc.start()
    try:
        grey = from_array(pixels, 1)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2 * grey.nbytes + 10**6
    assert np.abs(grey[..., 0] - wide / 257).max() < 1.1


def test_files_that_never_end_are_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    for path in (tmp_path / "pipe.png", "/dev/zero", tmp_path):
        with pytest.raises(InputError, match="regular file|directory"):
            GREY.open(path)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=200), st.sampled_from([".png", ".jpg", ".bmp", ".webp", ".tiff", ".gif"]), st.data())
def test_damaged_files_are_none_or_images(noise, suffix, data):
    whole = encoded(suffix)
    at = data.draw(st.integers(0, len(whole)))
    damaged = whole[:at] + noise + whole[at + len(noise) :]
    for backend in ("cv2", "pillow"):
        pixels = ImageSpec((32, 100), 1, backend=backend).decode(damaged)
        assert pixels is None or (pixels.dtype == np.uint8 and pixels.ndim == 3 and pixels.shape[-1] == 1)
