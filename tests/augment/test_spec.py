"""Published numbers of the operations, beside their source, and that host and device use them."""

import cv2
import jax
import numpy as np
import pytest
from testing import quick_jit
from views_testing import base_of, rng

from jstr.augment import spec
from jstr.augment.device import cr as device_cr
from jstr.augment.host import abinet, cr, photometric, registry, seqclr
from jstr.augment.spec import Channel, Seqclr, Spatial


def defaults(op) -> dict:
    return op.__kwdefaults__


def test_weak_view_of_cr():
    """`tools/dataset_train.py` of CR: ColorJitter(brightness=0.2, contrast=0.1, saturation=0.1, hue=0.05)."""
    published = dict(brightness=0.2, contrast=0.1, saturation=0.1, hue=0.05)
    assert defaults(cr.cr_weak) == defaults(device_cr.cr_weak) == published


def test_strong_view_of_cr():
    """`tools/rand_aug.py` of CR: two operations of each pool at probability 0.5; value = level * max / 10 + bias."""
    published = dict(spatial=2, channel=2, probability=0.5, cutout=0.0)
    assert defaults(cr.cr_strong) == defaults(device_cr.cr_strong) == published
    assert [op.name.lower() for op in Spatial] == ["shear_x", "shear_y", "shift_x", "shift_y", "rotate"]
    pool = ["autocontrast", "brightness", "saturation", "contrast", "equalise", "posterise", "solarise", "solarise_add"]
    assert [op.name.lower() for op in Channel] == pool
    assert (spec.SPATIAL_LEVELS, spec.CHANNEL_LEVELS, spec.SOLARISE_ADD_THRESHOLD) == (4, 9, 128)
    for level in range(1, 10):
        assert spec.move(level) == pytest.approx(level * 0.2 / 10 + 0.1)
        assert spec.rotation(level) == pytest.approx(level * 10 / 10 + 10)
        assert spec.factor(level) == pytest.approx(level * 1.8 / 10 + 0.1)
        assert spec.posterise_bits(level) == int(level * 4 / 10) + 4
        assert spec.solarise_threshold(level) == 256 - int(level * 256 / 10)
        assert spec.solarise_offset(level) == int(level * 110 / 10)


def test_cutout_of_fixmatch():
    """Sohn et al. 2020: a square of half the side, filled with grey."""
    assert (spec.CUTOUT_SIDE, spec.CUTOUT_GREY) == (0.5, 127)


def test_operations_of_seqclr():
    """Aberdam et al. 2021, appendix A: SomeOf((1, 5)) of these seven, by their names and ranges in imgaug."""
    names = "linear_contrast gaussian_blur vertical_crop horizontal_crop sharpen piecewise_affine perspective_inwards"
    assert [op.name.lower() for op in Seqclr] == [seqclr.PAPER[op].__name__ for op in Seqclr] == names.split()
    assert [defaults(seqclr.PAPER[op]) for op in Seqclr] == [
        dict(factor=(0.5, 1.0)),
        dict(sigma=(0.5, 1.5)),
        dict(amount=(0.0, 0.4)),
        dict(amount=(0.0, 0.02)),
        dict(alpha=(0.0, 0.5), lightness=(0.0, 0.5)),
        dict(scale=(0.02, 0.03), points=(2, 4)),
        dict(scale=(0.01, 0.02)),
    ]
    assert defaults(seqclr.seqclr) == dict(low=1, high=5)


def test_severities_of_semimtr():
    """`augmentation_pipelines.py` of SemiMTR: severity 2 has up to all operations and elastic for piecewise affine."""
    assert defaults(seqclr.seqclr_severity2) == dict(low=1, high=7)
    assert [op for op in Seqclr if seqclr.SEVERITY_2[op] is not seqclr.PAPER[op]] == [Seqclr.PIECEWISE_AFFINE]
    assert seqclr.SEVERITY_2[Seqclr.PIECEWISE_AFFINE] is seqclr.elastic
    assert defaults(seqclr.elastic) == dict(alpha=(0.0, 0.8), sigma=0.25)
    published = dict(
        invert=dict(probability=0.5),
        channel_shuffle=dict(probability=0.35),
        grey_blend=dict(alpha=(0.0, 1.0)),
        quantise=dict(colours=(2, 16), max_size=128),
        equalise=None,
        pixel_dropout=dict(share=(0.0, 0.2), per_channel=0.5),
        gamma=dict(gamma=(0.5, 2.0)),
        brightness=dict(factor=(0.5, 1.5)),
        hue_saturation=dict(amount=(-50, 50)),
        temperature=dict(kelvin=(1100.0, 10000.0)),
        gaussian_blur=dict(sigma=(0.5, 1.5)),
        average_blur=dict(size=(2, 6)),
        median_blur=dict(size=(3, 7)),
        motion_blur=dict(size=5),
        emboss=dict(alpha=(0.0, 1.0), strength=(0.5, 1.5)),
        gaussian_noise=dict(sigma=(0.0, 51.0)),
        impulse_noise=dict(share=0.1),
        multiply_pixels=dict(factor=(0.5, 1.5)),
    )
    assert {name: defaults(registry.OPS[name]) for name in published} == published
    groups = [[op.__name__ for op in group] for group in (photometric.COLOURS, photometric.BLURS, photometric.TEXTURES)]
    assert ["invert", *groups[0], *groups[1], *groups[2]] == list(published)


def test_parts_of_abinet():
    """`transforms.py` of ABINet: geometry 0.5, deterioration 0.25, colour jitter 0.25."""
    assert defaults(abinet.abinet) == dict(geometry=0.5, deterioration=0.25, colour=0.25, frozen=-1)


def weak_views(where: str, image: np.ndarray, **options) -> list[np.ndarray]:
    if where == "host":
        generator = rng()
        return [cr.cr_weak(image, generator, **options) for _ in range(300)]
    views = quick_jit(lambda base: device_cr.cr_weak(base, jax.random.PRNGKey(0), **options))(base_of([image] * 300))
    return list(np.asarray(views))


@pytest.mark.parametrize("where", ["host", "device"])
def test_hue_turns_by_at_most_its_range_and_by_nearly_all_of_it(where):
    red = np.full((32, 100, 3), (200, 40, 40), np.uint8)
    views = weak_views(where, red, brightness=0.0, contrast=0.0, saturation=0.0)
    hues = np.array([cv2.cvtColor(view, cv2.COLOR_RGB2HSV_FULL)[16, 50, 0] for view in views], int)
    turns, limit = (hues + 128) % 256 - 128, 0.05 * 255
    assert -limit - 1 <= turns.min() < -0.8 * limit and 0.8 * limit < turns.max() <= limit + 1


@pytest.mark.parametrize("where", ["host", "device"])
@pytest.mark.parametrize("name, limit", [("brightness", 0.2), ("contrast", 0.1), ("saturation", 0.1)])
def test_factors_reach_nearly_all_of_their_range(where, name, limit):
    """The distance of a value from what stays: black, the mean, grey."""
    image = np.full((32, 100, 3), (160, 60, 60), np.uint8)
    options = {n: limit if n == name else 0.0 for n in ("brightness", "contrast", "saturation", "hue")}
    grey = 0.299 * 160 + 0.587 * 60 + 0.114 * 60
    origin = dict(brightness=0.0, contrast=grey, saturation=grey)[name]
    red = np.array([view[16, 90, 0] for view in weak_views(where, image, **options)], float)
    factors, step = (red - origin) / (160 - origin), 1.5 / (160 - origin)  # step: of rounding
    assert 1 - limit - step <= factors.min() < 1 - 0.9 * limit + step
    assert 1 + 0.9 * limit - step < factors.max() <= 1 + limit + step
