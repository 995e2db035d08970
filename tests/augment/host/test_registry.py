"""The operations that a config can name: pure, and those that say so keep words aligned from left to right."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ml_collections import ConfigDict
from views_testing import keeps_sequence

from jstr.augment.host import registry
from jstr.text.messages import InputError

few = settings(max_examples=12, derandomize=True, deadline=None)


@pytest.mark.parametrize("name", sorted(set(registry.OPS) - {"cr_strong", "abinet"}))
@given(seed=st.integers(0, 2**32), channels=st.sampled_from([1, 3]))
@few
def test_operations_marked_so_keep_the_sequence(name, seed, channels):
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


def test_views_are_checked():
    registry.check_view("view0", {"seqclr": {"low": 1, "high": 7}})
    with pytest.raises(InputError, match="view 'view0': seqclr has no hihg .did you mean high.*it takes low, high"):
        registry.check_view("view0", {"seqclr": {"hihg": 7}})


@pytest.mark.parametrize("name", sorted(registry.OPS))
@given(
    shape=st.one_of(
        st.tuples(st.integers(1, 12), st.integers(1, 12)),
        st.tuples(st.just(1), st.integers(1, 2000)),
        st.tuples(st.integers(1, 2000), st.just(1)),
        st.tuples(st.integers(2, 40), st.integers(500, 4000)),
    ),
    channels=st.sampled_from([1, 3]),
    seed=st.integers(0, 2**32),
)
@few
def test_operations_take_images_of_any_shape(name, shape, channels, seed):
    generator = np.random.default_rng(seed)
    image = generator.integers(0, 256, (*shape, channels), np.uint8)
    view = registry.apply_view(image, generator, {name: {}})
    assert view.dtype == np.uint8 and view.ndim == 3 and view.shape[-1] == channels and view.size


@pytest.mark.parametrize("shape", [(1, 70_000, 1), (70_000, 1, 3), (3, 40_000, 3)])
@pytest.mark.parametrize("name", ["affine", "perspective", "piecewise_affine", "elastic", "cr_strong", "abinet"])
def test_images_that_opencv_cannot_warp_are_made_smaller(name, shape):
    view = registry.apply_view(np.zeros(shape, np.uint8), np.random.default_rng(3), {name: {}})
    assert max(view.shape) <= 4 * registry.LONGEST and view.shape[-1] == shape[-1]


@pytest.mark.parametrize(
    "view, message",
    [
        ("blur", "view 'v'='blur': give each operation"),
        (dict(blur=None), "blur=None; give its parameters"),
        (dict(blur=1.0), "blur=1.0; give its parameters"),
        (dict(blur=dict(sigma="1")), "blur.sigma='1'; give a number"),
        (dict(blur=dict(sigma=float("nan"))), "blur.sigma=nan; give a number"),
        (dict(blur=dict(probability=1.5)), "blur.probability=1.5; give a number from 0 to 1"),
        (dict(gaussian_blur=dict(sigma=1.0)), "gaussian_blur.sigma=1.0; give .lowest, highest."),
        (dict(gaussian_blur=dict(sigma=(2, 1))), "gaussian_blur.sigma=.2, 1.; give .lowest, highest."),
        (dict(gaussian_blur=dict(sigma=(1, 2, 3))), "give .lowest, highest."),
        (dict(gaussian_blur=dict(sigma=(-3, -2))), "sigma=.*; give .lowest, highest., 0 or more"),
        (dict(sharpen=dict(alpha=(0, 2))), "sharpen.alpha=.0, 2.; give .lowest, highest. from 0 to 1"),
        (dict(seqclr=dict(low=3, high=2)), "seqclr does not run with"),
        (dict(seqclr=dict(low=1.5)), "seqclr.low=1.5; give a whole number"),
        (dict(cr_strong=dict(spatial=-1)), "cr_strong.spatial=-1; give a whole number, 0 or more"),
        (dict(cr_strong=dict(cutout=True)), "cr_strong.cutout=True; give a number"),
        (dict(motion_blur=dict(size=0)), "motion_blur does not run with"),
        (dict(abinet=dict(colour=2)), "abinet.colour=2; give a number from 0 to 1"),
    ],
)
def test_bad_views_are_one_clear_line(view, message):
    with pytest.raises(InputError, match=message) as error:
        registry.check_view("v", view)
    assert "\n" not in str(error.value)


def test_values_of_a_config_file_are_taken():
    view = ConfigDict(
        dict(gaussian_blur=dict(sigma=[1, 2]), affine=dict(rotate=5), cr_strong={}, abinet=dict(frozen=3))
    )
    registry.check_view("v", view)
    registry.check_view("v", {name: {} for name in registry.OPS})
    defaults = {name: op.__kwdefaults__ or {} for name, op in registry.OPS.items()}
    registry.check_view("v", defaults)


def test_bad_views():
    with pytest.raises(InputError, match="unknown operation 'blurr'; choose from affine"):
        registry.check_view("labelled.image", {"blurr": {}})
    with pytest.raises(InputError, match="blur has no sigmas .did you mean sigma"):
        registry.check_view("labelled.image", {"blur": {"sigmas": 1}})
