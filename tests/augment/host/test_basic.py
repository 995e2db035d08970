"""General operations: what they move, cut and keep."""

import numpy as np
import pytest

from jstr.augment.host import basic


def test_shear_is_horizontal():
    """Rows that are the same all along stay where they are; columns lean."""
    rows = np.full((40, 80, 1), 255, np.uint8)
    rows[15:22] = 0
    columns = np.full((40, 80, 1), 255, np.uint8)
    columns[:, 38:42] = 0
    only = dict(rotate=0.0, scale=0.0, shift=0.0, shear=0.4)
    for seed in range(5):
        sheared = [basic.affine(image, np.random.default_rng(seed), **only) for image in (rows, columns)]
        np.testing.assert_array_equal(sheared[0].reshape(40, 80, 1), rows)
        assert np.any(sheared[1][2] != sheared[1][-3])


def test_each_side_is_cut_by_itself():
    """By up to a tenth of the height."""
    image = np.stack(np.mgrid[:100, :200], axis=-1).astype(np.uint8)
    cuts = []
    for seed in range(8):
        found = basic.crop(image, np.random.default_rng(seed), amount=0.1)
        (top, left), (bottom, right) = found[0, 0], found[-1, -1]
        assert found.shape == (bottom - top + 1, right - left + 1, 2)
        cuts.append((top, 99 - bottom, left, 199 - right))
    cuts = np.array(cuts, int)
    assert cuts.min() >= 0 and 5 < cuts.max() < 10
    assert np.any(cuts[:, 0] != cuts[:, 1]) and np.any(cuts[:, 2] != cuts[:, 3])


def test_contrast_keeps_the_mean_and_brightness_moves_it():
    image = np.tile(np.array([60, 80], np.uint8), (20, 20))[..., None]
    means, spreads = [], []
    for seed in range(8):
        found = basic.contrast(image, np.random.default_rng(seed), contrast=0.4, brightness=0.0)
        means.append(found.mean())
        spreads.append(np.ptp(found))
    assert means == pytest.approx([70] * 8, abs=1) and min(spreads) < 17 < 23 < max(spreads) <= 29
    moved = [basic.contrast(image, np.random.default_rng(i), contrast=0.0, brightness=0.2).mean() for i in range(8)]
    assert 19 <= min(moved) < 60 < 80 < max(moved) <= 121
