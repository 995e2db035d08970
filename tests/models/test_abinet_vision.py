"""The scale of ABINet's input, and its vision over features of four-stage recognisers; see test_abinet.py, too."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from testing import quick_jit

from jstr.core import ModelConfig
from jstr.models import abinet, abinet_vision, four_stage
from jstr.models.abinet_vision import imagenet
from jstr.nn.features import EXTRACTORS, num_frames
from jstr.nn.images import normalise
from jstr.text import LAYOUTS
from jstr.text.messages import InputError

SMALL = ModelConfig((32, 64), 1, 5, 7, **vars(LAYOUTS["abinet"]))
TINY = dict(width=1 / 32, num_layers=1)
READER = ModelConfig((32, 64), 1, 5, 7, **vars(LAYOUTS["cr_ctc"]))


@pytest.mark.parametrize("colour", [(0, 0, 0), (255, 128, 0), (12, 200, 255), (90, 90, 90)])
def test_input_is_scaled_as_for_imagenet(colour):
    """(value / 255 - mean) / deviation, for red, green and blue: torchvision's numbers, which SemiMTR's code uses."""
    image = np.full((1, 4, 5, 3), colour, np.uint8)
    red, green, blue = (np.array(colour) / 255).tolist()
    expected = (red - 0.485) / 0.229, (green - 0.456) / 0.224, (blue - 0.406) / 0.225
    np.testing.assert_allclose(imagenet(normalise(image))[0, 2, 3], expected, atol=1e-5)


def test_grey_input_is_scaled_by_the_mean_colour():
    found = imagenet(normalise(np.full((1, 2, 2, 1), 51, np.uint8)))
    np.testing.assert_allclose(found, np.full((1, 2, 2, 1), (0.2 - 1.347 / 3) / (0.678 / 3)), atol=1e-5)


def filled(model, images):
    """Positive random variables, so that variances are some."""
    shapes = jax.eval_shape(lambda: model.init(jax.random.key(0), images, train=False))
    rng = np.random.default_rng(0)
    return jax.tree.map(lambda shape: rng.uniform(0.02, 0.1, shape.shape).astype(np.float32), shapes)


@pytest.mark.parametrize("features", EXTRACTORS)
def test_shapes(features):
    model = abinet.Model(SMALL, **TINY, language_layers=1, features=features, feature_channels=64)
    images = jnp.zeros((2, 32, 64, 1))
    outputs = jax.eval_shape(lambda: model.init_with_output(jax.random.key(0), images, train=False)[0])
    frames = num_frames(features, 64)
    assert outputs["visual"].shape == (2, 1, frames, 16) and outputs["attention"].shape == (2, 6, 1, frames)
    assert outputs["heads"]["fusion"].shape == (2, 6, 7)


def test_the_features_are_those_of_the_four_stage_recogniser():
    """With its weights, the columns that are projected are what it reads from."""
    reader = four_stage.Model(READER, features="compact", output_channels=64, hidden_size=16)
    model = abinet_vision.Model(SMALL, **TINY, features="compact", feature_channels=64)
    images = jax.random.randint(jax.random.key(0), (2, 32, 64, 1), 0, 256, jnp.uint8)
    variables, own = (dict(filled(one, images)) for one in (reader, model))
    for collection in ("params", "batch_stats"):
        own[collection]["backbone"]["extractor"] = variables[collection]["extractor"]
    visual = quick_jit(lambda v: reader.apply(v, images, train=False)["visual"])(variables)
    apply = quick_jit(lambda v: model.apply(v, images, train=False, capture_intermediates=True))
    kept = apply(own)[1]["intermediates"]["backbone"]
    (columns,) = kept["extractor"]["__call__"]
    np.testing.assert_allclose(columns[:, 0], visual, rtol=1e-5)
    (projected,) = kept["project"]["__call__"]
    weights = own["params"]["backbone"]["project"]
    np.testing.assert_allclose(projected[:, 0], visual @ weights["kernel"] + weights["bias"], rtol=1e-5)


@pytest.mark.parametrize(
    "fields, size, message",
    [
        (dict(features="none"), (32, 64), "features='none'"),
        (dict(features="compact"), (16, 64), "images of 16x64 are too small for features='compact'"),
        (dict(), (33, 64), "images of 33x64 do not fit"),
    ],
)
def test_what_does_not_fit(fields, size, message):
    with pytest.raises(InputError, match=message):
        abinet_vision.Model(replace(SMALL, image_size=size), **TINY, **fields)


def test_odd_sizes_are_those_of_the_features():
    model = abinet_vision.Model(replace(SMALL, image_size=(33, 50)), **TINY, features="compact", feature_channels=32)
    outputs = jax.eval_shape(
        lambda: model.init_with_output(jax.random.key(0), jnp.zeros((1, 33, 50, 1)), train=False)[0]
    )
    assert outputs["attention"].shape == (1, 6, 1, 12)
