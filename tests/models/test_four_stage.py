"""Four-stage recognisers: published sizes, and what must hold for every combination."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from testing import quick_jit
from torch_layout import count

from jstr.core import ModelConfig
from jstr.models.four_stage import Model
from jstr.text.messages import InputError

ATTENTION = ModelConfig((32, 100), 1, 25, 38, first_id=2, pad_id=0, bos_id=0, eos_id=1)
CTC = ModelConfig((32, 100), 1, 25, 37, first_id=1, pad_id=0)
CR = ModelConfig((32, 100), 3, 25, 99, first_id=5, pad_id=0, bos_id=2, eos_id=3)
PUBLISHED = ("vgg", "rcnn", "resnet")
COMBINATIONS = list(itertools.product(("none", "tps"), PUBLISHED, ("none", "bilstm"), ("ctc", "attention")))
OURS = [
    ("none", "compact", "bilstm", "ctc"),
    ("tps", "compact", "none", "attention"),
    ("none", "compact_deeper", "bilstm", "ctc"),
]
TINY = {"width": 1 / 32}


def build(config, transformation, extractor, sequence, prediction, **fields):
    return Model(config, transformation, extractor, sequence, prediction, **fields)


def shapes_of(model):
    images = jnp.zeros((1, *model.model_config.image_size, model.model_config.channels))
    return jax.eval_shape(lambda: model.init(jax.random.key(0), images, train=False))


# Sizes of the published models, by the torch convention of two bias vectors for every LSTM.
REST = {
    ("ctc", "none"): 18_981,
    ("ctc", "bilstm"): 9_509,
    ("attention", "none"): 1_034_278,
    ("attention", "bilstm"): 706_598,
}
EXTRACTORS = {
    1: {"vgg": 5_549_824, "rcnn": 1_859_968, "resnet": 44_263_904},
    3: {"vgg": 5_550_976, "rcnn": 1_861_120, "resnet": 44_264_480},
}
LOCALIZATION = {1: 1_692_392, 3: 1_693_544}


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("combination", COMBINATIONS, ids="-".join)
def test_parameter_counts(combination, channels):
    transformation, extractor, sequence, prediction = combination
    config = ATTENTION if prediction == "attention" else CTC
    config = ModelConfig(**{**vars(config), "channels": channels})
    params = shapes_of(build(config, *combination, token_embedding="one_hot"))["params"]
    second_biases = 4096 * (sequence == "bilstm") + 1024 * (prediction == "attention")
    expected = EXTRACTORS[channels][extractor] + REST[prediction, sequence]
    expected += 2_892_288 * (sequence == "bilstm") + LOCALIZATION[channels] * (transformation == "tps")
    assert count(params) + second_biases == expected
    assert second_biases == 0 or count(params) < expected


@pytest.mark.parametrize(
    "transformation, projection, total",
    [
        ("tps", "none", 49_821_163),
        ("tps", "mlp", 49_854_379),
        ("tps", "linear", 49_886_955),
        ("none", "mlp", 48_160_835),
    ],
)
def test_parameter_counts_with_embedding(transformation, projection, total):
    params = shapes_of(build(CR, transformation, "resnet", "bilstm", "attention", projection=projection))["params"]
    assert count(params) + 4096 + 1024 == total


def test_published_totals():
    assert count(shapes_of(build(CTC, "none", "vgg", "bilstm", "ctc"))["params"]) + 4096 == 8_451_621
    trba = build(ATTENTION, "tps", "resnet", "bilstm", "attention", token_embedding="one_hot")
    assert count(shapes_of(trba)["params"]) + 4096 + 1024 == 49_555_182


# Values of the published code, filled by rule, in float64.


REPRESENTATIVE = [
    ("tps", "vgg", "none", "ctc"),
    ("none", "resnet", "bilstm", "attention"),
    ("none", "compact", "bilstm", "ctc"),
]


@pytest.mark.parametrize("combination", REPRESENTATIVE, ids="-".join)
def test_shapes_and_gradients(combination):
    """What a recogniser promises: its outputs' shapes, a reading, and a gradient for every parameter."""
    attention = combination[3] == "attention"
    config = ATTENTION if attention else CTC
    model = build(config, *combination, **TINY)
    images = jnp.asarray(np.random.default_rng(0).uniform(-1, 1, (2, 32, 100, 1)), jnp.float32)
    tokens = jnp.full((2, 27), 5, jnp.int32) if attention else None
    variables = quick_jit(lambda: model.init(jax.random.key(0), images, tokens, train=False))()
    # The localisation network starts at zero, where no gradient passes: a little further on, it does.
    variables = {**variables, "params": jax.tree.map(lambda p: p + 0.01, variables["params"])}

    def loss(params):
        out, _ = model.apply({**variables, "params": params}, images, tokens, train=True, mutable=["batch_stats"])
        return (out["logits"] ** 2).sum(), out

    gradient, out = jax.jit(jax.grad(loss, has_aux=True))(variables["params"])
    dead = [jax.tree_util.keystr(path) for path, g in jax.tree_util.tree_leaves_with_path(gradient) if not g.any()]
    assert not dead
    steps = 26 if attention else model.num_frames
    assert out["logits"].shape == (2, steps, config.num_classes)
    assert out["visual"].shape[:2] == out["frames"].shape[:2] == (2, model.num_frames)
    read = jax.jit(lambda v: model.apply(v, images, method="decode"))(variables)
    assert read.ids.shape == read.scores.shape == (2, steps)
    assert ((read.scores >= 0) & (read.scores <= 1)).all()


@pytest.mark.parametrize("features, size", [("compact", 1_643_109), ("compact_deeper", 2_031_077)])
def test_size_of_the_compact_extractors(features, size):
    model = build(CTC, "none", features, "bilstm", "ctc", width=0.5)
    assert count(shapes_of(model)["params"]) == size


@pytest.mark.parametrize("prediction", ["ctc", "attention"])
def test_dropout_on_the_frames_in_training(prediction):
    """A share of the frames' values is 0 in training, others are scaled, and each key drops others."""
    images = jnp.asarray(np.random.default_rng(0).integers(0, 256, (2, 32, 100, 1)), jnp.uint8)
    model_config = CTC if prediction == "ctc" else ATTENTION
    models = [build(model_config, "none", "compact", "none", prediction, **TINY, dropout=rate) for rate in (0.0, 0.4)]
    variables = quick_jit(lambda: models[0].init(jax.random.key(0), images, train=False))()

    def frames(model, key, train=True):
        options = dict(train=train, rngs={"dropout": jax.random.key(key)})
        outputs = model.apply(variables, images, **options, mutable=["batch_stats"])[0]
        return np.asarray(outputs["frames"]), np.asarray(outputs["logits"])

    whole, logits = frames(models[0], 1)
    dropped, others = frames(models[1], 1), frames(models[1], 2)
    share = ((dropped[0] == 0) & (whole != 0)).sum() / (whole != 0).sum()
    assert 0.3 < share < 0.5
    stay = dropped[0] != 0
    np.testing.assert_allclose(dropped[0][stay], whole[stay] / 0.6, rtol=1e-5)
    assert (dropped[0] != others[0]).any() and (dropped[1] != logits).any() and (dropped[1] != others[1]).any()
    for got, expected in zip(frames(models[1], 1, train=False), frames(models[0], 1, train=False), strict=True):
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize(
    "features, width", [("vgg", 8), ("rcnn", 4), ("resnet", 4), ("compact", 4), ("compact_deeper", 4)]
)
@pytest.mark.parametrize("prediction", ["ctc", "attention"])
def test_the_smallest_images(features, width, prediction):
    """One frame, or two where columns are padded; one column less is refused."""
    size, facts = (32, width), vars(CTC if prediction == "ctc" else ATTENTION)
    model = build(ModelConfig(**facts | dict(image_size=size)), "none", features, "bilstm", prediction, **TINY)
    assert model.num_frames == (2 if features in ("rcnn", "resnet") else 1)
    images = jnp.asarray(np.random.default_rng(0).uniform(-1, 1, (2, *size, 1)), jnp.float32)
    variables = jax.eval_shape(lambda: model.init(jax.random.key(0), images, train=False))
    outputs = jax.eval_shape(lambda v: model.apply(v, images, train=False), variables)
    assert outputs["frames"].shape[1] == model.num_frames
    with pytest.raises(InputError, match=f"images of 32x{width - 1} are too small"):
        build(ModelConfig(**facts | dict(image_size=(32, width - 1))), "none", features, "bilstm", prediction, **TINY)


@pytest.mark.parametrize(
    ("field", "message"),
    [
        (dict(dropout=1.0), "dropout must be at least 0 and less than 1, not 1.0"),
        (dict(dropout=-0.1), "dropout must be"),
        (dict(hidden_size=0), "hidden_size=0 must be at least 1"),
        (dict(output_channels=-4), "output_channels=-4 must be at least 1"),
    ],
)
def test_sizes_that_no_network_has(field, message):
    with pytest.raises(InputError, match=message):
        Model(CTC, **field)
