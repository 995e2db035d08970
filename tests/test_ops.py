"""Image operations: their definitions, and that two views of a word stay aligned from left to right."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jstr.augment.host import photometric, registry, seqclr
from jstr.core import InputError

TOLERANCE = 0.15  # of the width
PLACES = (0.1, 0.3, 0.5, 0.7, 0.9)
few = settings(max_examples=12, derandomize=True, deadline=None)


def word(place: float, channels: int = 3) -> np.ndarray:
    """A picture of one bright bar, whose middle is at a fraction of the width."""
    image = np.full((60, 200, channels), 70, np.uint8)
    middle = round(place * 200)
    image[18:42, middle - 6 : middle + 6] = 230
    return image


def where(image: np.ndarray) -> float | None:
    """The middle of what differs from the ground, as a fraction of the width; None where nothing does."""
    profile = image.reshape(image.shape[0], image.shape[1], -1).mean(axis=(0, 2))
    deviation = np.abs(profile - np.median(profile))
    if deviation.max() < 4:
        return None
    weight = np.where(deviation > deviation.max() / 2, deviation, 0)
    return float((weight * (np.arange(len(weight)) + 0.5)).sum() / weight.sum() / len(weight))


def keeps_sequence(op, seed: int, channels: int = 3) -> bool:
    """Whether bars stay in order and at their place when each is drawn with the same random numbers."""
    found = [where(op(word(place, channels), np.random.default_rng(seed))) for place in PLACES]
    if None in found or sorted(found) != found:
        return False
    return max(abs(a - b) for a, b in zip(found, PLACES, strict=True)) <= TOLERANCE


@pytest.mark.parametrize("name", sorted(registry.SEQUENCE_PRESERVING))
@given(seed=st.integers(0, 2**32), channels=st.sampled_from([1, 3]))
@few
def test_what_is_marked_keeps_the_sequence(name, seed, channels):
    assert keeps_sequence(lambda image, rng: registry.apply_view(image, rng, {name: {}}), seed, channels)


def turned(degrees):
    def op(image, rng):
        h, w = image.shape[:2]
        matrix = cv2.getRotationMatrix2D((w / 2, h / 2), degrees, 1.0)
        return cv2.warpAffine(image, matrix, (w, h), borderValue=(70, 70, 70))

    return op


def test_flips_and_large_moves_would_be_found():
    assert keeps_sequence(lambda image, rng: image, 0)
    assert not keeps_sequence(lambda image, rng: image[:, ::-1], 0)
    assert not keeps_sequence(lambda image, rng: np.roll(image, 40, axis=1), 0)
    assert not keeps_sequence(lambda image, rng: image[:, 60:], 0)
    for degrees in (45, 60, 90, 180, 270):
        assert not keeps_sequence(turned(degrees), 0), degrees


@pytest.mark.parametrize("name", sorted(registry.OPS))
@pytest.mark.parametrize("shape", [(32, 100, 1), (32, 100, 3), (1, 1, 3), (2, 3, 1), (5, 2, 3), (40, 7, 1)])
def test_operations_are_pure_and_keep_the_type(name, shape):
    image = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    before = image.copy()
    for seed in range(4):
        a, b = (registry.apply_view(image, np.random.default_rng(seed), {name: {}}) for _ in range(2))
        np.testing.assert_array_equal(a, b)
        assert a.dtype == np.uint8 and a.ndim == 3 and a.shape[-1] == shape[-1] and a.size
        if name not in ("crop", "abinet"):  # these change the size
            assert a.shape == shape
    np.testing.assert_array_equal(image, before)


def flat(value, shape=(24, 60, 1)):
    return np.full(shape, value, np.uint8)


def rng():
    return np.random.default_rng(0)


def test_linear_contrast_oracle():
    assert int(seqclr.linear_contrast(flat(200), rng(), factor=(0.5, 0.5)).max()) in (163, 164)  # 163.5
    assert np.all(seqclr.linear_contrast(flat(127), rng()) == 127)


def test_sharpening_darkens_as_published():
    sharpened = seqclr.sharpen(flat(100), rng(), alpha=(0.5, 0.5), lightness=(0.0, 0.0))
    assert np.all(sharpened == 50)
    assert np.all(seqclr.sharpen(flat(100), rng(), alpha=(0.5, 0.5), lightness=(1.0, 1.0)) == 100)


def test_crops_cut_what_they_say():
    ramp = np.repeat(np.arange(100, dtype=np.uint8)[:, None], 30, axis=1)[..., None]
    cut = seqclr.vertical_crop(ramp, rng(), amount=(0.25, 0.25))
    assert cut.shape[:2] == (100, 30) and abs(int(cut[0].mean()) - 25) <= 1 and abs(int(cut[-1].mean()) - 74) <= 1
    ramp = ramp.transpose(1, 0, 2)
    cut = seqclr.horizontal_crop(ramp, rng(), amount=(0.02, 0.02)).reshape(30, 100)
    assert abs(int(cut[:, 0].mean()) - 2) <= 1 and abs(int(cut[:, -1].mean()) - 97) <= 1


def test_perspective_only_zooms_in():
    framed = flat(0, (60, 200, 1))
    framed[6:-6, 20:-20] = 255
    for seed in range(20):
        out = seqclr.perspective_inwards(framed, np.random.default_rng(seed))
        assert out.sum() >= framed.sum()
    np.testing.assert_array_equal(seqclr.perspective_inwards(framed, rng(), scale=(0.0, 0.0))[..., None], framed)


def test_piecewise_affine_is_linear_on_every_triangle():
    """Against barycentric coordinates, pixel by pixel."""
    grid = np.random.default_rng(0).normal(size=(2, 3, 4)).astype(np.float32)
    h, w = 13, 22
    found = seqclr._triangles(grid, h, w)
    for y in range(h):
        for x in range(w):
            v, u = y * 2 / h, x * 3 / w
            i, j = int(v), int(u)
            third = (i, j + 1) if u - j >= v - i else (i + 1, j)
            corners = [(i, j), (i + 1, j + 1), third]
            weights = np.linalg.solve(np.array([[a for a, _ in corners], [b for _, b in corners], [1] * 3]), [v, u, 1])
            assert weights.min() > -1e-6
            expected = sum(weight * grid[:, a, b] for weight, (a, b) in zip(weights, corners, strict=True))
            np.testing.assert_allclose(found[:, y, x], expected, atol=1e-4)


def test_piecewise_affine_without_jitter_changes_nothing():
    ramp = np.repeat(np.arange(0, 231, 3, dtype=np.uint8)[None], 31, axis=0)[..., None]
    out = seqclr.piecewise_affine(ramp, rng(), scale=(0.0, 0.0)).astype(int)
    assert np.abs(out - ramp[..., 0]).max() <= 3  # one pixel: points on the far edge are kept within the image


def test_elastic_stays_within_a_pixel():
    ramp = np.repeat(np.arange(0, 240, 2, dtype=np.uint8)[None], 20, axis=0)[..., None]
    out = seqclr.elastic(ramp, rng(), alpha=(0.8, 0.8)).reshape(20, 120)
    assert 0 < np.abs(out[2:-2, 2:-2].astype(int) - ramp[2:-2, 2:-2, 0]).max() <= 3


@pytest.mark.parametrize("low, high", [(1, 5), (1, 7), (3, 3)])
def test_some_of_draws_each_count_alike_without_repetition(low, high):
    counts, firsts = np.zeros(8, int), np.zeros(7, int)
    generator = np.random.default_rng(0)
    for _ in range(2000):
        seen = []
        marked = [lambda image, rng, i=i: seen.append(i) or image for i in range(7)]  # noqa: B023
        seqclr._some(marked, flat(0), generator, low, high)
        assert len(set(seen)) == len(seen)
        counts[len(seen)] += 1
        firsts[seen[0]] += 1
    possible = counts[low : high + 1]
    assert possible.sum() == 2000 and possible.min() > 0.8 * 2000 / len(possible)
    assert firsts.min() > 0.8 * 2000 / 7


def test_texture_operations():
    assert np.all(photometric.invert(flat(30), rng(), probability=1.0) == 225)
    assert np.all(photometric.gamma(flat(64), rng(), gamma=(2.0, 2.0)) == round(255 * (64 / 255) ** 2))
    assert np.all(photometric.brightness(flat(100), rng(), factor=(1.5, 1.5)) == 150)
    hit = photometric.impulse_noise(flat(100, (100, 100, 3)), rng(), share=0.1) != 100
    assert 0.08 < hit.mean() < 0.11
    assert 0.18 < (photometric.pixel_dropout(flat(9, (100, 100, 3)), rng(), share=(0.2, 0.2)) == 0).mean() < 0.22
    noisy = photometric.gaussian_noise(flat(128, (100, 100, 3)), rng(), sigma=(20.0, 20.0))
    assert 18 < noisy.std() < 22 and np.all(noisy == noisy[..., :1])
    colours = np.random.default_rng(0).integers(0, 256, (20, 40, 3), np.uint8)
    assert len(np.unique(photometric.quantise(colours, rng(), colours=(4, 4)).reshape(-1, 3), axis=0)) <= 4
    grey = photometric.grey_blend(colours, rng(), alpha=(1.0, 1.0))
    assert np.all(grey == grey[..., :1])
    turned = photometric.hue_saturation(np.array([[[255, 0, 0]]], np.uint8), rng(), amount=(0, 0))
    np.testing.assert_array_equal(turned, [[[255, 0, 0]]])
    np.testing.assert_allclose(photometric._black_body(6600), 1.0, atol=0.01)
    assert list(np.argsort(photometric._black_body(2000))) == [2, 1, 0], "candle light is red"


def test_views_are_checked():
    registry.check_view("view0", {"seqclr": {"low": 1, "high": 7}})
    with pytest.raises(InputError, match="view 'view0': seqclr has no 'hihg'; it takes low, high"):
        registry.check_view("view0", {"seqclr": {"hihg": 7}})
