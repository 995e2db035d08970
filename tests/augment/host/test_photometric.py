"""Operations on colour and texture: their definitions."""

import numpy as np
from views_testing import flat, rng

from jstr.augment.host import photometric


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
