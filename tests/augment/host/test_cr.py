"""cr_weak and cr_strong: each operation gives what Pillow gives, as in the published code, and as strongly."""

import cv2
import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps
from views_testing import Signed, keeps_sequence

from jstr.augment.host import cr
from jstr.augment.spec import Channel

SMOOTH = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (40, 120, 3), np.uint8), (0, 0), 3)
COLOUR = np.clip((SMOOTH.astype(int) - 110) * 6 + 100, 0, 255).astype(np.uint8)


def affine(picture, *matrix):
    return picture.transform(picture.size, Image.Transform.AFFINE, matrix)


def added(picture, value):
    return Image.fromarray(np.clip(np.asarray(picture).astype(int) + value, 0, 255).astype(np.uint8))


def expected(picture, level, sign):
    """Each operation of both stages, by Pillow, with the strengths of the published code."""
    w, h = picture.size
    shear, shift, factor = sign * (0.2 * level / 10 + 0.1), sign * (0.2 * level / 10 + 0.1), 1.8 * level / 10 + 0.1
    spatial = (
        affine(picture, 1, shear, 0, 0, 1, 0),
        affine(picture, 1, 0, 0, shear, 1, 0),
        affine(picture, 1, 0, int(shift * w), 0, 1, 0),
        affine(picture, 1, 0, 0, 0, 1, int(shift * h)),
        picture.rotate(-sign * (10 + level)),
    )
    channel = (
        ImageOps.autocontrast(picture),
        ImageEnhance.Brightness(picture).enhance(factor),
        ImageEnhance.Color(picture).enhance(factor),
        ImageEnhance.Contrast(picture).enhance(factor),
        ImageOps.equalize(picture),
        ImageOps.posterize(picture, int(4 * level / 10) + 4),
        ImageOps.solarize(picture, 256 - int(256 * level / 10)),
        ImageOps.solarize(added(picture, sign * int(110 * level / 10)), 128),
    )
    return spatial, channel


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("sign", [-1, 1])
def test_operations_equal_those_of_pillow(channels, sign):
    image = COLOUR if channels == 3 else COLOUR[..., :1].copy()
    picture = Image.fromarray(image if channels == 3 else image[..., 0])
    for level in range(1, 10):
        spatial, channel = expected(picture, level, sign)
        pairs = [*zip(cr.CHANNEL.values(), channel, strict=True)]
        pairs += [*zip(cr.SPATIAL.values(), spatial, strict=True)] if level < 5 else []
        for op, right in pairs:
            found, right = op(image, Signed(sign), level), np.asarray(right).reshape(image.shape)
            assert found.dtype == np.uint8 and found.shape == image.shape
            off = np.abs(found.astype(int) - right) > 1  # rounding of values
            assert off.mean() < 0.02, (op, level, off.mean())
        spatial = spatial[:4] if level < 5 else ()  # Pillow rounds the angles of a rotation
        whole = [*zip(cr.SPATIAL.values(), spatial, strict=False)]
        for op, right in whole + list(zip(cr.CHANNEL.values(), channel, strict=True))[Channel.EQUALISE :]:
            found = op(image, Signed(sign), level)  # in whole numbers
            np.testing.assert_array_equal(found, np.asarray(right).reshape(image.shape))


def test_weak_jitter_is_that_of_the_colours():
    for seed in range(20):
        out = cr.cr_weak(COLOUR, np.random.default_rng(seed))
        assert 0 < np.abs(out.astype(int) - COLOUR).mean() < 40
        grey = cr.cr_weak(COLOUR[..., :1], np.random.default_rng(seed))
        assert np.corrcoef(grey.ravel(), COLOUR[..., 0].ravel())[0, 1] > 0.95
    still = dict(brightness=0.0, contrast=0.0, saturation=0.0, hue=0.0)
    near = cr.cr_weak(COLOUR, np.random.default_rng(0), **still).astype(int) - COLOUR
    assert np.abs(near).mean() < 1
    hsv = cv2.cvtColor(cr._hue(COLOUR, 0.25), cv2.COLOR_RGB2HSV_FULL)[..., 0].astype(int)
    turned = (hsv - cv2.cvtColor(COLOUR, cv2.COLOR_RGB2HSV_FULL)[..., 0]) % 256
    assert abs(np.median(turned) - 63) <= 2


def test_strong_draws_two_of_each_stage_at_even_odds(monkeypatch):
    """With replacement, levels 1 to 4 and 1 to 9, each applied with probability 0.5: a quarter see no move."""
    seen = []
    for stage in ("SPATIAL", "CHANNEL"):
        count = len(getattr(cr, stage))
        fakes = [lambda image, rng, level, s=stage, i=i: seen.append((s, i, level)) or image for i in range(count)]
        monkeypatch.setattr(cr, stage, dict(enumerate(fakes)))
    runs = []
    for seed in range(3000):
        seen.clear()
        cr.cr_strong(COLOUR, np.random.default_rng(seed))
        runs.append(list(seen))
    for stage, count, top in (("SPATIAL", 5, 4), ("CHANNEL", 8, 9)):
        drawn = [[s for s in run if s[0] == stage] for run in runs]
        assert 0.22 < np.mean([not d for d in drawn]) < 0.28 and max(map(len, drawn)) == 2
        flat = [s for d in drawn for s in d]
        assert np.bincount([i for _, i, _ in flat]).min() > 0.8 * len(flat) / count
        assert np.bincount([level for *_, level in flat])[1:].min() > 0.8 * len(flat) / top
        assert {level for *_, level in flat} == set(range(1, top + 1))
    assert all([s for s, *_ in run] == sorted([s for s, *_ in run], reverse=True) for run in runs), "spatial first"


def test_strong_views_move_words_and_without_the_spatial_stage_do_not():
    moved = [not keeps_sequence(cr.cr_strong, seed) for seed in range(60)]
    assert any(moved)
    flat = np.full((20, 40, 1), 9, np.uint8)
    flat[5:9, 10:20] = 200
    for seed in range(30):
        out = cr.cr_strong(flat, np.random.default_rng(seed), spatial=0)
        assert len(np.unique(out[flat == 9])) == len(np.unique(out[flat == 200])) == 1


def test_cutout_covers_a_grey_square():
    black = np.zeros((32, 120, 1), np.uint8)
    covered = []
    for seed in range(300):
        out = cr.cr_strong(black, np.random.default_rng(seed), spatial=0, channel=0, cutout=0.5)[..., 0]
        assert set(np.unique(out)) <= {0, 127}
        rows, columns = (out == 127).any(axis=1), (out == 127).any(axis=0)
        assert rows.sum() <= 17 and columns.sum() <= 17 and (out == 127).sum() == rows.sum() * columns.sum()
        covered.append(out == 127)
    assert 0.4 < np.mean([c.any() for c in covered]) < 0.6
    assert np.mean(covered, axis=0).max() < 0.2, "anywhere"


def test_signs_are_even():
    rng = np.random.default_rng(0)
    assert abs(np.mean([cr._sign(rng) for _ in range(4000)])) < 0.05


def test_weak_jitter_comes_in_any_order():
    """Brightness that saturates, then contrast, is not contrast, then brightness."""
    image = np.array([[[250], [200], [10], [60]]], np.uint8)
    options = dict(brightness=0.5, contrast=0.5, saturation=0.0, hue=0.0)
    seen = set()
    for seed in range(60):
        factors = 1 + np.random.default_rng(seed).uniform(-1, 1, 3) * (0.5, 0.5, 0.0)
        both = [cr._contrast(cr._brightness(image, factors[0]), factors[1])]
        both += [cr._brightness(cr._contrast(image, factors[1]), factors[0])]
        found = cr.cr_weak(image, np.random.default_rng(seed), **options)
        assert any(np.array_equal(found, x) for x in both)
        if not np.array_equal(*both):
            seen.add(np.array_equal(found, both[0]))
    assert seen == {True, False}


@pytest.mark.parametrize("probability", [0.0, 0.2, 1.0])
def test_drawn_operations_are_applied_with_their_probability(monkeypatch, probability):
    applied = []
    for pool in (cr.SPATIAL, cr.CHANNEL):
        for op in pool:
            monkeypatch.setitem(pool, op, lambda image, rng, level: applied.append(level) or image)
    for seed in range(500):
        cr.cr_strong(COLOUR, np.random.default_rng(seed), spatial=3, channel=1, probability=probability)
    assert abs(len(applied) / 2000 - probability) < 0.04
