"""Weights of PP-OCR's recognisers, from the ONNX files that PaddleOCR and its users publish.

Names differ between exports, so tensors are matched by the order of the weighted operations in the graph, whose number
also tells which network it is. Reading a file needs the package `onnx`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from flax import traverse_util

from jstr.interop.torch_tensors import Converted
from jstr.models.ppocr import HEIGHT, NECK_BLOCKS, NETWORKS
from jstr.text import read_characters
from jstr.text.messages import InputError, first_few

WIDTH = 320  # pixels: narrower words are padded to it, as RapidOCR does
WIDER = (480, 800, 1280)  # of what is read: few, because the network is compiled for each
BLANK = "blank"  # some dictionaries name the blank first
USUAL = "94"  # what is read where the file knows it: printable ASCII without the space
TITLES = {"v6_small": "PP-OCRv6 small", "v6_tiny": "PP-OCRv6 tiny", "mobile": "PP-OCRv4 or v5 mobile"}


class Published(NamedTuple):
    """What a file holds. params and batch_stats: of jstr.models.ppocr. characters: by class, from class 1 on; some
    are several code points, such as flags. network: of the model."""

    params: dict[str, Any]
    batch_stats: dict[str, Any]
    characters: tuple[str, ...]
    network: str


class Slot(NamedTuple):
    """A weighted operation: the path of its module, and its kind, see TO_FLAX."""

    path: str
    kind: str


def convert(path: str | Path, charset: str | None = None, dictionary: str | Path | None = None) -> Converted:
    """A recogniser of `charset` (a name, the characters, file:PATH, or "all" that the file knows).

    Default: printable ASCII without the space, or all characters of a file that does not know all of it. Classes
    outside of the charset are left out, so the classifier is small and its softmax runs over what may be read. Without
    a space in the charset, what the network takes for one counts as blank. English words are expected where the
    charset is ASCII: they would draw other languages away from what is read.
    dictionary: see `read`.

    Raises:
      InputError: see `read`, and characters that the file does not know.
    """
    published = read(path, dictionary)
    place: dict[str, int] = {}
    for number, character in enumerate(published.characters, 1):
        place.setdefault(character, number)
    everything = "".join(c for c in place if len(c) == 1)
    chosen = everything if charset == "all" else read_characters(charset or USUAL)
    if charset is None and not set(chosen) <= set(place):
        chosen = everything.replace(" ", "")
    unknown = sorted(set(chosen) - set(place))
    if unknown:
        raise InputError(f"{path} does not know {first_few(list(map(repr, unknown)))}; choose a charset without them")
    merged = " " in place and " " not in chosen
    classes = np.array([0, *(place[c] for c in chosen), *([place[" "]] if merged else [])])
    params = published.params | {"classifier": {n: x[..., classes] for n, x in published.params["classifier"].items()}}
    config = {
        "model": {"name": "ppocr", "network": published.network, "space_as_blank": merged, "dtype": "float32"},
        "image": {
            "size": (HEIGHT, WIDTH),
            "channels": 3,
            "keep_ratio": True,
            "backend": "cv2_linear",
            "pad": "grey",
            "widths": WIDER,
        },
        "charset": {
            "characters": chosen,
            "layout": "dtrb_ctc",
            "max_length": 25,
            "lower": False,
            "nfkc": False,
            "drop_outside": False,
        },
        "language_model": {"words": "english" if chosen.isascii() else "none", "weight": 0.5, "width": 16},
    }
    return Converted(config, params, published.batch_stats)


def slots(network: str = "v6_small") -> Iterator[Slot]:
    """The weighted operations of a network, in the order of its graph."""
    yield from _stem(network)
    for number, spec in enumerate(NETWORKS[network]):
        parts = [("depthwise", "depthwise")]
        scaled = network == "mobile"
        parts += [(f"depthwise_affine_{i}", "affine") for i in range(2 * scaled)]
        parts += [(name, "pointwise") for name in ("squeeze", "excite") * spec.attends]
        parts += [] if scaled else [("expand", "pointwise")]
        parts += [("project", "pointwise"), *((f"project_affine_{i}", "affine") for i in range(2 * scaled))]
        yield from (Slot(f"block_{number}/{name}", kind) for name, kind in parts)
    yield from (Slot(f"neck/{slot.path}", slot.kind) for slot in _neck(network))
    yield Slot("classifier", "dense")


def _stem(network: str) -> Iterator[Slot]:
    if network == "v6_small":
        yield from (Slot(f"stem/{name}", "conv") for name in ("halve_0", "branch_0", "branch_1", "halve_1"))
        yield Slot("stem/widen", "pointwise")
        return
    for number in range(2 if network == "v6_tiny" else 1):
        yield from (Slot(f"stem/halve_{number}", "conv"), Slot(f"stem/halve_{number}_norm", "norm"))


def _neck(network: str) -> Iterator[Slot]:
    def normed(*rows: tuple[str, str]) -> Iterator[Slot]:
        for name, kind in rows:
            yield from (Slot(name, kind), Slot(f"{name}_norm", "norm"))

    if network == "v6_tiny":
        yield from normed(("local", "depthwise"), ("mix", "pointwise"))
        yield Slot("narrow", "dense")
        return
    if network == "v6_small":
        yield from normed(("skip", "pointwise"), ("narrow", "pointwise"), ("local", "depthwise"))
    else:
        yield from normed(("local_0", "along"), ("narrow_0", "pointwise"))
    for number in range(NECK_BLOCKS):
        layers = (("norm_0", "layer_norm"), ("qkv", "dense"), ("out", "dense"), ("norm_1", "layer_norm"))
        for name, kind in (*layers, ("expand", "dense"), ("project", "dense")):
            yield Slot(f"attention_{number}/{name}", kind)
    yield Slot("norm", "layer_norm")
    if network == "mobile":
        yield from normed(("widen", "pointwise"), ("local_1", "along"), ("narrow_1", "pointwise"))


# Kind -> the arrays of a module by name, from the tensors of the operation: weights as the file has them.
TO_FLAX = {
    "conv": lambda w, b=None: {"kernel": w.transpose(2, 3, 1, 0)} | _bias(b),
    "along": lambda w: {"kernel": w[:, :, 0].transpose(2, 1, 0)},
    "pointwise": lambda w, b=None: {"kernel": w[:, :, 0, 0].T} | _bias(b),
    "depthwise": lambda w, b=None: {"kernel": w[:, 0].transpose(1, 2, 0)} | _bias(b),
    "dense": lambda w, b: {"kernel": w, "bias": b},
    "layer_norm": lambda scale, bias: {"scale": scale, "bias": bias},
    "affine": lambda scale, bias: {"scale": scale.reshape(1), "bias": bias.reshape(1)},
    "norm": lambda scale, bias, mean, var: {"scale": scale, "bias": bias, "mean": mean, "var": var},
}


def _bias(b: np.ndarray | None) -> dict[str, np.ndarray]:
    return {} if b is None else {"bias": b.reshape(-1)}


def read(path: str | Path, dictionary: str | Path | None = None) -> Published:
    """Loads an ONNX file of a PP-OCR recogniser.

    dictionary: a file with the character of each class on a line, or PaddleOCR's inference.yml; None: the metadata.

    Raises:
      InputError: the package is missing, or a file that is not there, damaged, or of another graph.
    """
    model = _load(path)
    try:
        weighted = _weighted(model, path)
    except (LookupError, TypeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        reason = str(error).splitlines()[0][:120]
        raise InputError(f"{path}: its graph or a tensor is damaged ({reason}); get it again") from error
    expected = {name: list(slots(name)) for name in NETWORKS}
    network = next((name for name, some in expected.items() if len(some) == len(weighted)), None)
    if network is None:
        known = ", ".join(f"{TITLES[name]} has {len(some)}" for name, some in expected.items())
        raise InputError(f"{path}: {len(weighted)} weighted operations, but {known}; it is another model")
    params, stats = {}, {}
    for slot, tensors in zip(expected[network], weighted, strict=True):
        try:
            arrays = TO_FLAX[slot.kind](*tensors)
        except (TypeError, ValueError, IndexError) as error:
            shapes = ", ".join(str(list(t.shape)) for t in tensors)
            raise InputError(f"{path}: {slot.path} cannot be made of tensors {shapes}; it is another model") from error
        for name, array in arrays.items():
            where = stats if name in ("mean", "var") else params
            where[f"{slot.path}/{name}"] = np.ascontiguousarray(array, np.float32)
    _check_sizes(path, network, params)
    characters = _characters(model, path, dictionary, classes=len(params["classifier/bias"]))
    return Published(
        traverse_util.unflatten_dict(params, sep="/"),
        traverse_util.unflatten_dict(stats, sep="/"),
        characters,
        network,
    )


def _check_sizes(path: str | Path, network: str, params: dict[str, np.ndarray]) -> None:
    """Raises InputError for the same operations at another width, such as PP-LCNetV3 at another scale."""
    for number, spec in enumerate(NETWORKS[network]):
        kernel, project = (params[f"block_{number}/{name}/kernel"].shape for name in ("depthwise", "project"))
        if kernel[:2] != (spec.kernel, spec.kernel) or project[1] != spec.channels:
            raise InputError(
                f"{path}: block {number} has a kernel of {kernel[0]}x{kernel[1]} and {project[1]} channels, but "
                f"{spec.kernel}x{spec.kernel} and {spec.channels} in {TITLES[network]}; it is another model"
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
        reason = (str(error).splitlines() or [type(error).__name__])[0][:120]
        raise InputError(f"{path} is not an ONNX file, or not all of one: {reason}") from error


def _weighted(model: Any, path: str | Path) -> list[list[np.ndarray]]:
    """The tensors of every weighted operation in order, biases that follow as additions included.

    Raises:
      InputError: a tensor of more than one number that belongs to none.
    """
    tensors = _tensors(model)
    source: dict[str, int] = {}  # value -> number of the operation whose result it is, through identities
    scaled: dict[str, str] = {}  # result of a multiplication -> its tensor: the first half of a layer norm or affine
    found: list[list[str]] = []
    for node in model.graph.node:
        own = [name for name in node.input if name in tensors]
        given = [name for name in node.input if name not in tensors]
        if node.op_type == "Identity" and given:
            source |= {node.output[0]: source[given[0]]} if given[0] in source else {}
            scaled |= {node.output[0]: scaled[given[0]]} if given[0] in scaled else {}
        elif node.op_type in ("Conv", "MatMul", "BatchNormalization") and own:
            source[node.output[0]] = len(found)
            found.append(own)
        elif node.op_type == "Mul" and len(own) == 1 and tensors[own[0]].ndim <= 1:
            scaled[node.output[0]] = own[0]
        elif node.op_type == "Add" and own and given:
            # Attention scales its queries by [1] and adds []; what is learnt has one shape.
            if given[0] in scaled and tensors[scaled[given[0]]].shape == tensors[own[0]].shape:
                found.append([scaled[given[0]], own[0]])
            elif given[0] in source and len(found[source[given[0]]]) == 1:
                found[source[given[0]]].append(own[0])
    used = {name for names in found for name in names}
    rest = [f"{n} {list(t.shape)}" for n, t in tensors.items() if t.size > 1 and t.dtype.kind == "f" and n not in used]
    if rest:
        raise InputError(f"{path}: tensors that no known operation uses: {first_few(rest)}; it is another model")
    return [[tensors[name] for name in names] for names in found]


def _tensors(model: Any) -> dict[str, np.ndarray]:
    """By name: initialisers, and what Constant nodes hold."""
    from onnx import numpy_helper

    found = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Constant":
            values = [a.t for a in node.attribute if a.name == "value"]
            found |= dict(zip(node.output, map(numpy_helper.to_array, values), strict=False))
    return found


def _characters(model: Any, path: str | Path, dictionary: str | Path | None, classes: int) -> tuple[str, ...]:
    """The characters from class 1 on. Dictionaries may or may not name the blank, and the space at the end."""
    texts = {entry.key: entry.value for entry in model.metadata_props}
    if dictionary is not None:
        lines, where = _read_dictionary(dictionary), str(dictionary)
    elif "character" in texts:
        lines, where = texts["character"].split("\n"), "its metadata"
    else:
        raise InputError(f"{path}: its metadata name no characters; give --characters=FILE, one a line")
    lines = lines[1:] if lines[0] == BLANK else lines
    lines = [*lines, " "] if len(lines) == classes - 2 else lines
    if len(lines) != classes - 1:
        raise InputError(
            f"{path}: {classes} classes, so {classes - 2} characters, a blank and a space; {where} names {len(lines)}"
        )
    return tuple(lines)


def _read_dictionary(file: str | Path) -> list[str]:
    try:
        text = Path(file).read_text(encoding="utf-8-sig")
        if Path(file).suffix in (".yml", ".yaml"):
            import yaml

            return [str(character) for character in yaml.safe_load(text)["PostProcess"]["character_dict"]]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"--characters={file}: {getattr(error, 'strerror', None) or 'not UTF-8'}") from error
    except Exception as error:  # whatever yaml raises for a file of another form
        raise InputError(f"--characters={file}: no list PostProcess.character_dict as in inference.yml") from error
    return text.removesuffix("\n").split("\n")
