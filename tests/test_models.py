"""Four-stage recognisers: published sizes and values, and what must hold for all 24 combinations."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch_layout
from testing import quick_jit

from jstr.core import ModelConfig
from jstr.interop import torch_four_stage
from jstr.models.four_stage import Model
from jstr.nn import attention_decoder, features, rnn, tps

ATTENTION = ModelConfig((32, 100), 1, 25, 38, first_id=2, pad_id=0, bos_id=0, eos_id=1)
CTC = ModelConfig((32, 100), 1, 25, 37, first_id=1, pad_id=0)
CR = ModelConfig((32, 100), 3, 25, 99, first_id=5, pad_id=0, bos_id=2, eos_id=3)
PUBLISHED = ("vgg", "rcnn", "resnet")
COMBINATIONS = list(itertools.product(("none", "tps"), PUBLISHED, ("none", "bilstm"), ("ctc", "attention")))
OURS = [("none", "compact", "bilstm", "ctc"), ("tps", "compact", "none", "attention")]
TINY = {"width": 1 / 32}


def build(config, transformation, extractor, sequence, prediction, **fields):
    return Model(config, transformation, extractor, sequence, prediction, **fields)


def shapes_of(model):
    images = jnp.zeros((1, *model.model_config.image_size, model.model_config.channels))
    return jax.eval_shape(lambda: model.init(jax.random.key(0), images, train=False))


def count(tree):
    return sum(x.size for x in jax.tree.leaves(tree))


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


@pytest.fixture
def double():
    with jax.enable_x64(True):
        yield


def converted(*combination, format="dtrb", **kwargs):
    return torch_four_stage.convert(torch_layout.state(*combination, **kwargs), format=format, dtype=np.float64)


def check(values, mean, std, first, last, rtol=0.0, atol=2e-6):
    values = np.asarray(values)
    np.testing.assert_allclose([values.mean(), values.std()], [mean, std], rtol=rtol, atol=atol)
    np.testing.assert_allclose(values.reshape(-1)[:3], first, rtol=rtol, atol=atol)
    np.testing.assert_allclose(values.reshape(-1)[-1], last, rtol=rtol, atol=atol)


@pytest.mark.parametrize(
    "extractor, frames, expected",
    [
        ("vgg", 24, (9.896860, 12.287768, [0, 0, 0], 0)),
        ("rcnn", 26, (9636.778169, 14582.931108, [6049.553372, 0, 9572.828783], 0)),
        ("resnet", 26, (333123.790295, 427398.911370, [275650.708275, 0, 0], 0)),
    ],
)
def test_extractor_values(double, extractor, frames, expected):
    result = converted("none", extractor, "none", "ctc", classes=37)
    variables = {"params": result.params["extractor"], "batch_stats": result.batch_stats["extractor"]}
    module = features.EXTRACTORS[extractor](512)
    out = module.apply(variables, torch_layout.signal(1, 32, 100, 1), train=False)
    assert out.shape == (1, 1, frames, 512)
    check(np.asarray(out).transpose(0, 3, 1, 2), *expected, rtol=1e-5)


def test_bilstm_values(double):
    params = converted("none", "vgg", "bilstm", "ctc", classes=37).params["sequence_0"]
    out = rnn.BiLSTMBlock(256).apply({"params": params}, torch_layout.signal(1, 26, 512))
    assert out.shape == (1, 26, 256)
    check(out, -0.000017, 0.007093, [0.010372, 0.005882, -0.003608], -0.008615)


def tokens_of(*rows):
    out = np.zeros((len(rows), 26), np.int32)
    for i, row in enumerate(rows):
        out[i, : len(row)] = row
    return out


def test_decoder_values(double):
    params = converted("none", "vgg", "bilstm", "attention").params["decoder"]
    decoder = attention_decoder.AttentionDecoder(38, 256, 26, bos_id=0, embedding_size=0)
    frames = torch_layout.signal(2, 26, 256)
    forced = decoder.apply({"params": params}, frames, tokens_of([0, 12, 5, 30], [0, 7, 37]))["logits"]
    assert forced.shape == (2, 26, 38)
    check(forced, 0.000002, 0.008266, [0.009811, 0.006017, -0.005190], 0.000846)
    greedy = decoder.apply({"params": params}, frames)["logits"]
    check(greedy, 0.000119, 0.007665, [0.009811, 0.006017, -0.005190], 0.010252)
    np.testing.assert_array_equal(greedy.argmax(-1)[:, :8], [[13, 13, 19, 13, 32, 6, 6, 6]] * 2)


def test_decoder_values_with_projection(double):
    result = converted("none", "vgg", "bilstm", "attention", format="cr", classes=99, embedding=256, projection="mlp")
    variables = {"params": result.params["decoder"]}
    decoder = attention_decoder.AttentionDecoder(99, 256, 26, bos_id=2, embedding_size=256, projection="mlp")
    frames, tokens = torch_layout.signal(2, 26, 256), tokens_of([2, 40, 5, 30, 3], [2, 7, 98, 3])
    plain, projected = (decoder.apply(variables, frames, tokens, project=p) for p in (False, True))
    check(plain["logits"], -0.000220, 0.021851, [0.009057, 0.006974, -0.006334], -0.040081)
    check(plain["glimpses"], 0.004752, 0.027725, [0.021466, 0.021788, 0.022107], 0.020914)
    check(projected["logits"], -0.000732, 0.065943, [-0.083576, 0.092650, -0.083626], -0.072907)
    np.testing.assert_array_equal(plain["glimpses"], projected["glimpses"])
    np.testing.assert_allclose(plain["attention"].sum(-1), 1.0)
    greedy = decoder.apply(variables, frames)["logits"]
    check(greedy, 0.000036, 0.014287, [0.009057, 0.006974, -0.006334], -0.004227)
    np.testing.assert_array_equal(greedy[0].argmax(-1)[:6], [82, 88, 69, 88, 44, 88])


def test_decoder_step(double):
    """One step with hand-made numbers; our second bias is torch's two in one."""
    i, j, k = np.arange(8)[:, None], np.arange(4), np.arange(2)
    weights = {
        "memory_kernel": np.array([[0.1, 0.2], [-0.3, 0.4]]).T,
        "query_kernel": np.array([[0.5, -0.1], [0.2, 0.3]]).T,
        "query_bias": np.array([0.01, -0.02]),
        "score_kernel": np.array([[0.7], [-0.6]]),
        "input_kernel": ((4 * i + j - 16) / 40).T,
        "recurrent_kernel": ((2 * i + k - 8) / 20).T,
        "bias": np.linspace(-0.2, 0.2, 8) + np.linspace(0.1, -0.1, 8),
    }
    frames = jnp.array([[[1.0, 0.0], [0.5, -0.5], [-1.0, 1.0]]])
    table = attention_decoder.token_table(weights, 2)
    state = jnp.array([[0.1, -0.2]]), jnp.array([[0.3, 0.05]])
    (hidden, cell), (_, glimpse, attention) = attention_decoder.attention_step(frames, weights)(state, table[1:2])
    np.testing.assert_allclose(attention[0], [0.399288, 0.369435, 0.231277], atol=1e-6)
    np.testing.assert_allclose(glimpse[0], [0.352729, 0.046559], atol=1e-6)
    np.testing.assert_allclose(hidden[0], [0.095843, 0.074904], atol=1e-6)
    np.testing.assert_allclose(cell[0], [0.161645, 0.118413], atol=1e-6)


def test_localization_values(double):
    result = converted("tps", "vgg", "none", "ctc", classes=37)
    params = result.params["rectifier"]["localization"]
    fc2 = {"kernel": 0.05 * params["fc2"]["kernel"], "bias": tps.initial_fiducials(20).reshape(-1)}
    variables = {"params": {**params, "fc2": fc2}, "batch_stats": result.batch_stats["rectifier"]["localization"]}
    out = tps.Localization(20).apply(variables, torch_layout.signal(1, 32, 100, 1), train=False)
    assert out.shape == (1, 20, 2)
    check(out, 0.000472, 0.622397, [-0.982712, -0.021201, -0.753017], 0.024260)


def test_spline_constants():
    inverse, basis = tps.inverse_system(20), tps.pixel_basis(20, 32, 100)
    assert np.abs(inverse).sum() == pytest.approx(818.050422, abs=1e-5)
    np.testing.assert_allclose(inverse[0, :3], [-0.795309, 0.746833, 0.096170], atol=1e-6)
    assert basis.sum() == pytest.approx(69408.330816, abs=1e-4)
    np.testing.assert_allclose(basis[0, :5], [1, -0.99, -0.96875, -0.003679, -0.070835], atol=1e-6)


def curved():
    x = np.linspace(-1, 1, 10)
    return np.stack([np.tile(x, 2), np.concatenate([-0.8 + 0.2 * x**2, 0.8 + 0.1 * x])], axis=1)


@pytest.mark.parametrize(
    "points, positions, mean, first",
    [
        (
            tps.initial_fiducials(20),
            [(-0.99, 0.010625), (0.99, -0.979375), (0.01, 0.010625), (0.99, -0.010625)],
            -0.003851,
            [0.022271, 0.159303, 0.296884],
        ),
        (
            curved(),
            [(-0.99, -0.582861), (0.99, -0.581306), (0.01, 0.023793), (0.99, 0.875464)],
            0.010171,
            [0.160902, 0.078363, -0.009561],
        ),
        (tps.fiducials(20), None, -0.003542, [0.411425, 0.419080, 0.426694]),
    ],
    ids=["initial", "curved", "identity"],
)
def test_spline_sampling(double, points, positions, mean, first):
    grid = tps.sampling_grid(jnp.asarray(points)[None], 32, 100)
    if positions is not None:
        np.testing.assert_allclose(grid.reshape(-1, 2)[jnp.array([0, 99, 1650, 3199])], positions, atol=1e-6)
    image = torch_layout.signal(1, 32, 100, 1)
    out = tps.bilinear_sample(jnp.asarray(image), grid)
    np.testing.assert_allclose(out.mean(), mean, atol=1e-6)
    np.testing.assert_allclose(out.reshape(-1)[:3], first, atol=1e-6)
    if mean == -0.003542:
        np.testing.assert_allclose(np.abs(out - image).max(), 0.468214, atol=1e-6)
    if mean == 0.010171:
        np.testing.assert_allclose([out.std(), out[0, 16, 50, 0]], [0.652804, -0.591263], atol=1e-6)


def test_sampling_repeats_the_border_without_gradient():
    image = jnp.arange(12.0).reshape(1, 3, 4, 1)
    grid = jnp.array([[[[-3.0, 0.0], [3.0, 0.0], [0.0, -9.0], [1.0, 1.0]]]])
    np.testing.assert_allclose(tps.bilinear_sample(image, grid).reshape(-1), [4, 7, 1.5, 11])
    gradient = jax.grad(lambda g: tps.bilinear_sample(image, g).sum())(grid)
    assert gradient[0, 0, 0, 0] == 0 and gradient[0, 0, 1, 0] == 0 and gradient[0, 0, 2, 1] == 0
    assert gradient[0, 0, 2, 0] != 0


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


def test_size_of_the_compact_extractor():
    model = build(CTC, "none", "compact", "bilstm", "ctc", width=0.5)
    assert count(shapes_of(model)["params"]) == 1_643_109
