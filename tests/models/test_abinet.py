"""ABINet: published sizes and values, what the language model attends to, where gradients stop."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch_layout
from abinet_layout import state
from testing import quick_jit
from torch_layout import check, count

from jstr.core import ModelConfig
from jstr.interop import torch_abinet
from jstr.models import abinet, abinet_language, abinet_vision
from jstr.models.abinet_vision import MEAN, STD
from jstr.nn import dropout, transformer
from jstr.nn.position_attention import PositionAttention
from jstr.text import LAYOUTS
from jstr.text.messages import InputError

LV = ModelConfig((32, 128), 3, 25, 37, **vars(LAYOUTS["abinet"]))
SMALL = ModelConfig((32, 64), 1, 5, 7, **vars(LAYOUTS["abinet"]))
TINY = dict(width=1 / 32, blocks=(1, 1, 1, 1, 1), num_layers=1)
SV = dict(num_layers=2, attention="additive")
WORDS = np.array([[3, 1, 2, 0, -1, -1], [5, 0, -1, -1, -1, -1]])


def shapes_of(model, *example):
    example = example or (jnp.zeros((1, *model.model_config.image_size, model.model_config.channels)),)
    return jax.eval_shape(lambda: model.init(jax.random.key(0), *example, train=False))


def test_parameter_counts():
    lv = shapes_of(abinet.Model(LV))["params"]
    assert count(lv) == 36_738_703
    vision = lv["vision"]
    assert count(vision) == 23_547_461
    assert [count(vision[p]) for p in ("backbone", "attention", "classifier")] == [22_451_936, 1_076_544, 18_981]
    assert count(vision["backbone"]["resnet"]) == 12_994_784
    assert count(vision["backbone"]["layer_2"]) == count(lv["language"]["layer_3"]) == 3_152_384
    assert count({k: v for k, v in vision["attention"].items() if k.startswith("down")}) == 406_272
    assert count({k: v for k, v in vision["attention"].items() if k.startswith("up")}) == 407_616
    assert [count(lv["language"]), count(lv["language"]["embedding"]), count(lv["fusion"])] == [
        12_647_461,
        18_944,
        543_781,
    ]
    sv = shapes_of(abinet_vision.Model(LV, **SV))["params"]
    assert [count(sv), count(sv["backbone"]), count(sv["attention"])] == [19_614_751, 19_299_552, 296_218]
    stages = {
        n: count([x for k, x in vision["backbone"]["resnet"].items() if k.startswith(n)])
        for n in ("conv", "stage0", "stage1", "stage2", "stage3", "stage4")
    }
    assert list(stages.values()) == [928, 32_192, 164_992, 986_368, 3_938_816, 7_871_488]


def test_shapes():
    outputs = jax.eval_shape(
        lambda: abinet.Model(LV).init_with_output(jax.random.key(0), jnp.zeros((2, 32, 128, 3)), train=False)[0]
    )
    shapes = {k: v.shape for k, v in outputs.items() if k not in ("heads", "iterations")}
    assert shapes == {
        "visual": (2, 8, 32, 512),
        "frames": (2, 32, 512),
        "glimpses": (2, 26, 512),
        "attention": (2, 26, 8, 32),
        "logits": (2, 26, 37),
    }
    iterations = {k: [x.shape for x in v] for k, v in outputs["iterations"].items()}
    assert iterations == {"vision": [(2, 26, 37)], "language": [(2, 26, 37)] * 3, "fusion": [(2, 26, 37)] * 3}
    heads = {k: v.shape for k, v in outputs["heads"].items()}
    assert heads == dict.fromkeys(("vision", "language", "fusion"), (2, 26, 37))


# Values of the published code, filled by rule, in float64.


@pytest.fixture(scope="module")
def arrays():
    return torch_abinet.convert(state(), dtype=np.float64)


@pytest.fixture
def filled(arrays):
    with jax.enable_x64(True):
        yield arrays


def apply(result, part, module, *args, **kwargs):
    variables = {"params": result.params, "batch_stats": result.batch_stats}
    for name in part:
        variables = {k: v.get(name, {}) for k, v in variables.items()}
    return jax.jit(lambda v: module.apply(v, *args, **kwargs))(variables)


def test_values_of_the_whole_model(filled):
    pixels = torch_layout.signal(1, 3, 32, 128).transpose(0, 2, 3, 1)
    images = 2 * (pixels * np.array(STD) + np.array(MEAN)) - 1
    outputs, seen = apply(
        filled,
        (),
        abinet.Model(LV),
        images,
        train=False,
        mutable=["intermediates"],
        capture_intermediates=lambda module, method: module.name == "resnet",
    )
    (resnet,) = seen["intermediates"]["vision"]["backbone"]["resnet"]["__call__"]
    check(resnet.transpose(0, 3, 1, 2), 0.466631, 0.800132, [0, 0, 0], 0)
    backbone = outputs["visual"].transpose(0, 3, 1, 2)
    check(backbone, 0.000021, 1.000684, [-1.164565, -0.234006, -0.204914], 0.586249)
    check(outputs["logits"], 0.011976, 0.081582, [-0.008095, 0.007624, 0.018228], 0.053099)
    check(outputs["heads"]["vision"], 0.008399, 0.093318, [-0.030993, -0.003113, 0.020366], 0.179349)


def test_values_of_the_small_vision_model():
    """The published code with its additive attention, filled and fed in the same way."""
    with jax.enable_x64(True):
        result = torch_abinet.convert(state("vision", layers=2, attention="additive"), dtype=np.float64)
        pixels = torch_layout.signal(1, 3, 32, 128).transpose(0, 2, 3, 1)
        images = 2 * (pixels * np.array(STD) + np.array(MEAN)) - 1
        outputs = apply(result, (), abinet_vision.Model(LV, **SV), images, train=False)
    check(outputs["glimpses"], 0.000021, 0.511340, [-0.293403, -0.370940, -0.106562], 0.740937)
    check(outputs["attention"], 0.003906, 0.000784, [0.003806, 0.004628, 0.005131], 0.004663)
    check(outputs["logits"], 0.016390, 0.059497, [-0.033332, -0.015770, -0.001770], 0.049907)


def test_values_of_position_attention(filled):
    cells = torch_layout.signal(1, 512, 8, 32).transpose(0, 2, 3, 1)
    vectors, weights = apply(filled, ("vision", "attention"), PositionAttention(26), cells, train=False)
    check(vectors, 0.001362, 0.529843, [0.718896, -0.480276, 0.083730], 0.433387)
    check(weights, 0.003906, 0.000154, [0.003903, 0.003881, 0.003875], 0.003793)


def test_values_of_the_language_model(filled):
    words = np.zeros((2, 26), np.int32)
    words[0, :3], words[1, :5] = [3, 1, 20], [8, 5, 12, 12, 15]
    outputs = apply(filled, ("language",), abinet_language.Model(LV), words, train=False)
    check(outputs["logits"], 0.016952, 0.095976, [0.004879, 0.006986, 0.004021], -0.048604)
    check(outputs["features"], 0.000021, 1.000792, [-0.857589, 1.060520, -1.073385], 0.941599)


def test_values_of_fusion(filled):
    language = torch_layout.signal(1, 26, 512)
    logits, _ = apply(filled, ("fusion",), abinet.Fusion(37), language, language[:, ::-1])
    check(logits, 0.000100, 0.042026, [0.038602, 0.030271, 0.015320], -0.034774)


# What the language model may see.


@pytest.fixture(scope="module")
def language():
    model = abinet_language.Model(SMALL, width=1 / 16, num_layers=3)
    params = quick_jit(lambda: model.init(jax.random.key(0), jnp.asarray(WORDS), train=False))()
    return jax.jit(lambda words, *length: model.apply(params, words, *length, train=False)["logits"])


def test_no_token_reaches_its_own_position(language):
    logits = language(WORDS)
    for place in range(4):
        other = WORDS.copy()
        other[0, place] = 6 if place < 3 else 4
        length = np.array([4, 2])
        change = np.abs(language(other, length) - language(WORDS, length)).max(axis=-1)
        assert change[0, place] == 0 and (np.delete(change[0], place) > 0).all() and (change[1] == 0).all()
    np.testing.assert_array_equal(language(WORDS, np.array([4, 2])), logits)


def test_tokens_after_the_word_are_masked(language):
    other = WORDS.copy()
    other[0, 4:], other[1, 2] = 3, 6
    np.testing.assert_array_equal(language(other), language(WORDS))


@pytest.mark.parametrize("word", [[0, -1, -1, -1, -1, -1], [2, 0, -1, -1, -1, -1], [1, 2, 3, 4, 5, 6]])
def test_shortest_and_longest_words(language, word):
    logits = language(np.array([word]))
    assert np.isfinite(logits).all()
    if word[0] == 0:  # as the published fusion: it counts two places
        np.testing.assert_array_equal(logits, language(np.array([word]), np.array([2])))


def test_probabilities_read_as_ids(language):
    hard = np.asarray(jax.nn.one_hot(WORDS, 7))
    np.testing.assert_allclose(language(hard, np.array([4, 2])), language(WORDS), atol=1e-6)


# The three together.


def tiny(**fields):
    model = abinet.Model(SMALL, **TINY, language_layers=1, **fields)
    images = jax.random.uniform(jax.random.key(1), (2, 32, 64, 1), minval=-1)
    return model, dict(quick_jit(lambda: model.init(jax.random.key(0), images, train=False))()), images


def test_gradients_stop_where_they_should():
    """Of the nine pairs of a head and a part, the gradient flows in five and stops in four."""
    model, variables, images = tiny(iterations=1)
    params, rest = variables.pop("params"), variables

    @quick_jit
    def gradients(params):
        def run(params):
            return model.apply({"params": params, **rest}, images, train=False)["heads"]

        heads, pull = jax.vjp(run, params)
        which = {name: jnp.arange(3)[:, None, None, None] == i for i, name in enumerate(heads)}
        (grads,) = jax.vmap(pull)({name: jnp.cos(logits) * which[name] for name, logits in heads.items()})
        return {name: jax.tree.map(lambda g, i=i: g[i], grads) for i, name in enumerate(heads)}

    found = gradients(params)
    reached = {
        name: {part for part in grads if any(jnp.any(g != 0) for g in jax.tree.leaves(grads[part]))}
        for name, grads in found.items()
    }
    assert reached == {"vision": {"vision"}, "language": {"language"}, "fusion": {"vision", "language", "fusion"}}
    # Into vision the only way is that of the features: its classifier gets nothing from the fusion.
    vision = found["fusion"]["vision"]
    assert not any(jnp.any(g) for g in jax.tree.leaves(vision["classifier"]))
    assert all(jnp.any(g) for g in jax.tree.leaves(vision["attention"]["query"]))


@pytest.mark.parametrize("iterations", [2, 4])
def test_any_number_of_iterations(iterations):
    model, variables, images = tiny(iterations=iterations)
    outputs = model.apply(variables, images, train=False)
    assert len(outputs["iterations"]["fusion"]) == len(outputs["iterations"]["language"]) == iterations
    np.testing.assert_array_equal(outputs["logits"], outputs["iterations"]["fusion"][-1])
    first = tiny(iterations=1)[0].apply(variables, images, train=False)
    np.testing.assert_allclose(outputs["iterations"]["fusion"][0], first["logits"], atol=1e-6)


def test_decode_and_padding():
    model, variables, images = tiny()
    prediction = model.apply(variables, images, method="decode")
    assert prediction.ids.shape == prediction.scores.shape == (2, 6)
    behind = np.cumsum(prediction.ids == 0, axis=1) - (prediction.ids == 0) > 0
    assert (np.asarray(prediction.ids)[behind] == -1).all() and (np.asarray(prediction.scores)[behind] == 1).all()


def test_training_mode_and_half_precision():
    model = abinet_vision.Model(SMALL, **TINY, attention="additive", dtype="bfloat16")
    images = jnp.zeros((2, 32, 64, 1), jnp.uint8)
    variables = dict(quick_jit(lambda: model.init(jax.random.key(0), images, train=False))())
    assert all(x.dtype == jnp.float32 for x in jax.tree.leaves(variables))
    apply = quick_jit(lambda v, key: model.apply(v, images, train=True, mutable=["batch_stats"], rngs={"dropout": key}))
    outputs, updates = apply(variables, jax.random.key(1))
    other, _ = apply(variables, jax.random.key(2))
    assert outputs["logits"].dtype == outputs["attention"].dtype == jnp.float32
    assert outputs["visual"].dtype == jnp.bfloat16
    np.testing.assert_allclose(outputs["attention"].sum(axis=(-2, -1)), 1, atol=1e-5)
    assert np.isfinite(outputs["logits"]).all() and np.abs(outputs["logits"] - other["logits"]).max() > 0
    assert jax.tree.structure(updates["batch_stats"]) == jax.tree.structure(variables["batch_stats"])


@pytest.mark.parametrize(
    "module, model_config, fields, message",
    [
        (abinet_vision, LV, dict(attention="none"), "attention='none'"),
        (abinet_vision, LV, dict(blocks=(1, 2)), "blocks must be 5 numbers"),
        (abinet_vision, LV, dict(dropout=1.0), "dropout must be"),
        (abinet, LV, dict(iterations=0), "iterations must be at least 1"),
        (abinet_language, LV, dict(dtype="float16"), "dtype='float16'"),
        (abinet_language, LV, dict(width=0.0), "width must be positive"),
        (abinet_vision, ModelConfig((30, 128), 3, 25, 37, 1, -1, -1, 0), {}, "images of 30x128"),
        (abinet, ModelConfig((32, 128), 3, 25, 37, 1, 0), {}, "token layout with an EOS class"),
    ],
)
def test_refuses(module, model_config, fields, message):
    with pytest.raises(InputError, match=message):
        module.Model(model_config, **fields)


def test_refuses_other_images():
    with pytest.raises(InputError, match=r"images must be \[B, 32, 64, 1\], not \[2, 32, 100, 1\]"):
        shapes_of(abinet_vision.Model(SMALL, **TINY), jnp.zeros((2, 32, 100, 1)))


def test_dropout_is_where_the_paper_has_it(monkeypatch):
    """After position codes, on attention weights and three times in each layer; only in training."""
    places = []

    def drop(x, key, rate):
        places.append((rate, x.ndim))
        return x

    monkeypatch.setattr(dropout, "drop", drop)
    monkeypatch.setattr(transformer, "drop", drop)
    model = abinet.Model(SMALL, **TINY, language_layers=2, iterations=3)
    variables, images = shapes_of(model), jnp.zeros((1, 32, 64, 1))
    assert not places

    def run(variables, train):
        options = dict(train=train, rngs={"dropout": jax.random.key(0)})
        return model.apply(variables, images, **options, mutable=["batch_stats"])

    jax.eval_shape(lambda v: run(v, False), variables)
    assert not places
    jax.eval_shape(lambda v: run(v, True), variables)
    vision, language = 1 + 1 * 4, 1 + 2 * 4
    assert len(places) == vision + 3 * language and {rate for rate, _ in places} == {0.1}
    assert sum(ndim == 4 for _, ndim in places) == 1 + 3 * 2, "attention weights [B, H, Q, N]"
