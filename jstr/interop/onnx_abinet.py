"""The ONNX graphs of ABINet (jstr/models/abinet.py) and of its vision model: all iterations in one graph."""

from __future__ import annotations

from typing import Any

import numpy as np

from jstr.interop.onnx_features import EXTRACTORS
from jstr.interop.onnx_graph import (
    BATCH,
    FLOAT,
    VALID,
    Graph,
    Weights,
    conv_norm,
    dense,
    images_input,
    layer_norm,
    pixels,
)
from jstr.models.abinet_vision import HEADS, MEAN, RESNET45, STD
from jstr.nn.features import num_frames
from jstr.nn.resnet45 import STRIDES
from jstr.nn.transformer import sinusoid

LOWEST = np.finfo(np.float32).min


def write(model: Any, weights: Weights, batch: int | str = BATCH) -> dict[str, Any]:
    """{"reader": images uint8 [B, H, W, C] -> probabilities [B, T, C] of the last fusion, or of vision alone}.

    model: of jstr.models.abinet or abinet_vision. batch: the name of the dimension, or its fixed size.
    """
    graph, config = Graph(), model.model_config
    is_whole = "vision" in model.heads
    vision = weights.of("vision") if is_whole else weights
    glimpses, logits = _vision(graph, model, vision)
    if is_whole:
        for _ in range(model.iterations):
            features = _language(graph, model, weights.of("language"), logits)
            logits = _fusion(graph, weights.of("fusion"), features, glimpses)
    probabilities = graph.add("Softmax", logits, axis=-1)
    inputs = images_input(config.image_size, config.channels, batch)
    shape = (batch, config.max_length + 1, config.num_classes)
    return {"reader": graph.model(inputs, {"probabilities": (probabilities, FLOAT, shape)})}


def _vision(graph: Graph, model: Any, weights: Weights) -> tuple[str, str]:
    """(glimpses [B, T, D], logits [B, T, C])."""
    config, backbone = model.model_config, weights.of("backbone")
    cells, height, across, width = _cells(graph, model, backbone)
    cells = _add_positions(graph, cells, height * across, width)
    for i in range(model.num_layers):
        cells = _layer(graph, cells, cells, None, backbone.of(f"layer_{i}"), height * across, height * across, width)
    sizes = height, across, config.max_length + 1, width
    attend = _position_scores if model.attention == "position" else _additive_scores
    scores = attend(graph, cells, weights.of("attention"), *sizes)
    glimpses = graph.add("MatMul", graph.add("Softmax", scores, axis=-1), cells)
    return glimpses, dense(graph, glimpses, weights.of("classifier"))


def _cells(graph: Graph, model: Any, weights: Weights) -> tuple[str, int, int, int]:
    """(cells [B, h * w, D] before the transformer layers, h, w, D)."""
    config = model.model_config
    if model.features == RESNET45:
        x, width = _resnet45(graph, _imagenet(graph, config.channels), weights.of("resnet"), model.blocks)
        height, across = config.image_size[0] // 4, config.image_size[1] // 4
        x = graph.add("Reshape", graph.add("Transpose", x, perm=(0, 2, 3, 1)), graph.shape(0, -1, width))
        return x, height, across, width
    x = EXTRACTORS[model.features](graph, pixels(graph, "images"), weights.of("extractor"), config.image_size)
    x = graph.add("Transpose", graph.add("ReduceMean", x, axes=[2], keepdims=0), perm=(0, 2, 1))
    project, across = weights.of("project"), num_frames(model.features, config.image_size[1])
    return dense(graph, x, project), 1, across, project.array("kernel").shape[1]


def _imagenet(graph: Graph, channels: int) -> str:
    """jstr.models.abinet_vision.imagenet: [B, C, H, W]."""
    mean, std = (np.array(v if channels == 3 else [sum(v) / 3])[:, None, None] for v in (MEAN, STD))
    x = graph.add("Div", graph.add("Add", pixels(graph, "images"), graph.constant(1.0)), graph.constant(2.0))
    return graph.add("Div", graph.add("Sub", x, graph.constant(mean)), graph.constant(std))


def _resnet45(graph: Graph, x: str, weights: Weights, blocks: tuple[int, ...]) -> tuple[str, int]:
    """jstr.nn.resnet45: [B, C, H, W] -> [B, D, H / 4, W / 4], and D."""
    x, width = conv_norm(graph, x, weights.of("conv")), 0
    for stage, (count, stride) in enumerate(zip(blocks, STRIDES, strict=True)):
        for i in range(count):
            own, strides = weights.of(f"stage{stage}_{i}"), (stride, stride) if i == 0 else (1, 1)
            y = conv_norm(graph, x, own.of("conv_0"), VALID)
            y = conv_norm(graph, y, own.of("conv_1"), strides=strides, relu=False)
            if "shortcut" in own.params:
                x = conv_norm(graph, x, own.of("shortcut"), VALID, strides, relu=False)
            x, width = graph.add("Relu", graph.add("Add", x, y)), own.of("conv_1/conv").array("kernel").shape[-1]
    return x, width


def _add_positions(graph: Graph, x: str, length: int, width: int) -> str:
    return graph.add("Add", x, graph.constant(sinusoid(length, width)))


def _layer(
    graph: Graph, x: str, memory: str, mask: str | None, weights: Weights, queries: int, keys: int, width: int
) -> str:
    """jstr.nn.transformer.Layer over x [B or 1, queries, D]. mask [B, 1, queries, keys] bool."""
    own, size = weights.of("attend/attention"), width // HEADS

    def heads(values: str, name: str, length: int, perm: tuple[int, ...]) -> str:
        part = own.of(name)
        values = graph.add("MatMul", values, graph.constant(part.array("kernel").reshape(width, width)))
        values = graph.add("Add", values, graph.constant(part.array("bias").reshape(width)))
        return graph.add("Transpose", graph.add("Reshape", values, graph.shape(-1, length, HEADS, size)), perm=perm)

    query = graph.add("Div", heads(x, "query", queries, (0, 2, 1, 3)), graph.constant(np.sqrt(size)))
    scores = graph.add("MatMul", query, heads(memory, "key", keys, (0, 2, 3, 1)))
    if mask is not None:
        scores = graph.add("Where", mask, scores, graph.constant(LOWEST))
    mixed = graph.add("MatMul", graph.add("Softmax", scores, axis=-1), heads(memory, "value", keys, (0, 2, 1, 3)))
    mixed = graph.add("Reshape", graph.add("Transpose", mixed, perm=(0, 2, 1, 3)), graph.shape(-1, queries, width))
    out = own.of("out")
    mixed = graph.add("MatMul", mixed, graph.constant(out.array("kernel").reshape(width, width)))
    mixed = graph.add("Add", mixed, graph.constant(out.array("bias")))
    x = layer_norm(graph, graph.add("Add", x, mixed), weights.of("norm_0"), 1e-5)
    inner = graph.add("Relu", dense(graph, x, weights.of("inner")))
    return layer_norm(graph, graph.add("Add", x, dense(graph, inner, weights.of("outer"))), weights.of("norm_1"), 1e-5)


def _position_scores(graph: Graph, cells: str, weights: Weights, height: int, across: int, steps: int, d: int) -> str:
    """jstr.nn.position_attention.PositionAttention: scores [B, T, h * w]."""
    keys = graph.add("Transpose", graph.add("Reshape", cells, graph.shape(0, height, across, d)), perm=(0, 3, 1, 2))
    sizes, skips = [(height, across)], [keys]
    for i, strides in enumerate(((1, 2), (2, 2), (2, 2), (2, 2))):
        keys = conv_norm(graph, keys, weights.of(f"down_{i}"), strides=strides)
        skips.append(keys)
        sizes.append((-(-sizes[-1][0] // strides[0]), -(-sizes[-1][1] // strides[1])))
    for i, level in enumerate((3, 2, 1)):
        keys = conv_norm(graph, _resize(graph, keys, sizes[level + 1], sizes[level]), weights.of(f"up_{i}"))
        keys = graph.add("Add", keys, skips[level])
    keys = conv_norm(graph, _resize(graph, keys, sizes[1], sizes[0]), weights.of("up_3"))
    query = weights.of("query")
    queries = sinusoid(steps, d) @ query.array("kernel") + query.array("bias")
    keys = graph.add("Reshape", keys, graph.shape(0, d, height * across))
    return graph.add("MatMul", graph.constant(queries / np.sqrt(d)), keys)


def _resize(graph: Graph, x: str, old: tuple[int, int], new: tuple[int, int]) -> str:
    """Nearest neighbour, as jstr.nn.position_attention."""
    for axis in (0, 1):
        if old[axis] != new[axis]:
            index = np.arange(new[axis]) * old[axis] // new[axis]
            x = graph.add("Gather", x, graph.shape(*index), axis=2 + axis)
    return x


def _additive_scores(graph: Graph, cells: str, weights: Weights, height: int, across: int, steps: int, d: int) -> str:
    """jstr.nn.position_attention.AdditiveAttention: scores [B, T, h * w]."""
    order = weights.of("order_to_cells")
    fixed = (weights.array("order").T @ order.array("kernel") + order.array("bias")).T  # [h * w, D]
    hidden = graph.add("Add", dense(graph, cells, weights.of("value")), graph.constant(fixed))
    scores = dense(graph, graph.add("Tanh", hidden), weights.of("score"))
    return graph.add("Transpose", scores, perm=(0, 2, 1))


def _language(graph: Graph, model: Any, weights: Weights, logits: str) -> str:
    """jstr.models.abinet_language: features [B, T, D] of what is read so far."""
    config, steps = model.model_config, model.model_config.max_length + 1
    embedding = weights.of("embedding").array("kernel")
    width = embedding.shape[1]
    memory = graph.add("MatMul", graph.add("Softmax", logits, axis=-1), graph.constant(embedding))
    memory = _add_positions(graph, memory, steps, width)
    # The length is up to the first EOS: the first position where the number of EOS so far is not 0.
    ids = graph.add("ArgMax", logits, axis=-1, keepdims=0)
    ends = graph.add("Cast", graph.add("Equal", ids, graph.shape(config.eos_id)), to=1)
    before = graph.add("CumSum", ends, graph.constant(1, np.int64), exclusive=1)  # EOS before each position
    visible = graph.add("Less", before, graph.constant(0.5))
    # At least 2: a lone EOS would have nothing to attend to.
    visible = graph.add("Or", visible, graph.constant(np.arange(steps) < 2, bool))
    visible = graph.add("Unsqueeze", visible, graph.shape(1, 2))
    mask = graph.add("And", visible, graph.constant(~np.eye(steps, dtype=bool), bool))
    x = graph.constant(sinusoid(steps, width)[None])
    for i in range(model.language_layers):
        x = _layer(graph, x, memory, mask, weights.of(f"layer_{i}"), steps, steps, width)
    return x


def _fusion(graph: Graph, weights: Weights, language: str, vision: str) -> str:
    """jstr.models.abinet.Fusion: logits [B, T, C]."""
    both = graph.add("Concat", language, vision, axis=-1)
    gate = graph.add("Sigmoid", dense(graph, both, weights.of("gate")))
    kept = graph.add("Mul", gate, vision)
    fused = graph.add("Add", kept, graph.add("Mul", graph.add("Sub", graph.constant(1.0), gate), language))
    return dense(graph, fused, weights.of("classifier"))
