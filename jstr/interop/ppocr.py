"""Weights of PP-OCRv6's small recogniser, from the ONNX files that PaddleOCR publishes.

Names differ between exports, so tensors are matched by the order of the weighted operations in the graph. Reading a
file needs the package `onnx`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from flax import traverse_util

from jstr.interop.torch_tensors import Converted
from jstr.messages import InputError, first_few
from jstr.models.ppocr import HEIGHT, NECK_BLOCKS, SMALL
from jstr.text import read_characters

WIDTH = 320  # pixels: narrower words are padded to it, as RapidOCR does
BLANK = "blank"  # some dictionaries name the blank first


class Published(NamedTuple):
    """What a file holds. params and batch_stats: of jstr.models.ppocr. characters: by class, from class 1 on."""

    params: dict[str, Any]
    batch_stats: dict[str, Any]
    characters: str


class Slot(NamedTuple):
    """A weighted operation: the path of its module, and its kind (conv, depthwise, pointwise, norm, layer_norm)."""

    path: str
    kind: str


def convert(path: str | Path, charset: str | None = None) -> Converted:
    """A recogniser of `charset` (a name, the characters or file:PATH; default: printable ASCII without the space).

    Classes outside of it are left out, so the classifier is small and its softmax runs over what may be read. Without
    a space in the charset, what the network takes for one counts as blank.

    Raises:
      InputError: see `read`, and characters that the file does not know.
    """
    published, chosen = read(path), read_characters(charset or "94")
    unknown = sorted(set(chosen) - set(published.characters))
    if unknown:
        raise InputError(f"{path} does not know {first_few(list(map(repr, unknown)))}; give --charset without them")
    spaces = " " in chosen
    place = {character: number for number, character in enumerate(published.characters, 1)}
    classes = np.array([0, *(place[c] for c in chosen), *([] if spaces else [place[" "]])])
    params = published.params | {"classifier": {n: x[..., classes] for n, x in published.params["classifier"].items()}}
    config = {
        "model": {"name": "ppocr", "space_as_blank": not spaces, "dtype": "float32"},
        "image": {"size": (HEIGHT, WIDTH), "channels": 3, "keep_ratio": True, "backend": "cv2_linear", "pad": "grey"},
        "charset": {
            "characters": chosen,
            "layout": "dtrb_ctc",
            "max_length": 25,
            "lower": False,
            "nfkc": False,
            "drop_outside": False,
        },
        "language_model": {"words": "english", "weight": 0.5, "width": 16},
    }
    return Converted(config, params, published.batch_stats)


def slots() -> Iterator[Slot]:
    """The weighted operations of PP-OCRv6 small, in the order of its graph."""
    for name in ("halve_0", "branch_0", "branch_1", "halve_1"):
        yield Slot(f"stem/{name}", "conv")
    yield Slot("stem/widen", "pointwise")
    for number, spec in enumerate(SMALL):
        yield Slot(f"block_{number}/depthwise", "depthwise")
        names = ("squeeze", "excite") * spec.attends + ("expand", "project")
        yield from (Slot(f"block_{number}/{name}", "pointwise") for name in names)
    for name, kind in (("skip", "pointwise"), ("narrow", "pointwise"), ("local", "depthwise")):
        yield Slot(f"neck/{name}", kind)
        yield Slot(f"neck/{name}_norm", "norm")
    for number in range(NECK_BLOCKS):
        layers = (("norm_0", "layer_norm"), ("qkv", "dense"), ("out", "dense"), ("norm_1", "layer_norm"))
        for name, kind in (*layers, ("expand", "dense"), ("project", "dense")):
            yield Slot(f"neck/attention_{number}/{name}", kind)
    yield Slot("neck/norm", "layer_norm")
    yield Slot("classifier", "dense")


# Kind -> the arrays of a module by name, from the tensors of the operation: weights as the file has them.
TO_FLAX = {
    "conv": lambda w, b: {"kernel": w.transpose(2, 3, 1, 0), "bias": b.reshape(-1)},
    "pointwise": lambda w, b=None: {"kernel": w[:, :, 0, 0].T} | ({} if b is None else {"bias": b.reshape(-1)}),
    "depthwise": lambda w, b=None: (
        {"kernel": w[:, 0].transpose(1, 2, 0)} | ({} if b is None else {"bias": b.reshape(-1)})
    ),
    "dense": lambda w, b: {"kernel": w, "bias": b},
    "layer_norm": lambda scale, bias: {"scale": scale, "bias": bias},
    "norm": lambda scale, bias, mean, var: {"scale": scale, "bias": bias, "mean": mean, "var": var},
}


def read(path: str | Path) -> Published:
    """Loads an ONNX file of PP-OCRv6 small.

    Raises:
      InputError: the package is missing, or a file that is not there, damaged, or of another graph.
    """
    weighted, characters = _weighted(_load(path), path)
    expected = list(slots())
    if len(weighted) != len(expected):
        raise InputError(
            f"{path}: {len(weighted)} weighted operations, but PP-OCRv6 small has {len(expected)}; it is another model"
        )
    params, stats = {}, {}
    for slot, tensors in zip(expected, weighted, strict=True):
        try:
            arrays = TO_FLAX[slot.kind](*tensors)
        except (TypeError, ValueError, IndexError) as error:
            shapes = ", ".join(str(list(t.shape)) for t in tensors)
            raise InputError(f"{path}: {slot.path} cannot be made of tensors {shapes}; it is another model") from error
        for name, array in arrays.items():
            where = stats if name in ("mean", "var") else params
            where[f"{slot.path}/{name}"] = np.ascontiguousarray(array, np.float32)
    classes = len(params["classifier/bias"])
    if classes != len(characters) + 1:
        raise InputError(
            f"{path}: {classes} classes, but its metadata name {len(characters)} characters, space included"
        )
    return Published(
        traverse_util.unflatten_dict(params, sep="/"), traverse_util.unflatten_dict(stats, sep="/"), characters
    )


def _load(path: str | Path) -> Any:
    try:
        import onnx
    except ImportError:
        raise InputError(f"{path}: reading ONNX needs the package onnx: pip install onnx") from None
    try:
        return onnx.load(str(path))
    except FileNotFoundError:
        raise InputError(f"{path} does not exist; check the path") from None
    except Exception as error:  # protobuf's own errors have no common base that can be named
        raise InputError(f"{path} is not an ONNX file: {str(error).splitlines()[0][:120]}") from error


def _weighted(model: Any, path: str | Path) -> tuple[list[list[np.ndarray]], str]:
    """The tensors of every weighted operation in order, biases that follow as additions included; the characters."""
    from onnx import numpy_helper

    tensors = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    source: dict[str, int] = {}  # value -> number of the operation whose result it is, through identities
    found: list[list[np.ndarray]] = []
    scaled: dict[str, np.ndarray] = {}  # result of a multiplication by a vector: the first half of a layer norm
    for node in model.graph.node:
        own = [tensors[name] for name in node.input if name in tensors]
        vectors = [t for t in own if t.ndim >= 1 and t.size > 1]
        if node.op_type == "Identity" and node.input[0] in source:
            source[node.output[0]] = source[node.input[0]]
        elif node.op_type in ("Conv", "MatMul", "BatchNormalization") and own:
            source[node.output[0]] = len(found)
            found.append(own)
        elif node.op_type == "Mul" and len(vectors) == 1 and vectors[0].ndim == 1:
            scaled[node.output[0]] = vectors[0]
        elif node.op_type == "Add" and vectors:
            given = [name for name in node.input if name not in tensors]
            if given[0] in scaled:
                found.append([scaled.pop(given[0]), vectors[0]])
            elif given[0] in source and len(found[source[given[0]]]) == 1:
                found[source[given[0]]].append(vectors[0])
    texts = {entry.key: entry.value for entry in model.metadata_props}
    if "character" not in texts:
        raise InputError(f"{path}: its metadata name no characters; give --characters=FILE, one a line")
    lines = texts["character"].split("\n")
    lines = lines[1:] if lines[0] == BLANK else lines
    return found, "".join(lines) + " "
