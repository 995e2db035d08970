"""Published checkpoints become our parameters, or one clear error. (That the values are right: tests/nn.)"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch_layout

from jstr.core import ModelConfig
from jstr.interop import torch_four_stage
from jstr.interop.torch_four_stage_names import GRID
from jstr.models.four_stage import Model
from jstr.nn import tps
from jstr.text import LAYOUTS
from jstr.text.messages import InputError

CRNN = ("none", "vgg", "bilstm", "ctc")


def crnn(classes=37, **kwargs):
    return torch_layout.state(*CRNN, classes=classes, **kwargs)


def rectified():
    return torch_layout.state("tps", "vgg", "none", "attention")


def test_every_part_of_a_state_dict_is_used():
    result = torch_four_stage.convert(rectified(), format="dtrb")
    fields = dict(result.config["model"])
    assert fields == {
        "name": "four_stage",
        "transformation": "tps",
        "features": "vgg",
        "sequence": "none",
        "prediction": "attention",
        "output_channels": 512,
        "projection": "none",
        "hidden_size": 256,
        "num_fiducials": 20,
        "localization_channels": 512,
        "token_embedding": "one_hot",
    }
    assert result.config["image"] == {"size": (32, 100), "channels": 1, "keep_ratio": False, "backend": "pillow"}
    normalise = {"lower": True, "nfkc": False, "drop_outside": False}
    assert result.config["charset"] == {"characters": "36", "layout": "dtrb_attention", "max_length": 25} | normalise
    fields.pop("name")
    model = Model(ModelConfig((32, 100), 1, 25, 38, **vars(LAYOUTS["dtrb_attention"])), **fields)
    shapes = jax.eval_shape(lambda: model.init(jax.random.key(0), jnp.zeros((1, 32, 100, 1)), train=False))
    ours = {"params": result.params, "batch_stats": result.batch_stats}
    assert jax.tree.map(lambda x: (x.shape, x.dtype), dict(shapes)) == jax.tree.map(lambda x: (x.shape, x.dtype), ours)


def test_two_biases_become_one():
    state = crnn()
    bias = torch_four_stage.convert(state, format="dtrb").params["sequence_1"]["lstm"]["bias"]
    key = "SequenceModeling.1.rnn.bias_{}_l0_reverse"
    np.testing.assert_allclose(bias[1], state[key.format("ih")] + state[key.format("hh")], rtol=1e-6)


@pytest.mark.parametrize(
    "combination, kwargs, expected",
    [
        (
            ("none", "vgg", "none", "attention"),
            {"classes": 99, "embedding": 256, "projection": "mlp"},
            {"projection": "mlp", "token_embedding": "learned"},
        ),
        (
            ("none", "vgg", "none", "attention"),
            {"classes": 99, "embedding": 256, "projection": "linear"},
            {"projection": "linear"},
        ),
        (("none", "vgg", "none", "attention"), {"classes": 99, "embedding": 40}, {"embedding_size": 40}),
        (("none", "vgg", "bilstm", "ctc"), {"classes": 98, "projection": "linear"}, {"projection": "linear"}),
        (("none", "vgg", "bilstm", "ctc"), {"classes": 98, "channels": 3}, {"projection": "none", "hidden_size": 256}),
    ],
)
def test_consistency_regularisation_format(combination, kwargs, expected):
    state = torch_layout.state(*combination, **kwargs)
    result = torch_four_stage.convert(state, format="cr")
    assert expected.items() <= result.config["model"].items()
    assert result.config["charset"]["characters"] == "94" and not result.config["charset"]["lower"]
    assert result.config["image"]["channels"] == kwargs.get("channels", 1)


def test_resume_files_prefixes_and_counters():
    plain = torch_four_stage.convert(crnn(), format="dtrb")
    state = {f"module.{key}": value for key, value in crnn().items()}
    state["module.FeatureExtraction.ConvNet.12.num_batches_tracked"] = np.array(7)
    state["module.empty"] = np.zeros(0)
    resume = {"online_model": state, "target_model": {}, "optimizer": {"state": {}}, "iteration": 3}
    for checkpoint in (state, resume):
        result = torch_four_stage.convert(checkpoint, format="dtrb")
        assert result.config == plain.config
        jax.tree.map(np.testing.assert_array_equal, result.params, plain.params)


def test_image_size_comes_from_the_spline():
    state = rectified()
    state[GRID + "P_hat"] = tps.pixel_basis(20, 48, 133).astype(np.float32)
    assert torch_four_stage.convert(state, format="dtrb").config["image"]["size"] == (48, 133)
    del state[GRID + "P_hat"], state[GRID + "inv_delta_C"]
    assert torch_four_stage.convert(state, format="dtrb").config["image"]["size"] == (32, 100)
    assert torch_four_stage.convert(state, format="dtrb", image_size=(64, 64)).config["image"]["size"] == (64, 64)


def test_charset():
    result = torch_four_stage.convert(crnn(4), format="dtrb", charset="Abc", max_length=9, keep_ratio=True)
    expected = {"characters": "Abc", "layout": "dtrb_ctc", "max_length": 9, "lower": False}
    assert expected.items() <= result.config["charset"].items()
    assert result.config["image"]["keep_ratio"]


def without(state, *parts):
    return {k: v for k, v in state.items() if not any(p in k for p in parts)}


@pytest.mark.parametrize(
    "make, kwargs, message",
    [
        (crnn, {"format": "parseq"}, "dtrb, cr"),
        (dict, {}, "not a state dict"),
        (lambda: {"state": crnn()}, {}, "not a state dict of tensors: it holds 'state'"),
        (lambda: without(crnn(), "ConvNet.18"), {}, "no known feature extractor"),
        (
            lambda: without(crnn(), "ConvNet.12.running_var", "1.linear.bias"),
            {},
            r"lacks 2 tensor\(s\): .*12.running_var.*1.linear.bias",
        ),
        (lambda: without(crnn(), "Prediction"), {}, "lacks Prediction.weight"),
        (
            lambda: crnn() | {"Other.weight": np.ones(3), "Another.bias": np.ones(2)},
            {},
            r"unknown 2 tensor\(s\): Other.weight, Another.bias",
        ),
        (
            lambda: crnn() | {"FeatureExtraction.ConvNet.14.weight": np.ones((512, 512, 5, 5))},
            {},
            r"unexpected shapes in 1 tensor\(s\): FeatureExtraction.ConvNet.14.weight \[512, 512, 5, 5\]",
        ),
        (lambda: crnn() | {"SequenceModeling.0.rnn.bias_hh_l0": np.ones(7)}, {}, r"bias_hh_l0 \[7\]"),
        (lambda: crnn(40), {}, "40 classes are neither 36 nor 94"),
        (crnn, {"charset": "abc"}, "makes 4 classes, but the checkpoint has 37"),
        (crnn, {"format": "cr"}, "37 classes are neither 36 nor 94 characters and 4 specials"),
        (rectified, {"format": "cr"}, "format 'dtrb'"),
        (lambda: torch_layout.state(*CRNN[:3], "attention", classes=99, embedding=256), {}, "format 'cr'"),
        (rectified, {"image_size": (32, 128)}, "32x128, but the spline was made for 32x100"),
        (lambda: rectified() | {GRID + "inv_delta_C": np.eye(23)}, {}, "inv_delta_C is not"),
        (lambda: rectified() | {GRID + "P_hat": np.ones((3200, 23))}, {}, "P_hat is not"),
        (lambda: rectified() | {GRID + "P_hat": np.ones((3200, 2))}, {}, "P_hat is not"),
        (lambda: rectified() | {GRID + "P_hat": np.ones(3)}, {}, r"P_hat \[3\] where 2 axes"),
        (lambda: rectified() | {GRID + "inv_delta_C": np.eye(3)}, {}, "inv_delta_C is not"),
        (lambda: crnn() | {"Prediction.weight": np.ones(37)}, {}, r"Prediction.weight \[37\] where 2 axes"),
        (lambda: crnn() | {"SequenceModeling.0.rnn.weight_hh_l0": np.ones(4)}, {}, "weight_hh_l0"),
        (lambda: crnn() | {"FeatureExtraction.ConvNet.0.weight": np.ones(())}, {}, "ConvNet.0.weight"),
        (lambda: [1, 2], {}, "not a state dict of tensors, but a list"),
    ],
)
def test_errors(make, kwargs, message):
    with pytest.raises(InputError, match=message):
        torch_four_stage.convert(make(), **({"format": "dtrb"} | kwargs))
