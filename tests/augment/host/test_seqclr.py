"""SeqCLR's operations: their definitions, and how many of them a view has."""

import numpy as np
import pytest
from views_testing import Played, flat, rng

from jstr.augment.host import seqclr
from jstr.augment.spec import Seqclr


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


def test_linear_contrast_turns_about_127():
    for value, expected in ((255, 191), (127, 127), (1, 64)):
        assert np.all(seqclr.linear_contrast(flat(value), rng(), factor=(0.5, 0.5)) == expected)


def test_blur_reaches_two_pixels():
    image = flat(0, (15, 15, 1))
    image[7, 7] = 255
    blurred = seqclr.gaussian_blur(image, rng(), sigma=(1.5, 1.5)).reshape(15, 15)
    assert (blurred[5:10, 5:10] > 0).all() and blurred.astype(int).sum() == blurred[5:10, 5:10].astype(int).sum()
    weights = blurred[7, 5:10] / blurred[7, 7]
    np.testing.assert_allclose(weights, np.exp(-0.5 * (np.arange(-2, 3) / 1.5) ** 2), atol=0.05)


def test_crops_cut_the_first_fraction_off_the_top_and_the_left():
    ramp = np.repeat(np.arange(100, dtype=np.uint8)[:, None], 30, axis=1)[..., None]
    cut = seqclr.vertical_crop(ramp, Played([0.3, 0.1])).reshape(100, 30)
    assert abs(int(cut[0].mean()) - 30) <= 1 and abs(int(cut[-1].mean()) - 89) <= 1
    cut = seqclr.horizontal_crop(ramp.transpose(1, 0, 2), Played([0.3, 0.1])).reshape(30, 100)
    assert abs(int(cut[:, 0].mean()) - 30) <= 1 and abs(int(cut[:, -1].mean()) - 89) <= 1


def test_sharpening_is_the_blend_with_the_edge_filter():
    image = np.random.default_rng(0).integers(60, 190, (9, 9, 1), np.uint8)
    alpha, lightness = 0.3, 0.4
    edges = np.array([[-1, -1, -1], [-1, 8 + lightness, -1], [-1, -1, -1]])
    found = seqclr.sharpen(image, rng(), alpha=(alpha, alpha), lightness=(lightness, lightness)).reshape(9, 9)
    for y, x in ((4, 4), (2, 6), (7, 1)):
        window = image[y - 1 : y + 2, x - 1 : x + 2, 0]
        expected = (1 - alpha) * image[y, x, 0] + alpha * (edges * window).sum()
        assert abs(int(found[y, x]) - np.clip(expected, 0, 255)) <= 1


def test_piecewise_affine_moves_points_both_ways_along_both_axes():
    """Ramps over x and over y: where each pixel comes from."""
    shifts = {"x": [], "y": []}
    ramp = np.repeat(np.arange(0, 240, dtype=np.uint8)[None], 240, axis=0)[..., None]
    for seed in range(30):
        for axis, image in (("x", ramp), ("y", ramp.transpose(1, 0, 2))):
            out = seqclr.piecewise_affine(np.ascontiguousarray(image), np.random.default_rng(seed)).astype(int)
            shifts[axis].append((out.reshape(240, 240) - image[..., 0])[40:200, 40:200])
    for found in shifts.values():
        deviation = np.std(found) / 240
        assert 0.008 < deviation < 0.03 and abs(np.mean(found)) / 240 < 0.4 * deviation
    assert abs(np.corrcoef(np.ravel(shifts["x"]), np.ravel(shifts["y"]))[0, 1]) < 0.4, "separate draws"


def test_piecewise_affine_repeats_the_edge_and_elastic_does_not():
    bright = flat(200, (40, 90, 1))
    for seed in range(10):
        assert (seqclr.piecewise_affine(bright, np.random.default_rng(seed)) == 200).all()
    assert min(seqclr.elastic(bright, np.random.default_rng(seed)).min() for seed in range(10)) < 180


def test_severity_2_has_elastic_for_piecewise_affine(monkeypatch):
    seen = set()
    for op in Seqclr:
        monkeypatch.setitem(seqclr.PAPER, op, lambda image, rng, op=op: seen.add(op.name) or image)
        monkeypatch.setitem(seqclr.SEVERITY_2, op, lambda image, rng, op=op: seen.add(f"severity 2 {op.name}") or image)
    for seed in range(50):
        seqclr.seqclr(flat(0), np.random.default_rng(seed))
    assert seen == {op.name for op in Seqclr}
    seen.clear()
    for seed in range(50):
        seqclr.seqclr_severity2(flat(0), np.random.default_rng(seed))
    assert seen == {f"severity 2 {op.name}" for op in Seqclr}


def test_grids_have_2_to_4_rows_and_columns():
    shapes = set()

    class Spy(np.random.Generator):
        def normal(self, loc, scale, size):
            shapes.add(size[1:])
            return super().normal(loc, scale, size)

    generator = Spy(np.random.PCG64(0))
    for _ in range(150):
        seqclr.piecewise_affine(flat(0, (9, 9, 1)), generator)
    assert shapes == {(rows, columns) for rows in (2, 3, 4) for columns in (2, 3, 4)}
