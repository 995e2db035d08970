import io
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from jstr.data.images import ImageSpec, is_one_image
from jstr.text.messages import InputError

GREY = ImageSpec((32, 100), 1)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 80),
    st.integers(1, 200),
    st.booleans(),
    st.sampled_from(["cv2", "cv2_linear", "pillow"]),
    st.sampled_from([1, 3]),
)
def test_any_size_fits(h, w, keep_ratio, backend, channels):
    image = np.random.default_rng(h * w).integers(0, 256, (h, w, channels), np.uint8)
    out = ImageSpec((16, 40), channels, keep_ratio, backend).fit(image)
    assert out.shape == (16, 40, channels) and out.dtype == np.uint8
    used = min(40, -(-16 * w // h))
    if keep_ratio and used < 40:
        assert (out[:, used:] == out[:, used - 1 : used]).all()  # the last column, repeated


def test_enlarging_and_shrinking_keep_a_ramp():
    ramp = np.repeat(np.linspace(0, 255, 50).astype(np.uint8)[None], 8, axis=0)[..., None]
    for size in ((32, 100), (4, 25), (32, 25), (4, 100)):
        row = ImageSpec(size, 1).fit(ramp)[0, :, 0].astype(int)
        assert (np.diff(row) >= -1).all() and row[0] < 12 and row[-1] > 243


def test_what_shrinks_in_one_direction_only_is_averaged():
    rows = np.random.default_rng(0).integers(0, 256, (320, 1, 1), np.uint8)
    assert ImageSpec((32, 100), 1).fit(np.tile(rows, (1, 20, 1))).std() < 30 < 70 < rows.std()


def test_widths_to_a_column():
    """A ratio is rounded up to whole columns, and an image that just fits takes no greater width."""
    spec = ImageSpec((32, 64), 1, keep_ratio=True, widths=(128, 256))
    images = [np.zeros((30, width, 1), np.uint8) for width in (37, 60, 61, 120, 121, 999)]
    assert spec.filled(images[0]) == 40 / 64
    assert [spec.reading_width(image) for image in images] == [64, 64, 128, 128, 256, 256]


@pytest.mark.parametrize(
    "change",
    [
        dict(channels=2),
        dict(backend="torch"),
        dict(size=(32,)),
        dict(size=(0, 100)),
        dict(size=(10**6, 10**6)),
        dict(size=(32, "x")),
    ],
)
def test_bad_image_configs(change):
    with pytest.raises(InputError, match="config.image"):
        ImageSpec.make(dict(size=(32, 100), channels=1, keep_ratio=False, backend="cv2") | change)


def test_one_image_or_several():
    one = ["a.png", Path("a.png"), b"", Image.new("L", (4, 4)), np.zeros((4, 4)), np.zeros((4, 4, 3)), io.BytesIO()]
    assert all(map(is_one_image, one))
    assert not any(map(is_one_image, [["a.png"], iter("ab"), np.zeros((2, 4, 4, 3)), (np.zeros((4, 4)),)]))


def test_huge_crops_are_shrunk_and_ordinary_ones_kept():
    ordinary = np.zeros((256, 800, 1), np.uint8)
    assert GREY.shrink(ordinary) is ordinary
    huge = np.zeros((3000, 4000, 3), np.uint8)
    shrunk = ImageSpec((32, 100), 3).shrink(huge)
    assert (
        shrunk.shape[0] * shrunk.shape[1] <= 1.01 * 64 * 32 * 100
        and abs(shrunk.shape[1] / shrunk.shape[0] - 4 / 3) < 0.01
    )
    assert GREY.shrink(np.zeros((40, 100_000, 1), np.uint8)).shape == (32, 80_000, 1)


@pytest.mark.parametrize("shape", [(64, 256), (20, 37), (200, 900)])
def test_cv2_linear_is_the_resize_of_the_official_abinet(shape):
    """dataset.py of FangShancheng/ABINet: Pillow decodes, cv2.resize is called with its defaults."""
    pixels = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    data = cv2.imencode(".jpg", pixels)[1].tobytes()
    spec = ImageSpec((32, 128), 3, backend="cv2_linear")
    expected = cv2.resize(np.asarray(Image.open(io.BytesIO(data)).convert("RGB")), (128, 32))
    np.testing.assert_array_equal(spec.fit(spec.decode(data)), expected)


def test_resizing_without_pillow(monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    spec = ImageSpec((32, 100), 1, backend="pillow")
    with pytest.raises(InputError, match="pip install pillow"):
        spec.fit(np.zeros((20, 50, 1), np.uint8))


@pytest.mark.parametrize("width, pad", [(50, "edge"), (51, "grey"), (300, "grey")])
def test_padding_stays_on_the_right_upside_down(width, pad):
    crop = np.random.default_rng(0).integers(0, 256, (32, width, 1), np.uint8)
    spec = ImageSpec((32, 100), 1, keep_ratio=True, pad=pad)
    turned = spec.upside_down(spec.fit(crop), width / 32)
    np.testing.assert_array_equal(turned, spec.fit(np.ascontiguousarray(crop[::-1, ::-1])))
