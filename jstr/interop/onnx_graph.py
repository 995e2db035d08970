"""Writes ONNX graphs: operations in the order of computation, and the layers that all recognisers share.

Images are [B, C, H, W] within a graph, as ONNX has them. Batch norms are folded into the convolutions before them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from jstr.text.messages import InputError

OPSET, IR_VERSION = 17, 8
FLOAT, BATCH = "FLOAT", "batch"
Padding = tuple[tuple[int, int], tuple[int, int]]
SAME: Padding = ((1, 1), (1, 1))
VALID: Padding = ((0, 0), (0, 0))
Shape = Sequence[int | str]  # a name stands for a dimension that may change from call to call


@dataclass(frozen=True)
class Weights:
    """The parameters and the batch statistics of a module, as nested dicts of arrays."""

    params: Mapping[str, Any]
    stats: Mapping[str, Any]

    def of(self, path: str) -> Weights:
        """Those of a module below, such as `extractor/stem`."""
        params, stats = self.params, self.stats
        for name in path.split("/"):
            params, stats = params.get(name, {}), stats.get(name, {})
        return Weights(params, stats)

    def array(self, name: str) -> np.ndarray:
        """A parameter as float32."""
        return np.asarray(self.params[name], np.float32)


class Graph:
    """A graph in the making. Values are names; `add` appends an operation and returns the name of its result."""

    def __init__(self) -> None:
        self._nodes: list[tuple[str, tuple[str, ...], list[str], dict[str, Any]]] = []
        self._tensors: dict[str, np.ndarray] = {}

    def constant(self, array: Any, dtype: Any = np.float32) -> str:
        """A tensor of the graph: weights, shapes, axes."""
        name = f"c{len(self._tensors)}"
        self._tensors[name] = np.ascontiguousarray(array, dtype)
        return name

    def shape(self, *sizes: int) -> str:
        """A tensor of whole numbers: a shape, in which 0 keeps a dimension and -1 is what is left, or axes."""
        return self.constant(sizes, np.int64)

    def add(self, operation: str, *inputs: str, **attributes: Any) -> str:
        """Appends an operation with one result."""
        return self.add_many(operation, 1, *inputs, **attributes)[0]

    def add_many(self, operation: str, count: int, *inputs: str, **attributes: Any) -> list[str]:
        """Appends an operation with `count` results."""
        outputs = [f"v{len(self._nodes)}_{i}" for i in range(count)]
        self._nodes.append((operation, inputs, outputs, attributes))
        return outputs

    def model(self, inputs: Mapping[str, tuple[str, Shape]], outputs: Mapping[str, tuple[str, str, Shape]]) -> Any:
        """The onnx.ModelProto. inputs: name -> (dtype, shape). outputs: name -> (value, dtype, shape).

        Raises:
          InputError: the package onnx is not installed.
        """
        onnx = onnx_package()
        helper, types = onnx.helper, onnx.TensorProto
        nodes = [
            helper.make_node(operation, list(inputs), results, **attributes)
            for operation, inputs, results, attributes in self._nodes
        ]
        nodes += [helper.make_node("Identity", [value], [name]) for name, (value, _, _) in outputs.items()]

        def info(name: str, dtype: str, shape: Shape) -> Any:
            return helper.make_tensor_value_info(name, getattr(types, dtype), list(shape))

        graph = helper.make_graph(
            nodes,
            "jstr",
            [info(name, dtype, shape) for name, (dtype, shape) in inputs.items()],
            [info(name, dtype, shape) for name, (_, dtype, shape) in outputs.items()],
            [onnx.numpy_helper.from_array(array, name) for name, array in self._tensors.items()],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="jstr")
        model.ir_version = IR_VERSION
        onnx.checker.check_model(model)
        return model


def onnx_package() -> Any:
    """The package onnx. Raises InputError: it is not installed."""
    try:
        import onnx
        import onnx.checker
        import onnx.helper
        import onnx.numpy_helper
    except ImportError:
        raise InputError("writing ONNX needs the package onnx: pip install 'jstr[onnx]'") from None
    return onnx


def pixels(graph: Graph, images: str) -> str:
    """uint8 [B, H, W, C] -> float32 [B, C, H, W] in [-1, 1], as jstr.nn.images.normalise."""
    x = graph.add("Div", graph.add("Cast", images, to=1), graph.constant(127.5))
    return graph.add("Transpose", graph.add("Sub", x, graph.constant(1.0)), perm=(0, 3, 1, 2))


def conv(
    graph: Graph,
    x: str,
    kernel: np.ndarray,
    bias: np.ndarray | None,
    padding: Padding = SAME,
    strides: tuple[int, int] = (1, 1),
    group: int = 1,
) -> str:
    """[B, C, H, W] -> [B, D, H', W'] by a kernel [h, w, C, D] as Flax has it; depthwise: [h, w, 1, C], group = C."""
    inputs = [x, graph.constant(kernel.transpose(3, 2, 0, 1))]
    if bias is not None:
        inputs.append(graph.constant(bias))
    (top, bottom), (left, right) = padding
    pads, shape = (top, left, bottom, right), kernel.shape[:2]
    return graph.add("Conv", *inputs, kernel_shape=shape, pads=pads, strides=strides, group=group)


def scale_and_shift(weights: Weights, epsilon: float = 1e-5) -> tuple[np.ndarray, np.ndarray]:
    """(scale, shift) [C] of a batch norm with fixed statistics: y = x * scale + shift."""
    params, stats = weights.params, weights.stats
    scale = np.asarray(params["scale"], np.float64) / np.sqrt(np.asarray(stats["var"], np.float64) + epsilon)
    return scale, np.asarray(params["bias"], np.float64) - np.asarray(stats["mean"], np.float64) * scale


def conv_norm(
    graph: Graph,
    x: str,
    weights: Weights,
    padding: Padding = SAME,
    strides: tuple[int, int] = (1, 1),
    relu: bool = True,
) -> str:
    """A jstr.nn.layers.ConvNorm, its batch norm folded in."""
    scale, shift = scale_and_shift(weights.of("norm"))
    own = weights.of("conv")
    if "bias" in own.params:
        shift = shift + own.array("bias") * scale
    x = conv(graph, x, own.array("kernel") * scale, shift, padding, strides)
    return graph.add("Relu", x) if relu else x


def max_pool(
    graph: Graph, x: str, kernel: tuple[int, int], strides: tuple[int, int] | None = None, pads=(0,) * 4
) -> str:
    """Maximum over windows; rows and columns that do not fill one are dropped. pads: top, left, bottom, right."""
    return graph.add("MaxPool", x, kernel_shape=kernel, strides=strides or kernel, pads=pads)


def dense(graph: Graph, x: str, weights: Weights) -> str:
    """[..., D] -> [..., features], a flax.linen.Dense."""
    x = graph.add("MatMul", x, graph.constant(weights.array("kernel")))
    return graph.add("Add", x, graph.constant(weights.array("bias"))) if "bias" in weights.params else x


def layer_norm(graph: Graph, x: str, weights: Weights, epsilon: float) -> str:
    """A flax.linen.LayerNorm over the last axis."""
    inputs = [x, *(graph.constant(weights.array(name)) for name in ("scale", "bias"))]
    return graph.add("LayerNormalization", *inputs, epsilon=epsilon)


def swish(graph: Graph, x: str) -> str:
    """x times its sigmoid."""
    return graph.add("Mul", x, graph.add("Sigmoid", x))


def images_input(image_size: Shape, channels: int, batch: int | str) -> dict[str, tuple[str, Shape]]:
    """The input of every graph that reads images: `images`, uint8 [B, H, W, C]."""
    return {"images": ("UINT8", (batch, *image_size, channels))}
