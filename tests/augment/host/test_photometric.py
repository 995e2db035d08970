"""Operations on colour and texture: their definitions."""

import cv2
import numpy as np
import pytest
from views_testing import flat, rng

from jstr.augment.host import photometric

COLOURS = np.random.default_rng(0).integers(0, 256, (20, 40, 3), np.uint8)


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


def changed(op, count=1000, image=COLOURS, **options) -> float:
    """How often an operation changes the image."""
    generator = rng()
    return float(np.mean([(op(image, generator, **options) != image).any() for _ in range(count)]))


def test_probabilities():
    assert abs(changed(photometric.invert) - 0.5) < 0.05
    assert abs(changed(photometric.channel_shuffle) - 0.35 * 5 / 6) < 0.05
    generator, apart = rng(), []
    for _ in range(300):
        kept = photometric.pixel_dropout(np.full((9, 9, 3), 5, np.uint8), generator, share=(0.5, 0.5)) > 0
        apart.append((kept != kept[..., :1]).any())
    assert abs(np.mean(apart) - 0.5) < 0.1, "channels are dropped together in half of the images"


def test_grey_blend():
    np.testing.assert_array_equal(photometric.grey_blend(COLOURS, rng(), alpha=(0.0, 0.0)), COLOURS)
    grey = np.array([0.299, 0.587, 0.114]) @ COLOURS[3, 5]
    half = photometric.grey_blend(COLOURS, rng(), alpha=(0.5, 0.5))[3, 5]
    np.testing.assert_allclose(half, (grey + COLOURS[3, 5].astype(float)) / 2, atol=1.1)


@pytest.mark.parametrize("amount", [-50, 25, 50])
def test_hue_and_saturation_are_added(amount):
    hsv = np.array([[[60, 120, 200]]], np.uint8)  # OpenCV's hue has 180 steps
    image = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)
    found = photometric.hue_saturation(image, rng(), amount=(amount, amount))
    hue, saturation, value = cv2.cvtColor(found, cv2.COLOR_RGB2HSV)[0, 0].tolist()
    assert abs(hue - (60 + amount * 180 / 255)) <= 1.5 and abs(saturation - (120 + amount)) <= 2 and value == 200


def test_equalisation_spreads_the_lightness():
    narrow = np.random.default_rng(0).integers(100, 120, (30, 30, 1), np.uint8)
    assert photometric.equalise(narrow, rng()).min() == 0 and photometric.equalise(narrow, rng()).max() == 255
    red = np.concatenate([narrow, narrow // 2, narrow // 2], axis=-1)
    before, after = (cv2.cvtColor(x, cv2.COLOR_RGB2LAB).astype(int) for x in (red, photometric.equalise(red, rng())))
    assert after[..., 0].std() > 5 * before[..., 0].std() and after[..., 1].mean() > 140, "still red"


def test_sizes_of_blurs():
    for size, window in ((2, 3), (3, 3), (4, 5), (7, 7)):
        expected = cv2.medianBlur(COLOURS, window)
        np.testing.assert_array_equal(photometric.median_blur(COLOURS, rng(), size=(size, size)), expected)
    dot, generator = np.zeros((21, 21, 1), np.uint8), rng()
    dot[10, 10] = 255
    areas = [(photometric.average_blur(dot, generator) > 0).sum() for _ in range(200)]
    assert set(areas) == {4, 9, 16, 25, 36}


def test_motion_blur_is_a_line_of_unit_sum_at_any_angle():
    dot, generator = np.zeros((21, 21, 1), np.uint8), rng()
    dot[10, 10] = 255
    spread = []
    for _ in range(100):
        assert np.all(photometric.motion_blur(flat(100), generator) == 100)
        y, x = np.nonzero(photometric.motion_blur(dot, generator).reshape(21, 21))
        assert np.abs(y - 10).max() <= 2 and np.abs(x - 10).max() <= 2
        spread.append(np.var(x) - np.var(y))
    assert min(spread) < -0.8 and max(spread) > 0.8


def test_emboss_keeps_flat_images_and_lights_edges_that_rise_to_the_lower_right():
    generator = rng()
    for _ in range(20):
        assert np.all(photometric.emboss(flat(100), generator) == 100)
    step = flat(80, (21, 41, 1))
    step[:, 20:] = 120
    for image in (step, step.transpose(1, 0, 2)):
        found = photometric.emboss(np.ascontiguousarray(image), rng(), alpha=(0.8, 0.8), strength=(1.0, 1.0))
        assert found.max() > 150 and found.min() >= 79
    np.testing.assert_array_equal(photometric.emboss(COLOURS, rng(), alpha=(0.0, 0.0)), COLOURS)


def test_impulses_are_mostly_black_or_white_and_factors_in_their_range():
    grey = flat(100, (100, 100, 3))
    noisy = photometric.impulse_noise(grey, rng(), share=0.5)
    values = noisy[noisy != 100]
    assert 0.4 < np.mean((values < 30) | (values > 225)) < 0.5 and abs(values.mean() - 127) < 4
    scaled = photometric.multiply_pixels(grey, rng())
    assert 50 <= scaled.min() < 52 and 148 < scaled.max() <= 150 and abs(scaled.mean() - 99.5) < 1
    assert (scaled == scaled[..., :1]).all()


def test_quantised_images_have_2_to_16_colours():
    blocks = np.random.default_rng(1).integers(0, 256, (12, 12, 3), np.uint8)
    found = [photometric.quantise(blocks, np.random.default_rng(seed)).reshape(-1, 3) for seed in range(80)]
    counts = {len(np.unique(image, axis=0)) for image in found}
    assert min(counts) == 2 and max(counts) == 16


def test_pipeline_has_one_operation_of_each_group_in_order(monkeypatch):
    """Invert; a change of colour; sharpen, or else a blur; a texture."""
    seen = []

    def spies(*names):
        return tuple(lambda image, rng, name=name: seen.append(name) or image for name in names)

    for group in ("COLOURS", "BLURS", "TEXTURES"):
        names = [f"{group} {i}" for i in range(len(getattr(photometric, group)))]
        monkeypatch.setattr(photometric, group, spies(*names))
    for name in ("invert", "sharpen"):
        monkeypatch.setattr(photometric, name, *spies(name))
    runs = []
    for seed in range(800):
        seen.clear()
        photometric.seqclr_severity1(flat(0), np.random.default_rng(seed))
        runs.append(list(seen))
    first, colours, blurs, textures = zip(*runs, strict=True)
    assert set(first) == {"invert"} and abs(blurs.count("sharpen") / 800 - 0.5) < 0.06
    for found, group, count in ((colours, "COLOURS", 9), (blurs, "BLURS", 4), (textures, "TEXTURES", 4)):
        assert {name for name in found if name != "sharpen"} == {f"{group} {i}" for i in range(count)}
