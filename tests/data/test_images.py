import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jstr.augment.host.registry import check_view
from jstr.core import InputError
from jstr.data.images import ImageSpec, to_channels

GREY = ImageSpec((32, 100), 1)


def encoded(suffix, shape=(40, 90, 3)):
    picture = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    return cv2.imencode(suffix, picture)[1].tobytes()


@pytest.mark.parametrize("backend", ["cv2", "pillow"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp"])
def test_decode_and_fit(backend, channels, suffix):
    spec = ImageSpec((32, 100), channels, backend=backend)
    image = spec.decode(encoded(suffix))
    assert image.shape == (40, 90, channels) and image.dtype == np.uint8
    assert spec.fit(image).shape == (32, 100, channels)


@pytest.mark.parametrize("backend", ["cv2", "pillow"])
def test_colours_are_rgb(backend):
    red = cv2.imencode(".png", np.full((9, 9, 3), (0, 0, 255), np.uint8))[1].tobytes()
    assert ImageSpec((32, 100), 3, backend=backend).decode(red)[0, 0].tolist() == [255, 0, 0]


@pytest.mark.parametrize("backend", ["cv2", "pillow"])
@pytest.mark.parametrize("data", [None, b"", b"not an image", b"\xff\xd8\xff\xe0 broken"])
def test_broken_images_are_none(backend, data):
    assert ImageSpec((32, 100), 1, backend=backend).decode(data) is None


@pytest.mark.parametrize("backend", ["cv2", "pillow"])
@pytest.mark.parametrize("suffix", [".png", ".jpg"])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.9, 0.99])
def test_cut_off_images_are_none(backend, suffix, share):
    data = encoded(suffix)
    assert ImageSpec((32, 100), 1, backend=backend).decode(data[: int(share * len(data))]) is None


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 80), st.integers(1, 200), st.booleans(), st.sampled_from(["cv2", "pillow"]), st.sampled_from([1, 3])
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


def test_array_forms():
    assert to_channels(np.zeros((4, 5), np.uint8), 3).shape == (4, 5, 3)
    assert to_channels(np.zeros((4, 5, 4), np.uint8), 1).shape == (4, 5, 1)
    for bad in (np.zeros((4, 5), np.float32), np.zeros((4, 5, 2), np.uint8), np.zeros((0, 5), np.uint8)):
        with pytest.raises(InputError, match="image must"):
            to_channels(bad, 1)


@pytest.mark.parametrize("change", [dict(channels=2), dict(backend="torch"), dict(size=(32,)), dict(size=(0, 100))])
def test_bad_image_configs(change):
    with pytest.raises(InputError, match="config.image"):
        ImageSpec.make(dict(size=(32, 100), channels=1, keep_ratio=False, backend="cv2") | change)


def test_bad_views():
    with pytest.raises(InputError, match="unknown operation 'blurr'; choose from affine"):
        check_view("labelled.image", {"blurr": {}})
    with pytest.raises(InputError, match="blur has no sigmas .did you mean sigma"):
        check_view("labelled.image", {"blur": {"sigmas": 1}})
