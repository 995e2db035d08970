"""SeqCLR's operations: their definitions, and how many of them a view has."""

import numpy as np
import pytest
from views_testing import flat, rng

from jstr.augment.host import seqclr


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
def test_every_number_of_operations_is_as_likely_without_repetition(low, high):
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
