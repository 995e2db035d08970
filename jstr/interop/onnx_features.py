"""The feature extractors of jstr/nn/features.py as ONNX operations: [B, C, H, W] -> [B, channels, h, S]."""

from __future__ import annotations

import functools

from jstr.interop.onnx_graph import VALID, Graph, Weights, conv, conv_norm, max_pool, scale_and_shift
from jstr.nn.features import COMPACT_BLOCKS, DEEPER_BLOCKS, GRCL_STEPS, RESNET_BLOCKS


def _overlapping(graph: Graph, x: str) -> str:
    """jstr.nn.pooling.max_pool_overlapping."""
    return max_pool(graph, x, (2, 2), (2, 1), (0, 1, 0, 1))


def _plain(graph: Graph, x: str, weights: Weights, **geometry) -> str:
    return graph.add("Relu", conv(graph, x, weights.array("kernel"), weights.array("bias"), **geometry))


def _vgg(graph: Graph, x: str, weights: Weights, size: tuple[int, int]) -> str:
    x = max_pool(graph, _plain(graph, x, weights.of("conv_0")), (2, 2))
    x = max_pool(graph, _plain(graph, x, weights.of("conv_1")), (2, 2))
    x = _plain(graph, x, weights.of("conv_2"))
    x = max_pool(graph, _plain(graph, x, weights.of("conv_3")), (2, 1))
    x = conv_norm(graph, conv_norm(graph, x, weights.of("conv_4")), weights.of("conv_5"))
    return _plain(graph, max_pool(graph, x, (2, 1)), weights.of("conv_6"), padding=VALID)


def _block(graph: Graph, x: str, weights: Weights) -> str:
    y = conv_norm(graph, conv_norm(graph, x, weights.of("conv_0")), weights.of("conv_1"), relu=False)
    if "shortcut" in weights.params:
        x = conv_norm(graph, x, weights.of("shortcut"), VALID, relu=False)
    return graph.add("Relu", graph.add("Add", y, x))


def _resnet(graph: Graph, x: str, weights: Weights, size: tuple[int, int]) -> str:
    def layer(x: str, index: int) -> str:
        for i in range(RESNET_BLOCKS[index - 1]):
            x = _block(graph, x, weights.of(f"layer{index}_{i}"))
        return x

    def single(x: str, name: str, **geometry) -> str:
        return conv_norm(graph, x, weights.of(name), **geometry)

    x = max_pool(graph, single(single(x, "conv0_1"), "conv0_2"), (2, 2))
    x = max_pool(graph, single(layer(x, 1), "conv1"), (2, 2))
    x = _overlapping(graph, single(layer(x, 2), "conv2"))
    x = layer(single(layer(x, 3), "conv3"), 4)
    x = single(x, "conv4_1", padding=((0, 0), (1, 1)), strides=(2, 1))
    return single(x, "conv4_2", padding=VALID)


def _grcl(graph: Graph, u: str, weights: Weights) -> str:
    """The steps share convolutions but not norms, so norms that cannot be folded scale and shift."""

    def convolution(x: str, name: str, padding) -> str:
        return conv(graph, x, weights.of(name).array("kernel"), None, padding)

    def norm(x: str, name: str) -> str:
        scale, shift = (graph.constant(v[:, None, None]) for v in scale_and_shift(weights.of(name)))
        return graph.add("Add", graph.add("Mul", x, scale), shift)

    same = ((1, 1), (1, 1))
    gate_input, forward = convolution(u, "gate_input", VALID), convolution(u, "input", same)
    x = graph.add("Relu", norm(forward, "norm"))
    for t in range(GRCL_STEPS):
        gate = norm(convolution(x, "gate_state", VALID), f"gate_state_norm_{t}")
        gate = graph.add("Add", norm(gate_input, f"gate_input_norm_{t}"), gate)
        state = norm(convolution(x, "state", same), f"state_norm_{t}")
        gated = norm(graph.add("Mul", state, graph.add("Sigmoid", gate)), f"gated_norm_{t}")
        x = graph.add("Relu", graph.add("Add", norm(forward, f"input_norm_{t}"), gated))
    return x


def _rcnn(graph: Graph, x: str, weights: Weights, size: tuple[int, int]) -> str:
    x = max_pool(graph, _plain(graph, x, weights.of("conv_0")), (2, 2))
    x = max_pool(graph, _grcl(graph, x, weights.of("grcl_0")), (2, 2))
    x = _overlapping(graph, _grcl(graph, x, weights.of("grcl_1")))
    x = _overlapping(graph, _grcl(graph, x, weights.of("grcl_2")))
    return conv_norm(graph, x, weights.of("conv_1"), VALID)


def _compact(
    graph: Graph, x: str, weights: Weights, size: tuple[int, int], blocks: tuple[int, int, int] = COMPACT_BLOCKS
) -> str:
    height, width = size
    if height % 2 or width % 2:
        ends = graph.shape(height // 2 * 2, width // 2 * 2)
        x = graph.add("Slice", x, graph.shape(0, 0), ends, graph.shape(2, 3))
    x = conv_norm(graph, graph.add("SpaceToDepth", x, blocksize=2), weights.of("stem"))
    for level, (count, kernel) in enumerate(zip(blocks, ((2, 2), (2, 1), None), strict=True)):
        for i in range(count):
            x = _block(graph, x, weights.of(f"level{level}_{i}"))
        if kernel:
            x = conv_norm(graph, x, weights.of(f"down{level}"), VALID, kernel)
    return conv_norm(graph, x, weights.of("columns"), VALID)


EXTRACTORS = {
    "vgg": _vgg,
    "rcnn": _rcnn,
    "resnet": _resnet,
    "compact": _compact,
    "compact_deeper": functools.partial(_compact, blocks=DEEPER_BLOCKS),
}
