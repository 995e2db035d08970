"""State dicts in the layout of the published ABINet, filled by the rule of torch_layout: no download is needed."""

from __future__ import annotations

import numpy as np
import torch_layout

from jstr.nn.transformer import sinusoid


def shapes(part="full", layers=3, attention="position", width=512, blocks=(3, 4, 6, 6, 3), classes=37, language=4):
    """name -> shape in the published order; part: full, vision or language."""
    if part == "vision":
        return _vision(layers, attention, width, blocks, classes)
    if part == "language":
        return _language(width, classes, language)
    out = {f"vision.{k}": v for k, v in _vision(layers, attention, width, blocks, classes).items()}
    out |= {f"language.{k}": v for k, v in _language(width, classes, language).items()}
    return out | _dense("alignment.w_att", 2 * width, width) | _dense("alignment.cls", width, classes)


def state(*args, **kwargs):
    """name -> float64 array."""
    return {name: _fill(shape, name) for name, shape in shapes(*args, **kwargs).items()}


def _fill(shape, name):
    if name.endswith(".pe"):
        return sinusoid(shape[0], shape[2])[:, None].astype(np.float32)
    return np.zeros(shape) if name.endswith("num_batches_tracked") else torch_layout.fill(shape, name)


def _dense(name, inputs, outputs):
    return {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}


def _conv(name, inputs, outputs, size=3, bias=False):
    return {f"{name}.weight": (outputs, inputs, size, size)} | ({f"{name}.bias": (outputs,)} if bias else {})


def _norm(name, size):
    parts = {f"{name}.{part}": (size,) for part in ("weight", "bias", "running_mean", "running_var")}
    return parts | {f"{name}.num_batches_tracked": ()}


def _vision(layers, attention, width, blocks, classes):
    name, inputs = "backbone.resnet.", width // 16
    out = _conv(name + "conv1", 3, inputs) | _norm(name + "bn1", inputs)
    for stage, (count, stride) in enumerate(zip(blocks, (2, 1, 2, 1, 1), strict=True)):
        outputs = width >> (4 - stage)
        for i in range(count):
            block = f"{name}layer{stage + 1}.{i}."
            out |= _conv(block + "conv1", inputs, outputs, 1) | _norm(block + "bn1", outputs)
            out |= _conv(block + "conv2", outputs, outputs) | _norm(block + "bn2", outputs)
            if i == 0 and (stride > 1 or inputs != outputs):
                out |= _conv(block + "downsample.0", inputs, outputs, 1) | _norm(block + "downsample.1", outputs)
            inputs = outputs
    out["backbone.pos_encoder.pe"] = (256, 1, width)
    for i in range(layers):
        out |= _layer(f"backbone.transformer.layers.{i}.", "self_attn", ("norm1", "norm2"), width)
    out |= (_position if attention == "position" else _additive)(width)
    return out | _dense("cls", width, classes)


def _position(width):
    out, inner = {}, width // 8
    for i in range(4):
        out |= _conv(f"attention.k_encoder.{i}.0", inner if i else width, inner, bias=True)
        out |= _norm(f"attention.k_encoder.{i}.1", inner)
    for i in range(4):
        outputs = width if i == 3 else inner
        out |= _conv(f"attention.k_decoder.{i}.1", inner, outputs, bias=True)
        out |= _norm(f"attention.k_decoder.{i}.2", outputs)
    out["attention.pos_encoder.pe"] = (26, 1, width)
    return out | _dense("attention.project", width, width)


def _additive(width):
    out = {"attention.f0_embedding.weight": (26, width)} | _dense("attention.w0", 26, 256)
    return out | _dense("attention.wv", width, width) | _dense("attention.we", width, 26)


def _language(width, classes, layers):
    out = {"proj.weight": (width, classes), "token_encoder.pe": (26, 1, width), "pos_encoder.pe": (26, 1, width)}
    for i in range(layers):
        out |= _layer(f"model.layers.{i}.", "multihead_attn", ("norm2", "norm3"), width)
    return out | _dense("cls", width, classes)


def _layer(name, attention, norms, width):
    out = {f"{name}{attention}.in_proj_weight": (3 * width, width), f"{name}{attention}.in_proj_bias": (3 * width,)}
    out |= _dense(f"{name}{attention}.out_proj", width, width)
    out |= _dense(name + "linear1", width, 4 * width) | _dense(name + "linear2", 4 * width, width)
    for norm in norms:
        out |= {f"{name}{norm}.weight": (width,), f"{name}{norm}.bias": (width,)}
    return out
