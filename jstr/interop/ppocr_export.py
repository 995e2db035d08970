"""Writes the weights of a run into the ONNX graph of PP-OCR that they came from, for RapidOCR and PaddleOCR's users.

RapidOCR reads with the file by RapidOCR(params={"Rec.model_path": FILE}). Needs the package `onnx`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from flax import traverse_util

from jstr.interop import ppocr, weights
from jstr.text import Charset
from jstr.text.messages import InputError, first_few

NAMES = {"v6_small": "ppocrv6-small", "v6_tiny": "ppocrv6-tiny"}  # network -> the reader of weights.NAMES that has it
NEVER = -1e4  # bias of a class that must not be read
KERNEL, BIAS = "classifier/kernel", "classifier/bias"


def write(workdir: str | Path, original_onnx: str | Path | None, out: str | Path, cut: bool = False) -> str:
    """Writes `out`: the graph of original_onnx with the weights of a run; returns a line that says what it reads.

    Tensors that the run did not change keep their bytes, so unchanged weights give the same file. Classes outside the
    run's charset keep the weights of original_onnx. cut: they are left out instead, so that the file reads the charset
    of the run and no more, which is right where training moved the features below them. original_onnx: a file or a
    name; None: the published reader of the run's network.

    Raises:
      InputError: a run of another model than the file's, characters that the file has no class for (without `cut`), or
        a file that cannot be read or written.
    """
    config, ours = _of_run(workdir)
    original_onnx = original_onnx or _published(config["model"], workdir)
    original_onnx, dictionary, _ = weights.find_onnx(original_onnx) or (original_onnx, None, None)
    published = ppocr.read(original_onnx, dictionary)  # says in a line what is wrong, also that the package is missing
    import onnx

    theirs = _flat(published.params, published.batch_stats)
    charset = Charset.make(**config["charset"]).characters
    model = onnx.load(str(original_onnx))
    places = _places(model, theirs, original_onnx, dictionary)
    head = {name: ours[name] for name in (KERNEL, BIAS)}
    if cut:
        head, kept = _own_classes(head, charset, bool(config["model"].get("space_as_blank")))
    else:
        head, kept = _all_classes(head, charset, published.characters, theirs, original_onnx), None
    _check_same_model(ours, theirs, workdir, original_onnx)
    if kept is not None:
        _cut(model, places, head, kept)
        places = {name: place for name, place in places.items() if name not in head}
    _replace(model, {name: array for name, array in (ours | head).items() if name in places}, places)
    try:
        Path(out).write_bytes(model.SerializeToString())
    except OSError as error:
        raise InputError(f"{out}: {error.strerror}") from error
    if kept is not None:
        return f"{out}: reads the {len(charset):,} characters of {workdir}"
    rest = len(published.characters) - len(set(charset) | {" "})
    return f"{out}: {len(charset):,} characters of {workdir}; {rest:,} others keep the weights of {original_onnx}"


def _published(model: Mapping[str, Any], workdir: str | Path) -> str:
    """The name of the published reader of a network. Raises InputError: there are several."""
    network = model.get("network", "v6_small")
    if network not in NAMES:
        raise InputError(f"{workdir}: several published files have its network; give --original=NAME or FILE.onnx")
    return NAMES[network]


def _of_run(workdir: str | Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """(config, arrays by path within the model) of a run. Raises InputError: of another model."""
    config = weights.read_meta(workdir)["config"]
    if not config["model"]["name"].startswith("ppocr"):
        raise InputError(
            f"{workdir} is a run of {config['model']['name']}; only PP-OCR's recognisers have such a graph"
        )
    saved = weights.load_variables(workdir, config.get("eval_weights", "student"))
    return config, _flat(saved["params"]["model"], saved["model_state"].get("batch_stats", {}))


def _flat(*trees: Mapping[str, Any]) -> dict[str, np.ndarray]:
    found: dict[str, np.ndarray] = {}
    for tree in trees:
        found |= {k: np.asarray(v, np.float32) for k, v in traverse_util.flatten_dict(dict(tree), sep="/").items()}
    return found


def _tensors(model: Any) -> Iterator[Any]:
    """The float32 tensors of a graph: its initialisers, and those that nodes hold."""
    held = (a.t for node in model.graph.node if node.op_type == "Constant" for a in node.attribute if a.name == "value")
    yield from (t for t in (*model.graph.initializer, *held) if t.data_type == 1)


def _places(
    model: Any, theirs: Mapping[str, np.ndarray], file: str | Path, dictionary: Path | None
) -> dict[str, np.ndarray]:
    """Path within the model -> where each of its numbers is, counting those of all `_tensors`; integers of its shape.

    Found by reading the same graph with the numbers 0, 1, 2 ... for weights, so whatever `read` does to order and
    shape is undone without a second description of it.
    """
    from onnx import numpy_helper

    numbered = type(model)()
    numbered.CopyFrom(model)
    values, start = [], 0
    for tensor in _tensors(numbered):
        array = numpy_helper.to_array(tensor)
        values.append(array.reshape(-1))
        count = np.arange(start, start + array.size, dtype=np.float32).reshape(array.shape)
        tensor.CopyFrom(numpy_helper.from_array(count, tensor.name))
        start += array.size
    if start >= 2**24:
        raise InputError(f"{file}: {start:,} weights are more than this can number")
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "numbered.onnx"
        copy.write_bytes(numbered.SerializeToString())
        published = ppocr.read(copy, dictionary)
    everything = np.concatenate(values)
    places = {k: v.astype(np.int64) for k, v in _flat(published.params, published.batch_stats).items()}
    for name, place in places.items():
        if not np.array_equal(everything[place], theirs[name]):
            raise InputError(f"{file}: {name} is not stored as it is read, so it cannot be written back")
    return places


def _all_classes(
    head: dict[str, np.ndarray],
    charset: str,
    characters: Sequence[str],
    theirs: Mapping[str, np.ndarray],
    file: str | Path,
) -> dict[str, np.ndarray]:
    """The classifier with all classes of the file, of which those of the run are replaced."""
    known: dict[str, int] = {}
    for number, c in enumerate(characters, 1):
        known.setdefault(c, number)  # of those that a dictionary names twice, the first is read
    unknown = sorted(set(charset) - set(known))
    if unknown:
        raise InputError(f"{file} has no class for {first_few(list(map(repr, unknown)))}; give --cut")
    classes = [0, *(known[c] for c in charset)]
    classes += [known[" "]] * (head[BIAS].shape[0] - len(classes))  # the space that counts as blank
    result = {}
    for name, array in head.items():
        result[name] = theirs[name].copy()
        if result[name].shape[:-1] == array.shape[:-1]:  # otherwise another model, which is said later
            result[name][..., classes] = array
    return result


def _own_classes(
    head: dict[str, np.ndarray], charset: str, space_as_blank: bool
) -> tuple[dict[str, np.ndarray], list[str]]:
    """(the classifier in the order of such files: blank, dictionary, space; the dictionary)."""
    dictionary = [c for c in charset if c != " "]
    place = {c: number for number, c in enumerate(charset, 1)}
    space = len(charset) + 1 if space_as_blank else place.get(" ")
    order = [0, *(place[c] for c in dictionary), *([] if space is None else [space])]
    found = {name: array[..., order] for name, array in head.items()}
    if space is None:  # readers of such files expect a last class for it
        found[KERNEL] = np.concatenate([found[KERNEL], np.zeros_like(found[KERNEL][:, :1])], axis=1)
        found[BIAS] = np.append(found[BIAS], np.float32(NEVER))
    return found, dictionary


def _check_same_model(
    ours: Mapping[str, np.ndarray], theirs: Mapping[str, np.ndarray], workdir: str | Path, file: str | Path
) -> None:
    """Raises InputError where a parameter is missing on either side or differs in shape, except for classes."""
    shapes = [{k: v.shape for k, v in side.items() if k != BIAS} for side in (ours, theirs)]
    for side in shapes:
        side[KERNEL] = side[KERNEL][:-1]
    different = [k for k in shapes[0] | shapes[1] if shapes[0].get(k) != shapes[1].get(k)]
    if different:
        raise InputError(f"{workdir} is another model than {file}; they differ at {first_few(different)}")


def _replace(model: Any, arrays: Mapping[str, np.ndarray], places: Mapping[str, np.ndarray]) -> None:
    """Puts arrays into the tensors of the graph; a tensor without a change keeps its bytes."""
    from onnx import numpy_helper

    old = [numpy_helper.to_array(tensor) for tensor in _tensors(model)]
    new = np.concatenate([array.reshape(-1) for array in old])
    for name, array in arrays.items():
        new[places[name]] = array
    start = 0
    for tensor, array in zip(_tensors(model), old, strict=True):
        changed = new[start : start + array.size].reshape(array.shape)
        start += array.size
        if changed.tobytes() != array.tobytes():
            tensor.CopyFrom(numpy_helper.from_array(changed, tensor.name))


def _cut(model: Any, places: Mapping[str, np.ndarray], head: Mapping[str, np.ndarray], dictionary: list[str]) -> None:
    """Replaces the tensors of the classifier by smaller or larger ones, and the dictionary."""
    from onnx import helper, numpy_helper

    start, classes = 0, len(head[BIAS])
    for tensor in list(_tensors(model)):
        size = int(np.prod(tensor.dims))
        for name, array in head.items():
            if places[name].min() == start:
                tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(array), tensor.name))
        start += size
    published = places[BIAS].size
    for info in (*model.graph.output, *model.graph.value_info):
        dims = info.type.tensor_type.shape.dim
        if len(dims) and dims[-1].dim_value == published:
            dims[-1].dim_value = classes
    texts = {entry.key: entry.value for entry in model.metadata_props} | {"character": "\n".join(dictionary)}
    del model.metadata_props[:]
    helper.set_model_props(model, texts)
