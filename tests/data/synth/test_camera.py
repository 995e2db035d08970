"""Light, occlusion and camera of rendered words: each alone, at a known strength."""

import numpy as np
import pytest
from synth_testing import SHARES

from jstr.data.synth import camera as camera_module
from jstr.data.synth.camera import camera, light, occlude
from jstr.data.synth.style import Style

SEEDS = range(30)


def only(**values) -> Style:
    """Everything off but `values`."""
    return Style(**(dict.fromkeys(SHARES, 0.0) | values))


def flat(value=150.0, shape=(32, 90)):
    return np.full((3, *shape), value, np.float32)


def step(low=60.0, high=190.0):
    image = flat(low)
    image[:, :, 45:] = high
    return image


def lit(style, contrast=200.0, image=None, seed=0):
    image = flat() if image is None else image
    return image, light(np.random.default_rng(seed), image, contrast, style)


def taken(style, image, contrast=200.0, em=30.0, seed=0):
    return camera(np.random.default_rng(seed), image.copy(), contrast, em, style).astype(int)


def test_without_effects_nothing_changes():
    image, contrast = lit(only())
    assert contrast == 200 and (image == 150).all()
    image = np.random.default_rng(0).uniform(0, 255, (3, 32, 90)).astype(np.float32)
    np.testing.assert_array_equal(taken(only(), image), np.rint(image).transpose(1, 2, 0))


@pytest.mark.parametrize("contrast", [76.0, 110.0, 230.0])
def test_dim_light_lowers_the_contrast_that_it_returns_and_leaves_enough(contrast):
    for seed in SEEDS:
        image, left = lit(only(dim=1.0), contrast, seed=seed)
        np.testing.assert_allclose(image, 150 * left / contrast, rtol=1e-5)
        assert left >= 0.5 * 75 - 1e-6 and left <= max(0.7 * contrast, 37.6)
    assert lit(only(dim=1.0), 75.0)[1] == 75.0, "what is faint stays"


def test_uneven_light_shade_glare_and_cast():
    for seed in SEEDS:
        image, _ = lit(only(lit=1.0, light=(0.3, 0.3)), seed=seed)
        assert image.min() >= 150 * 0.69 and image.max() <= 150 * 1.31 and np.ptp(image) > 30
        assert abs(image.mean() - 150) < 5
        shaded, _ = lit(only(shaded=1.0), seed=seed)
        assert shaded.max() <= 150 and shaded.min() >= 150 * 0.49
        glare, _ = lit(only(glaring=1.0), seed=seed)
        assert glare.min() >= 150 and glare.max() <= 255
        cast, _ = lit(only(cast=1.0), seed=seed)
        assert len(np.unique(cast)) == 3 and cast.min() >= 150 * 0.86 and cast.max() <= 150 * 1.14
    assert any((lit(only(shaded=1.0), seed=s)[0] < 125).any() for s in SEEDS)
    assert any((lit(only(glaring=1.0), seed=s)[0] > 180).any() for s in SEEDS)


def test_occlusion_leaves_the_word_readable():
    shares = []
    for seed in range(200):
        image = flat()
        occlude(np.random.default_rng(seed), image, only())
        changed = np.abs(image - 150).max(axis=0) > 20
        shares.append(changed.mean())
    assert max(shares) < 0.35 and 0.01 < np.mean(shares) < 0.12 and np.mean(np.array(shares) > 0) > 0.6


def width_of_edge(image) -> int:
    """Columns between 10 % and 90 % of a step."""
    row = image[16, :, 0]
    low, high = row[5], row[-5]
    return int(((row > low + 0.1 * (high - low)) & (row < low + 0.9 * (high - low))).sum())


def test_blur_follows_the_size_of_the_letters():
    style = only(blurred=1.0, blur=(2.0, 2.0))
    widths = [width_of_edge(taken(style, step(), em=em)) for em in (6, 12, 24, 48)]
    assert widths[0] <= widths[1] < widths[2] == widths[3] == 4 and widths[0] <= 2
    assert width_of_edge(taken(only(defocused=1.0, defocus=(3.0, 3.0)), step())) in (4, 5)
    assert max(width_of_edge(taken(only(shaken=1.0), step(), seed=seed)) for seed in SEEDS) >= 3
    for effect in ("blurred", "defocused", "shaken"):
        assert np.abs(taken(only(**{effect: 1.0}), flat()) - 150).max() <= 1, "the mean stays"


def test_disc_is_round_and_has_its_radius():
    for radius in (3, 6, 9):
        kernel = camera_module._disc(radius)
        y, x = np.mgrid[: len(kernel), : len(kernel)] - len(kernel) // 2
        assert kernel.sum() == pytest.approx(1)
        assert np.sqrt(2 * (kernel * (x**2 + y**2)).sum()) == pytest.approx(radius / 4, abs=0.25)
        np.testing.assert_allclose(kernel, kernel.T, atol=1e-3)


def stripes():
    image = flat(60.0)
    image[:, :, ::2] = 190
    return image


def test_low_resolution_keeps_letters_large_enough():
    half = only(small=1.0, resolution=(0.5, 0.5))
    assert np.ptp(taken(half, stripes(), em=30)) < 60, "stripes of a pixel vanish"
    assert np.ptp(taken(half, stripes(), em=13)) == 130, "letters as small as `finest` stay"
    assert np.ptp(taken(half, stripes(), em=14)) > np.ptp(taken(half, stripes(), em=30))
    assert np.ptp(taken(half, stripes(), contrast=75)) == 130, "faint ones, too"
    both = only(small=1.0, resolution=(0.3, 0.3), shaken=1.0)
    only_shaken = only(shaken=1.0)
    for seed in range(5):  # a shaken image keeps its resolution
        np.testing.assert_array_equal(taken(both, stripes(), seed=seed), taken(only_shaken, stripes(), seed=seed))
    assert taken(half, flat()).shape == (32, 90, 3)


@pytest.mark.parametrize("contrast, expected", [(30.0, 5.0), (240.0, 12.0)])
def test_noise_is_bounded_by_the_contrast(contrast, expected):
    noisy = [taken(only(noisy=1.0, noise=(12.0, 12.0)), flat(), contrast, seed=seed) - 150 for seed in SEEDS]
    assert np.std(noisy) == pytest.approx(expected, rel=0.15) and abs(np.mean(noisy)) < 0.5
    a, b = (np.concatenate([n[..., c].ravel() for n in noisy]) for c in (0, 2))
    assert 0.3 < np.corrcoef(a, b)[0, 1] < 0.9, "partly the same in all colours"


def test_sharpening_makes_halos():
    edge = taken(only(sharpened=1.0, sharpening=(1.0, 1.0)), step())[16, :, 0]
    assert edge.min() < 45 and edge.max() > 205 and edge[5] == 60 and edge[-5] == 190


def test_compression_keeps_colours_and_depends_on_quality():
    red = np.zeros((3, 32, 96), np.float32)
    red[0] = 200
    out = taken(only(compressed=1.0, quality=(85, 85)), red)
    assert np.abs(out - [200, 0, 0]).max() < 12
    grey = np.random.default_rng(0).uniform(0, 255, (1, 32, 96)).astype(np.float32)
    noise = np.broadcast_to(grey, (3, 32, 96))
    wrong = [
        np.abs(taken(only(compressed=1.0, quality=(q, q)), noise) - noise.transpose(1, 2, 0)).mean() for q in (15, 85)
    ]
    assert wrong[0] > 1.5 * wrong[1]


def test_occlusion_is_as_dense_as_its_kind(monkeypatch):
    """A pole by 70 %, a leaf wholly, a scratch by 80 %, dirt by at most 55 %."""
    monkeypatch.setattr(camera_module, "colour", lambda *_: np.zeros((3, 1, 1), np.float32))
    left = {0.3: [], 0.6: [], 0.8: [], 1.0: []}  # by the end of the range of the draw that chooses the kind
    for seed in range(300):
        image = flat(100)
        occlude(np.random.default_rng(seed), image, only())
        end = next(end for end in left if np.random.default_rng(seed).random() < end)
        left[end].append(image.min() / 100)
        if end == 0.3:
            assert (image[0] < 90).sum(axis=1).max() <= 6, "a pole is narrow"
    for values, least in zip(left.values(), (0.3, 0.0, 0.2, 0.45), strict=True):
        assert min(values) == pytest.approx(least, abs=0.06) and min(values) >= least - 1e-3
