"""Which tensors of the published PyTorch code each array of `jstr.models.four_stage` is made of, name by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from jstr.interop.torch_tensors import Leaf, batch_norm, conv_norm, convolution, copy, dense, layer, layer_norm
from jstr.nn.features import GRCL_STEPS, RESNET_BLOCKS

GRID = "Transformation.GridGenerator."
LOCALIZATION = "Transformation.LocalizationNetwork."
EXTRACTOR = "FeatureExtraction.ConvNet."
CELL = "Prediction.attention_cell."


def _pointwise(x: np.ndarray) -> np.ndarray:
    """A convolution [out, in, 1] as a matrix [in, out]."""
    return x.squeeze(-1).transpose()


def _sum(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """PyTorch's LSTMs have two biases, which are added."""
    return a + b


def _stack_dense(*matrices: np.ndarray) -> np.ndarray:
    """Matrices [out, in] of both directions as [2, in, out]."""
    return np.stack([m.transpose() for m in matrices])


def _stack_sums(a: np.ndarray, b: np.ndarray, c: np.ndarray, d: np.ndarray) -> np.ndarray:
    """The summed biases of both directions."""
    return np.stack([a + b, c + d])


def leaves(fields: Mapping[str, Any]) -> Iterable[Leaf]:
    """Every variable of `four_stage.Model(**fields)`, with the tensors it is made of."""
    if fields["transformation"] == "tps":
        yield from _localization()
    yield from _EXTRACTORS[fields["features"]]()
    if fields["sequence"] == "bilstm":
        for index in range(2):
            yield from _bilstm(index)
    yield from (_attention(fields) if fields["prediction"] == "attention" else _ctc(fields))


def _localization() -> Iterable[Leaf]:
    path = ("rectifier", "localization")
    for index in range(4):
        key = f"{LOCALIZATION}conv."
        yield from conv_norm((*path, f"conv_{index}"), f"{key}{4 * index}", f"{key}{4 * index + 1}")
    yield from layer((*path, "fc1"), LOCALIZATION + "localization_fc1.0", dense)
    yield from layer((*path, "fc2"), LOCALIZATION + "localization_fc2", dense)


def _vgg() -> Iterable[Leaf]:
    for index, key in ((0, 0), (1, 3), (2, 6), (3, 8), (6, 18)):
        yield from layer(("extractor", f"conv_{index}"), f"{EXTRACTOR}{key}", convolution)
    for index, key in ((4, 11), (5, 14)):
        yield from conv_norm(("extractor", f"conv_{index}"), f"{EXTRACTOR}{key}", f"{EXTRACTOR}{key + 1}")


def _rcnn() -> Iterable[Leaf]:
    yield from layer(("extractor", "conv_0"), EXTRACTOR + "0", convolution)
    yield from conv_norm(("extractor", "conv_1"), EXTRACTOR + "9", EXTRACTOR + "10")
    convolutions = {"gate_input": "wgf_u", "gate_state": "wgr_x", "input": "wf_u", "state": "wr_x"}
    norms = {"gate_input": "gfu", "gate_state": "grx", "input": "fu", "state": "rx", "gated": "Gx"}
    for index in range(3):
        path, key = ("extractor", f"grcl_{index}"), f"{EXTRACTOR}{3 + 2 * index}."
        for name, theirs in convolutions.items():
            yield from layer((*path, name), key + theirs, convolution, bias=False)
        yield from batch_norm((*path, "norm"), key + "BN_x_init")
        for t in range(GRCL_STEPS):
            for name, theirs in norms.items():
                yield from batch_norm((*path, f"{name}_norm_{t}"), f"{key}GRCL.{t}.BN_{theirs}")


def _resnet() -> Iterable[Leaf]:
    for name in ("0_1", "0_2", "1", "2", "3", "4_1", "4_2"):
        yield from conv_norm(("extractor", f"conv{name}"), f"{EXTRACTOR}conv{name}", f"{EXTRACTOR}bn{name}")
    for number, blocks in enumerate(RESNET_BLOCKS, 1):
        for block in range(blocks):
            path, key = ("extractor", f"layer{number}_{block}"), f"{EXTRACTOR}layer{number}.{block}."
            yield from conv_norm((*path, "conv_0"), key + "conv1", key + "bn1")
            yield from conv_norm((*path, "conv_1"), key + "conv2", key + "bn2")
            if block == 0 and number < 4:  # the number of channels changes
                yield from conv_norm((*path, "shortcut"), key + "downsample.0", key + "downsample.1")


_EXTRACTORS = {"vgg": _vgg, "rcnn": _rcnn, "resnet": _resnet}


def _bilstm(index: int) -> Iterable[Leaf]:
    path, key = ("params", f"sequence_{index}", "lstm"), f"SequenceModeling.{index}.rnn."
    suffixes = ("_l0", "_l0_reverse")
    yield Leaf((*path, "input_kernel"), tuple(f"{key}weight_ih{s}" for s in suffixes), _stack_dense)
    yield Leaf((*path, "recurrent_kernel"), tuple(f"{key}weight_hh{s}" for s in suffixes), _stack_dense)
    yield Leaf((*path, "bias"), tuple(f"{key}bias_{b}{s}" for s in suffixes for b in ("ih", "hh")), _stack_sums)
    yield from layer((f"sequence_{index}", "linear"), f"SequenceModeling.{index}.linear", dense)


def _ctc(fields: Mapping[str, Any]) -> Iterable[Leaf]:
    yield from _classifier("Prediction")
    if fields["projection"] == "linear":
        yield from layer(("decoder", "projection", "out"), "project_head", dense)


def _classifier(key: str) -> Iterable[Leaf]:
    yield Leaf(("params", "decoder", "classifier_kernel"), (key + ".weight",), dense)
    yield Leaf(("params", "decoder", "classifier_bias"), (key + ".bias",), copy)


def _attention(fields: Mapping[str, Any]) -> Iterable[Leaf]:
    path = ("params", "decoder")
    yield Leaf((*path, "memory_kernel"), (CELL + "i2h.weight",), dense)
    yield Leaf((*path, "query_kernel"), (CELL + "h2h.weight",), dense)
    yield Leaf((*path, "query_bias"), (CELL + "h2h.bias",), copy)
    yield Leaf((*path, "score_kernel"), (CELL + "score.weight",), dense)
    yield Leaf((*path, "input_kernel"), (CELL + "rnn.weight_ih",), dense)
    yield Leaf((*path, "recurrent_kernel"), (CELL + "rnn.weight_hh",), dense)
    yield Leaf((*path, "bias"), (CELL + "rnn.bias_ih", CELL + "rnn.bias_hh"), _sum)
    yield from _classifier("Prediction.generator")
    if fields["token_embedding"] == "learned":
        yield Leaf((*path, "embedding"), ("Prediction.char_embeddings.weight",), copy)
    projection, key = ("decoder", "projection"), "Prediction.projection_head"
    if fields["projection"] == "linear":
        yield from layer((*projection, "out"), key, dense)
    if fields["projection"] == "mlp":
        yield from layer((*projection, "hidden"), key + ".w_1", _pointwise)
        yield from layer_norm((*projection, "norm"), key + ".layer_norm")
        yield from layer((*projection, "out"), key + ".w_2", _pointwise)
