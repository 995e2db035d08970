"""Files in the form that PaddleOCR publishes its recognisers in, made up; and where the published one is."""

import importlib.util
from pathlib import Path

import jax
import numpy as np
import pytest

from jstr.core import ModelConfig
from jstr.interop import ppocr
from jstr.models.ppocr import Model

onnx = pytest.importorskip("onnx", reason="onnx is not installed: pip install -e '.[test]'")
CHARACTERS = [*"0aA", "é", "§"]
TO_ONNX = {  # kind -> operation, and its tensors from our arrays
    "conv": ("Conv", lambda a: [a["kernel"].transpose(3, 2, 0, 1)]),
    "pointwise": ("Conv", lambda a: [a["kernel"].T[:, :, None, None]]),
    "depthwise": ("Conv", lambda a: [a["kernel"].transpose(2, 0, 1)[:, None]]),
    "along": ("Conv", lambda a: [a["kernel"].transpose(2, 1, 0)[:, :, None]]),
    "dense": ("MatMul", lambda a: [a["kernel"]]),
    "norm": ("BatchNormalization", lambda a: [a[n] for n in ("scale", "bias", "mean", "var")]),
}


def variables(classes: int, network: str = "v6_small") -> dict:
    """Random ones of a network."""
    config = ModelConfig((48, 320), 3, 25, classes, first_id=1, pad_id=0)
    example = jax.ShapeDtypeStruct((1, 48, 320, 3), np.uint8)
    shapes = jax.eval_shape(lambda k, x: Model(config, network).init(k, x, train=False), jax.random.PRNGKey(0), example)
    rng = np.random.default_rng(0)
    return jax.tree.map(lambda s: rng.normal(size=s.shape).astype(np.float32), shapes)


def arrays_at(tree: dict, path: str) -> dict:
    for name in path.split("/"):
        tree = tree.get(name, {})
    return tree


def write(file: Path, made: dict, characters=CHARACTERS, leave_out: int = 0, network: str = "v6_small") -> None:
    """A graph with the weighted operations of the published one, under other names, biases added behind them."""
    nodes, tensors, value = [], [], "x"

    def tensor(array) -> str:
        tensors.append(onnx.numpy_helper.from_array(np.array(array, order="C"), f"t{len(tensors)}"))
        return tensors[-1].name

    def node(kind: str, *inputs: str) -> str:
        nodes.append(onnx.helper.make_node(kind, list(inputs), [f"v{len(nodes)}"]))
        return nodes[-1].output[0]

    slots = list(ppocr.slots(network))
    for slot in slots[: len(slots) - leave_out]:
        arrays = arrays_at(made["params"], slot.path) | arrays_at(made["batch_stats"], slot.path)
        if slot.kind in ("layer_norm", "affine"):
            value = node("Add", node("Mul", value, tensor(arrays["scale"])), tensor(arrays["bias"]))
            continue
        kind, weights = TO_ONNX[slot.kind]
        value = node("Identity", node(kind, value, *map(tensor, weights(arrays))))
        if "bias" in arrays and slot.kind != "norm":
            shape = (1, -1, 1, 1) if kind == "Conv" else (-1,)
            value = node("Add", value, tensor(arrays["bias"].reshape(shape)))
        if slot.path.endswith("qkv"):  # the scale of the queries, which is not learnt
            value = node("Add", node("Mul", value, tensor(np.float32([0.26]))), tensor(np.float32(0)))
    info = onnx.helper.make_tensor_value_info
    ends = [info(name, onnx.TensorProto.FLOAT, None) for name in ("x", value)]
    model = onnx.helper.make_model(onnx.helper.make_graph(nodes, "g", ends[:1], ends[1:], tensors))
    onnx.helper.set_model_props(model, {"character": "\n".join(characters)} if characters else {})
    file.write_bytes(model.SerializeToString())


def installed() -> Path | None:
    spec = importlib.util.find_spec("rapidocr")
    file = Path(spec.origin).parent / "models/PP-OCRv6_rec_small.onnx" if spec and spec.origin else None
    return file if file and file.is_file() else None
