"""State dicts in the layout of the published PyTorch recognisers, filled by rule: an oracle needs no download."""

from __future__ import annotations

import jax
import numpy as np

from jstr.interop import torch_four_stage
from jstr.nn import tps


def shapes(transformation, features, sequence, prediction, *, channels=1, classes=38, embedding=0, projection="none"):
    """name -> shape, in the published sizes (512 channels, 256 hidden units, 20 fiducial points, 32x100)."""
    out = {}
    if transformation == "tps":
        out |= _localization(channels)
    out |= {"vgg": _vgg, "rcnn": _rcnn, "resnet": _resnet}[features](channels)
    size = 512
    if sequence == "bilstm":
        out |= _bilstm("SequenceModeling.0", 512) | _bilstm("SequenceModeling.1", 256)
        size = 256
    if prediction == "ctc":
        out |= _dense("Prediction", size, classes)
        return out | (_dense("project_head", size, size) if projection == "linear" else {})
    return out | _attention(size, classes, embedding, projection)


def fill(shape, name):
    """Values of one tensor: k counts its elements in row-major order."""
    k = np.arange(int(np.prod(shape)), dtype=np.float64)
    if name.endswith("running_mean"):
        values = np.zeros_like(k)
    elif name.endswith("running_var") or (len(shape) == 1 and name.endswith(".weight")):
        values = np.ones_like(k)
    elif len(shape) >= 2:
        values = np.sqrt(2 * shape[0] / k.size) * np.sin(0.7 * (k + 1))
    else:
        values = 0.01 * np.cos(k)
    return values.reshape(shape)


def state(*args, **kwargs):
    """name -> float64 array, the spline's buffers included."""
    tensors = {name: fill(shape, name) for name, shape in shapes(*args, **kwargs).items()}
    if args[0] == "tps":
        tensors["Transformation.GridGenerator.inv_delta_C"] = tps.inverse_system(20).astype(np.float32)
        tensors["Transformation.GridGenerator.P_hat"] = tps.pixel_basis(20, 32, 100).astype(np.float32)
    return tensors


def signal(*shape):
    """sin(0.01 k) in row-major order, float64."""
    return np.sin(0.01 * np.arange(np.prod(shape))).reshape(shape)


def _dense(name, inputs, outputs):
    return {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}


def _conv(name, inputs, outputs, size=3, bias=False):
    out = {f"{name}.weight": (outputs, inputs, size, size)}
    return out | ({f"{name}.bias": (outputs,)} if bias else {})


def _norm(name, size):
    return {f"{name}.{part}": (size,) for part in ("weight", "bias", "running_mean", "running_var")}


def _localization(channels):
    name, out, inputs = "Transformation.LocalizationNetwork.", {}, channels
    for index, outputs in enumerate((64, 128, 256, 512)):
        out |= _conv(f"{name}conv.{4 * index}", inputs, outputs) | _norm(f"{name}conv.{4 * index + 1}", outputs)
        inputs = outputs
    return out | _dense(f"{name}localization_fc1.0", 512, 256) | _dense(f"{name}localization_fc2", 256, 40)


def _vgg(channels):
    name, out = "FeatureExtraction.ConvNet.", {}
    for index, inputs, outputs in ((0, channels, 64), (3, 64, 128), (6, 128, 256), (8, 256, 256)):
        out |= _conv(f"{name}{index}", inputs, outputs, bias=True)
    out |= _conv(f"{name}11", 256, 512) | _norm(f"{name}12", 512) | _conv(f"{name}14", 512, 512)
    return out | _norm(f"{name}15", 512) | _conv(f"{name}18", 512, 512, 2, bias=True)


def _rcnn(channels):
    name = "FeatureExtraction.ConvNet."
    out = _conv(f"{name}0", channels, 64, bias=True) | _conv(f"{name}9", 256, 512, 2) | _norm(f"{name}10", 512)
    for index, inputs, outputs in ((3, 64, 64), (5, 64, 128), (7, 128, 256)):
        layer = f"{name}{index}."
        out |= _conv(layer + "wgf_u", inputs, outputs, 1) | _conv(layer + "wf_u", inputs, outputs)
        out |= _conv(layer + "wgr_x", outputs, outputs, 1) | _conv(layer + "wr_x", outputs, outputs)
        out |= _norm(layer + "BN_x_init", outputs)
        for t in range(5):
            for norm in ("gfu", "grx", "fu", "rx", "Gx"):
                out |= _norm(f"{layer}GRCL.{t}.BN_{norm}", outputs)
    return out


def _resnet(channels):
    name, out = "FeatureExtraction.ConvNet.", {}
    singles = (
        ("0_1", channels, 32, 3),
        ("0_2", 32, 64, 3),
        ("1", 128, 128, 3),
        ("2", 256, 256, 3),
        ("3", 512, 512, 3),
        ("4_1", 512, 512, 2),
        ("4_2", 512, 512, 2),
    )
    for index, inputs, outputs, size in singles:
        out |= _conv(f"{name}conv{index}", inputs, outputs, size) | _norm(f"{name}bn{index}", outputs)
    for number, inputs, outputs, blocks in ((1, 64, 128, 1), (2, 128, 256, 2), (3, 256, 512, 5), (4, 512, 512, 3)):
        for block in range(blocks):
            layer = f"{name}layer{number}.{block}."
            out |= _conv(layer + "conv1", inputs, outputs) | _norm(layer + "bn1", outputs)
            out |= _conv(layer + "conv2", outputs, outputs) | _norm(layer + "bn2", outputs)
            if inputs != outputs:
                out |= _conv(layer + "downsample.0", inputs, outputs, 1) | _norm(layer + "downsample.1", outputs)
            inputs = outputs
    return out


def _lstm(name, inputs, hidden, suffix=""):
    out = {f"{name}.weight_ih{suffix}": (4 * hidden, inputs), f"{name}.weight_hh{suffix}": (4 * hidden, hidden)}
    return out | {f"{name}.bias_{part}{suffix}": (4 * hidden,) for part in ("ih", "hh")}


def _bilstm(name, inputs):
    out = _lstm(f"{name}.rnn", inputs, 256, "_l0") | _lstm(f"{name}.rnn", inputs, 256, "_l0_reverse")
    return out | _dense(f"{name}.linear", 512, 256)


def _attention(size, classes, embedding, projection):
    cell = "Prediction.attention_cell."
    out = {cell + "i2h.weight": (256, size), cell + "score.weight": (1, 256)} | _dense(cell + "h2h", 256, 256)
    out |= _lstm(cell + "rnn", size + (embedding or classes), 256) | _dense("Prediction.generator", 256, classes)
    if embedding:
        out["Prediction.char_embeddings.weight"] = (classes, embedding)
    head = "Prediction.projection_head"
    if projection == "linear":
        out |= _dense(head, 256, 256)
    if projection == "mlp":
        out |= {head + ".w_1.weight": (64, 256, 1), head + ".w_1.bias": (64,)}
        out |= {head + ".w_2.weight": (256, 64, 1), head + ".w_2.bias": (256,)}
        out |= {head + ".layer_norm.weight": (64,), head + ".layer_norm.bias": (64,)}
    return out


def converted(*combination, format="dtrb", **kwargs):
    """The state dict of `shapes`, converted in float64."""
    return torch_four_stage.convert(state(*combination, **kwargs), format=format, dtype=np.float64)


def check(values, mean, std, first, last, rtol=0.0, atol=2e-6):
    """Compares mean, standard deviation, the first three values and the last one with those of the published code."""
    values = np.asarray(values)
    np.testing.assert_allclose([values.mean(), values.std()], [mean, std], rtol=rtol, atol=atol)
    np.testing.assert_allclose(values.reshape(-1)[:3], first, rtol=rtol, atol=atol)
    np.testing.assert_allclose(values.reshape(-1)[-1], last, rtol=rtol, atol=atol)


def count(tree):
    """How many numbers the arrays of a tree hold."""
    return sum(x.size for x in jax.tree.leaves(tree))
