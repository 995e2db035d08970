"""The ONNX graphs of jstr/models/ppocr.py. Images may be of any width in them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from jstr.interop.onnx_graph import (
    BATCH,
    FLOAT,
    SAME,
    VALID,
    Graph,
    Padding,
    Weights,
    conv,
    dense,
    images_input,
    layer_norm,
    max_pool,
    pixels,
    scale_and_shift,
    swish,
)
from jstr.models.ppocr import HEADS, HEIGHT, NECK, NECK_BLOCKS, NETWORKS

AFTER: Padding = ((0, 1), (0, 1))
Activation = Callable[[Graph, str], str] | None


def write(model: Any, weights: Weights, batch: int | str = BATCH) -> dict[str, Any]:
    """{"reader": images uint8 [B, 48, W, 3] in RGB -> probabilities [B, W // 8, C]}.

    model: a jstr.models.ppocr.Model. batch: the name of the dimension, or its fixed size.
    """
    graph = Graph()
    x = graph.add("Gather", pixels(graph, "images"), graph.shape(2, 1, 0), axis=1)  # to BGR
    stem, neck = {
        "v6_small": (_stem, _neck),
        "v6_tiny": (_tiny_stem, _tiny_neck),
        "mobile": (_mobile_stem, _mobile_neck),
    }[model.network]
    x = stem(graph, x, weights.of("stem"))
    layer = _scaled_layer if model.network == "mobile" else _block
    for number, spec in enumerate(NETWORKS[model.network]):
        x = layer(graph, x, weights.of(f"block_{number}"), spec)
    x = graph.add("AveragePool", x, kernel_shape=(3, 2), strides=(3, 2))
    x = graph.add("Transpose", graph.add("Squeeze", x, graph.shape(2)), perm=(0, 2, 1))
    logits = dense(graph, neck(graph, x, weights.of("neck")), weights.of("classifier"))
    classes = model.model_config.num_classes
    probabilities = graph.add("Softmax", logits, axis=-1)
    if model.space_as_blank:  # the last class, whose probability is added to the first
        blank, others, space = graph.add_many("Split", 3, probabilities, graph.shape(1, classes - 1, 1), axis=-1)
        probabilities = graph.add("Concat", graph.add("Add", blank, space), others, axis=-1)
    inputs = images_input((HEIGHT, "image_width"), 3, batch)
    return {"reader": graph.model(inputs, {"probabilities": (probabilities, FLOAT, (batch, "frames", classes))})}


def _relu(graph: Graph, x: str) -> str:
    return graph.add("Relu", x)


def _gelu(graph: Graph, x: str) -> str:
    erf = graph.add("Erf", graph.add("Div", x, graph.constant(np.sqrt(2.0))))
    return graph.add("Mul", graph.add("Mul", x, graph.add("Add", erf, graph.constant(1.0))), graph.constant(0.5))


def _hard_swish(graph: Graph, x: str) -> str:
    return graph.add("HardSwish", x)


def _normed(
    graph: Graph,
    x: str,
    weights: Weights,
    name: str,
    activation: Activation,
    padding: Padding = SAME,
    strides: tuple[int, int] = (1, 1),
) -> str:
    """The convolution `name` without bias, depthwise where its kernel is [h, w, C], and its batch norm, folded in."""
    scale, shift = scale_and_shift(weights.of(f"{name}_norm"))
    kernel = weights.of(name).array("kernel")
    depthwise = kernel.ndim == 3
    kernel = (kernel[:, :, None] if depthwise else kernel) * scale
    x = conv(graph, x, kernel, shift, padding, strides, group=len(scale) if depthwise else 1)
    return x if activation is None else activation(graph, x)


def _stem(graph: Graph, x: str, weights: Weights) -> str:
    def layer(x: str, name: str, stride: int, padding: Padding) -> str:
        own = weights.of(name)
        return _relu(graph, conv(graph, x, own.array("kernel"), own.array("bias"), padding, (stride, stride)))

    x = layer(x, "halve_0", 2, SAME)
    y = layer(layer(x, "branch_0", 1, AFTER), "branch_1", 1, AFTER)
    pooled = max_pool(graph, x, (2, 2), (1, 1), (0, 0, 1, 1))
    x = layer(graph.add("Concat", pooled, y, axis=1), "halve_1", 2, SAME)
    return _relu(graph, _pointwise(graph, x, weights.of("widen")))


def _tiny_stem(graph: Graph, x: str, weights: Weights) -> str:
    x = _normed(graph, x, weights, "halve_0", _gelu, strides=(2, 2))
    return _normed(graph, x, weights, "halve_1", None, strides=(2, 2))


def _mobile_stem(graph: Graph, x: str, weights: Weights) -> str:
    return _normed(graph, x, weights, "halve_0", None, strides=(2, 2))


def _pointwise(graph: Graph, x: str, weights: Weights) -> str:
    return conv(graph, x, weights.array("kernel")[None, None], weights.array("bias"), VALID)


def _depthwise(graph: Graph, x: str, weights: Weights, strides: tuple[int, int]) -> str:
    kernel = weights.array("kernel")
    height, width, channels = kernel.shape
    padding: Padding = ((height // 2, height // 2), (width // 2, width // 2))
    return conv(graph, x, kernel[:, :, None], weights.array("bias"), padding, strides, group=channels)


def _weighted(graph: Graph, x: str, weights: Weights) -> str:
    """jstr.nn.lcnet.weighted."""
    gate = _relu(graph, _pointwise(graph, graph.add("GlobalAveragePool", x), weights.of("squeeze")))
    gate = graph.add("HardSigmoid", _pointwise(graph, gate, weights.of("excite")), alpha=1 / 6, beta=0.5)
    return graph.add("Mul", x, gate)


def _block(graph: Graph, x: str, weights: Weights, spec: Any) -> str:
    own = weights.of("depthwise")
    channels = own.array("kernel").shape[-1]
    x = _depthwise(graph, x, own, spec.strides)
    if spec.attends:
        x = _weighted(graph, x, weights)
    y = _gelu(graph, _pointwise(graph, x, weights.of("expand")))
    y = _pointwise(graph, y, weights.of("project"))
    return graph.add("Add", x, y) if spec.channels == channels and spec.stride == 1 else y


def _scaled_layer(graph: Graph, x: str, weights: Weights, spec: Any) -> str:
    x = _scaled_swish(graph, _depthwise(graph, x, weights.of("depthwise"), spec.strides), weights, "depthwise")
    if spec.attends:
        x = _weighted(graph, x, weights)
    return _scaled_swish(graph, _pointwise(graph, x, weights.of("project")), weights, "project")


def _scaled_swish(graph: Graph, x: str, weights: Weights, name: str) -> str:
    def affine(x: str, number: int) -> str:
        own = weights.of(f"{name}_affine_{number}")
        x = graph.add("Mul", x, graph.constant(own.array("scale").reshape(())))
        return graph.add("Add", x, graph.constant(own.array("bias").reshape(())))

    return affine(_hard_swish(graph, affine(x, 0)), 1)


def _along(graph: Graph, x: str, weights: Weights, name: str, activation: Activation) -> str:
    """A convolution over the frames of x [B, T, D], and its norm."""
    kernel = weights.of(name).array("kernel")
    if "local_" in name:  # of all channels: [3, D, D']
        weights = Weights({**weights.params, name: {"kernel": kernel[None]}}, weights.stats)
        kernel = kernel[None]
    margin = kernel.shape[1] // 2
    x = graph.add("Unsqueeze", graph.add("Transpose", x, perm=(0, 2, 1)), graph.shape(2))
    x = _normed(graph, x, weights, name, activation, ((0, 0), (margin, margin)))
    return graph.add("Transpose", graph.add("Squeeze", x, graph.shape(2)), perm=(0, 2, 1))


def _product(graph: Graph, x: str, weights: Weights, name: str, activation: Callable[[Graph, str], str]) -> str:
    """A product with x [B, T, D] without bias, and its norm."""
    scale, shift = scale_and_shift(weights.of(f"{name}_norm"))
    x = graph.add("MatMul", x, graph.constant(weights.of(name).array("kernel") * scale))
    return activation(graph, graph.add("Add", x, graph.constant(shift)))


def _neck(graph: Graph, visual: str, weights: Weights) -> str:
    skip, x = (_product(graph, visual, weights, name, swish) for name in ("skip", "narrow"))
    x = graph.add("Add", x, _along(graph, x, weights, "local", swish))
    return graph.add("Add", _attended(graph, x, weights), skip)


def _tiny_neck(graph: Graph, visual: str, weights: Weights) -> str:
    x = _along(graph, visual, weights, "local", _hard_swish)
    return dense(graph, _product(graph, x, weights, "mix", _hard_swish), weights.of("narrow"))


def _mobile_neck(graph: Graph, visual: str, weights: Weights) -> str:
    def narrowed(x: str, number: int) -> str:
        return _product(graph, _along(graph, x, weights, f"local_{number}", swish), weights, f"narrow_{number}", swish)

    x = _attended(graph, narrowed(visual, 0), weights)
    x = _product(graph, x, weights, "widen", swish)
    return narrowed(graph.add("Concat", visual, x, axis=-1), 1)


def _attended(graph: Graph, x: str, weights: Weights) -> str:
    for number in range(NECK_BLOCKS):
        x = _attention_block(graph, x, weights.of(f"attention_{number}"))
    return layer_norm(graph, x, weights.of("norm"), 1e-6)


def _attention_block(graph: Graph, x: str, weights: Weights) -> str:
    size = NECK // HEADS
    h = dense(graph, layer_norm(graph, x, weights.of("norm_0"), 1e-5), weights.of("qkv"))
    h = graph.add("Transpose", graph.add("Reshape", h, graph.shape(0, 0, 3, HEADS, size)), perm=(2, 0, 3, 1, 4))
    query, key, value = (graph.add("Squeeze", part, graph.shape(0)) for part in graph.add_many("Split", 3, h, axis=0))
    query = graph.add("Mul", query, graph.constant(size**-0.5))
    scores = graph.add("MatMul", query, graph.add("Transpose", key, perm=(0, 1, 3, 2)))
    mixed = graph.add("MatMul", graph.add("Softmax", scores, axis=-1), value)
    mixed = graph.add("Reshape", graph.add("Transpose", mixed, perm=(0, 2, 1, 3)), graph.shape(0, 0, NECK))
    x = graph.add("Add", x, dense(graph, mixed, weights.of("out")))
    h = swish(graph, dense(graph, layer_norm(graph, x, weights.of("norm_1"), 1e-5), weights.of("expand")))
    return graph.add("Add", x, dense(graph, h, weights.of("project")))
