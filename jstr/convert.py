"""Published PyTorch weights of the four-stage recognisers -> parameters of `jstr.models.four_stage`.

Formats: "dtrb" (clovaai/deep-text-recognition-benchmark) and "cr" (Consistency_Regularization_STR, and its ancestor
STR-Fewer-Labels). All sizes are read from the tensors; every tensor must be used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util

from jstr.core import InputError, ModelConfig
from jstr.models.four_stage import Model
from jstr.nn.features import GRCL_STEPS, RESNET_BLOCKS
from jstr.nn.tps import inverse_system, pixel_basis
from jstr.text import LAYOUTS, NAMED, Charset

FORMATS = ("dtrb", "cr")
GRID = "Transformation.GridGenerator."
LOCALIZATION = "Transformation.LocalizationNetwork."
EXTRACTOR = "FeatureExtraction.ConvNet."
CELL = "Prediction.attention_cell."

State = Mapping[str, np.ndarray]


class Converted(NamedTuple):
    """config: plain dict with the keys model, image and charset. params, batch_stats: variables of the model."""

    config: dict[str, Any]
    params: dict[str, Any]
    batch_stats: dict[str, Any]


class Leaf(NamedTuple):
    """One array of ours: where it lives, the tensors it is made of, and how."""

    path: tuple[str, ...]  # collection first
    keys: tuple[str, ...]
    make: Callable[..., np.ndarray]


def convert(
    checkpoint: Mapping[str, Any],
    *,
    format: str,
    charset: str | None = None,
    image_size: tuple[int, int] | None = None,
    max_length: int = 25,
    keep_ratio: bool = False,
    dtype=np.float32,
) -> Converted:
    """Arguments beyond the checkpoint are what tensors do not tell.

    checkpoint: name -> array; a resume file of CR (its "online_model" is taken); a `module.` prefix is removed.
    charset: as in `text.read_characters`; None: 36 or 94, whichever the number of classes fits.
    image_size: (height, width); None: as the spline's buffers say, else (32, 100).
    keep_ratio: the images were padded to the right (--PAD in the original).

    Raises:
      InputError: tensors missing, left over or of an unexpected shape; a charset or an image size that does not fit.
    """
    if format not in FORMATS:
        raise InputError(f"unknown checkpoint format {format!r}; choose one of {', '.join(FORMATS)}")
    state = {key: np.asarray(value) for key, value in state_dict(checkpoint).items()}
    state = {k: v for k, v in state.items() if v.size and not k.endswith("num_batches_tracked")}
    fields = model_fields(state)
    if fields["prediction"] == "attention" and (format == "dtrb") != (fields["token_embedding"] == "one_hot"):
        other = "cr" if format == "dtrb" else "dtrb"
        raise InputError(f"this checkpoint reads {fields['token_embedding']} tokens, as format {other!r} does: use it")
    size = _image_size(state, image_size)
    characters = _charset(state, f"{format}_{fields['prediction']}", charset, max_length)
    channels = int(_need(state, _first_convolution(fields["features"])).shape[1])
    layout = LAYOUTS[characters["layout"]]
    classes = _num_classes(state)
    config = ModelConfig(size, channels, max_length, classes, **vars(layout))
    variables = _assign(state, list(_leaves(fields)), Model(config, **fields), dtype)
    image = {"size": size, "channels": channels, "keep_ratio": keep_ratio, "backend": "pillow"}
    described = {"model": {"name": "four_stage", **fields}, "image": image, "charset": characters}
    return Converted(described, variables["params"], variables.get("batch_stats", {}))


def state_dict(checkpoint: Mapping[str, Any]) -> dict[str, Any]:
    """The tensors of a checkpoint by name, without the envelope of a resume file and the prefix of DataParallel."""
    state = checkpoint.get("online_model", checkpoint)
    nested = [key for key, value in state.items() if not hasattr(value, "shape")]
    if nested or not state:
        raise InputError(f"not a state dict of tensors: it holds {', '.join(map(repr, nested[:5])) or 'nothing'}")
    if all(key.startswith("module.") for key in state):
        state = {key.removeprefix("module."): value for key, value in state.items()}
    return dict(state)


def model_fields(state: State) -> dict[str, Any]:
    """Fields of `four_stage.Model`, read from names and shapes."""
    tps = LOCALIZATION + "conv.0.weight" in state
    bilstm = "SequenceModeling.0.rnn.weight_hh_l0" in state
    attention = CELL + "i2h.weight" in state
    features = next((f for f, key in _LAST_CONVOLUTION.items() if key in state), None)
    if features is None:
        raise InputError(f"no known feature extractor: none of {', '.join(_LAST_CONVOLUTION.values())} is there")
    fields = {
        "transformation": "tps" if tps else "none",
        "features": features,
        "sequence": "bilstm" if bilstm else "none",
        "prediction": "attention" if attention else "ctc",
        "output_channels": int(state[_LAST_CONVOLUTION[features]].shape[0]),
        "projection": _projection(state),
    }
    if bilstm or attention:
        key = CELL + "rnn.weight_hh" if attention else "SequenceModeling.0.rnn.weight_hh_l0"
        fields["hidden_size"] = int(_need(state, key).shape[1])
    if tps:
        fields["num_fiducials"] = _need(state, LOCALIZATION + "localization_fc2.bias").size // 2
        fields["localization_channels"] = int(_need(state, LOCALIZATION + "conv.12.weight").shape[0])
    if attention:
        embedding = state.get("Prediction.char_embeddings.weight")
        fields["token_embedding"] = "one_hot" if embedding is None else "learned"
        if embedding is not None and embedding.shape[1] != fields["hidden_size"]:
            fields["embedding_size"] = int(embedding.shape[1])
    return fields


_LAST_CONVOLUTION = {
    "resnet": EXTRACTOR + "conv4_2.weight",
    "rcnn": EXTRACTOR + "9.weight",
    "vgg": EXTRACTOR + "18.weight",
}


def _first_convolution(features: str) -> str:
    return EXTRACTOR + ("conv0_1.weight" if features == "resnet" else "0.weight")


def _projection(state: State) -> str:
    if "Prediction.projection_head.w_1.weight" in state:
        return "mlp"
    linear = {"Prediction.projection_head.weight", "project_head.weight"}
    return "linear" if linear & state.keys() else "none"


def _need(state: State, key: str) -> np.ndarray:
    if key not in state:
        raise InputError(f"the checkpoint lacks {key}")
    return state[key]


def _num_classes(state: State) -> int:
    key = "Prediction.generator.weight" if CELL + "i2h.weight" in state else "Prediction.weight"
    return int(_need(state, key).shape[0])


def _image_size(state: State, wanted: tuple[int, int] | None) -> tuple[int, int]:
    """(height, width) from the buffers of the spline, which are compared with ours; without them, what is wanted."""
    if GRID + "P_hat" not in state:
        return tuple(wanted or (32, 100))
    basis = state[GRID + "P_hat"]
    corner = 1.0 + basis[0, 1:3].astype(np.float64)  # half a pixel
    width, height = (int(round(1.0 / max(x, 1e-9))) for x in corner)
    count = basis.shape[1] - 3
    if height * width != len(basis) or not np.allclose(basis, pixel_basis(count, height, width), atol=1e-4):
        raise InputError(f"{GRID}P_hat is not the basis of a spline with {count} points")
    inverse = state.get(GRID + "inv_delta_C")
    if inverse is not None and not np.allclose(inverse, inverse_system(count), rtol=1e-4, atol=1e-4):
        raise InputError(f"{GRID}inv_delta_C is not the inverse system of a spline with {count} points")
    if wanted is not None and tuple(wanted) != (height, width):
        raise InputError(f"image_size is {wanted[0]}x{wanted[1]}, but the spline was made for {height}x{width}")
    return height, width


def _charset(state: State, layout: str, spec: str | None, max_length: int) -> dict[str, Any]:
    classes, first_id = _num_classes(state), LAYOUTS[layout].first_id
    if spec is None:
        spec = {first_id + len(NAMED[name]): name for name in ("36", "94")}.get(classes)
    if spec is None:
        raise InputError(
            f"{classes} classes are neither 36 nor 94 characters and {first_id} specials ({layout}): give the charset"
        )
    charset = Charset.make(spec, layout, max_length)
    if charset.num_classes != classes:
        raise InputError(
            f"charset of {len(charset.characters)} characters and {first_id} specials ({layout}) makes "
            f"{charset.num_classes} classes, but the checkpoint has {classes}"
        )
    lower = charset.characters == charset.characters.lower()
    characters = spec if spec in NAMED else charset.characters
    normalise = {"lower": lower, "nfkc": False, "drop_outside": False}
    return {"characters": characters, "layout": layout, "max_length": max_length, **normalise}


def _assign(state: State, leaves: list[Leaf], model: Model, dtype) -> dict[str, Any]:
    """Variables of `model`, each from its tensors. Raises InputError for every tensor that does not fit, at once."""
    images = jnp.zeros((1, *model.config.image_size, model.config.channels))
    shapes = jax.eval_shape(lambda: model.init(jax.random.key(0), images, train=False))
    shapes = traverse_util.flatten_dict(dict(shapes))
    used = {key for leaf in leaves for key in leaf.keys} | {GRID + "P_hat", GRID + "inv_delta_C"}
    missing = [key for leaf in leaves for key in leaf.keys if key not in state]
    _refuse("lacks", missing)
    _refuse("holds unknown", [key for key in state if key not in used])
    arrays, misshapen = {}, []
    for leaf in leaves:
        tensors = [state[key].astype(dtype) for key in leaf.keys]
        try:
            arrays[leaf.path] = leaf.make(*tensors)
        except ValueError:  # ranks or shapes that do not go together
            arrays[leaf.path] = np.zeros(0)
        if arrays[leaf.path].shape != shapes[leaf.path].shape:
            misshapen += [f"{key} {list(tensor.shape)}" for key, tensor in zip(leaf.keys, tensors, strict=True)]
    _refuse("has unexpected shapes in", misshapen)
    if arrays.keys() != shapes.keys():
        raise AssertionError(f"converter and model disagree: {sorted(arrays.keys() ^ shapes.keys())}")
    return traverse_util.unflatten_dict(arrays)


def _refuse(what: str, names: list[str]) -> None:
    if names:
        more = f" and {len(names) - 20} more" if len(names) > 20 else ""
        raise InputError(f"the checkpoint {what} {len(names)} tensor(s): {', '.join(names[:20])}{more}")


# How one array is made of tensors. Torch stores matrices as [out, in] and convolutions as [out, in, height, width].


def _copy(x):
    return x


def _dense(x):
    return x.transpose()


def _convolution(x):
    return x.transpose(2, 3, 1, 0)


def _pointwise(x):
    return x.squeeze(-1).transpose()


def _sum(a, b):  # torch has two biases where one is enough
    return a + b


def _stack_dense(*matrices):
    return np.stack([m.transpose() for m in matrices])


def _stack_sums(a, b, c, d):
    return np.stack([a + b, c + d])


def _layer(path: tuple[str, ...], key: str, make: Callable, bias: bool = True) -> Iterable[Leaf]:
    yield Leaf(("params", *path, "kernel"), (key + ".weight",), make)
    if bias:
        yield Leaf(("params", *path, "bias"), (key + ".bias",), _copy)


def _norm(path: tuple[str, ...], key: str) -> Iterable[Leaf]:
    yield Leaf(("params", *path, "scale"), (key + ".weight",), _copy)
    yield Leaf(("params", *path, "bias"), (key + ".bias",), _copy)
    yield Leaf(("batch_stats", *path, "mean"), (key + ".running_mean",), _copy)
    yield Leaf(("batch_stats", *path, "var"), (key + ".running_var",), _copy)


def _conv_norm(path: tuple[str, ...], conv_key: str, norm_key: str) -> Iterable[Leaf]:
    yield from _layer((*path, "conv"), conv_key, _convolution, bias=False)
    yield from _norm((*path, "norm"), norm_key)


def _leaves(fields: Mapping[str, Any]) -> Iterable[Leaf]:
    if fields["transformation"] == "tps":
        yield from _localization()
    yield from _EXTRACTORS[fields["features"]]()
    if fields["sequence"] == "bilstm":
        for index in range(2):
            yield from _bilstm(index)
    yield from (_attention(fields) if fields["prediction"] == "attention" else _ctc(fields))


def _localization() -> Iterable[Leaf]:
    path = ("rectifier", "localization")
    for index in range(4):
        key = f"{LOCALIZATION}conv."
        yield from _conv_norm((*path, f"conv_{index}"), f"{key}{4 * index}", f"{key}{4 * index + 1}")
    yield from _layer((*path, "fc1"), LOCALIZATION + "localization_fc1.0", _dense)
    yield from _layer((*path, "fc2"), LOCALIZATION + "localization_fc2", _dense)


def _vgg() -> Iterable[Leaf]:
    for index, key in ((0, 0), (1, 3), (2, 6), (3, 8), (6, 18)):
        yield from _layer(("extractor", f"conv_{index}"), f"{EXTRACTOR}{key}", _convolution)
    for index, key in ((4, 11), (5, 14)):
        yield from _conv_norm(("extractor", f"conv_{index}"), f"{EXTRACTOR}{key}", f"{EXTRACTOR}{key + 1}")


def _rcnn() -> Iterable[Leaf]:
    yield from _layer(("extractor", "conv_0"), EXTRACTOR + "0", _convolution)
    yield from _conv_norm(("extractor", "conv_1"), EXTRACTOR + "9", EXTRACTOR + "10")
    convolutions = {"gate_input": "wgf_u", "gate_state": "wgr_x", "input": "wf_u", "state": "wr_x"}
    norms = {"gate_input": "gfu", "gate_state": "grx", "input": "fu", "state": "rx", "gated": "Gx"}
    for index in range(3):
        path, key = ("extractor", f"grcl_{index}"), f"{EXTRACTOR}{3 + 2 * index}."
        for name, theirs in convolutions.items():
            yield from _layer((*path, name), key + theirs, _convolution, bias=False)
        yield from _norm((*path, "norm"), key + "BN_x_init")
        for t in range(GRCL_STEPS):
            for name, theirs in norms.items():
                yield from _norm((*path, f"{name}_norm_{t}"), f"{key}GRCL.{t}.BN_{theirs}")


def _resnet() -> Iterable[Leaf]:
    for name in ("0_1", "0_2", "1", "2", "3", "4_1", "4_2"):
        yield from _conv_norm(("extractor", f"conv{name}"), f"{EXTRACTOR}conv{name}", f"{EXTRACTOR}bn{name}")
    for number, blocks in enumerate(RESNET_BLOCKS, 1):
        for block in range(blocks):
            path, key = ("extractor", f"layer{number}_{block}"), f"{EXTRACTOR}layer{number}.{block}."
            yield from _conv_norm((*path, "conv_0"), key + "conv1", key + "bn1")
            yield from _conv_norm((*path, "conv_1"), key + "conv2", key + "bn2")
            if block == 0 and number < 4:  # the number of channels changes
                yield from _conv_norm((*path, "shortcut"), key + "downsample.0", key + "downsample.1")


_EXTRACTORS = {"vgg": _vgg, "rcnn": _rcnn, "resnet": _resnet}


def _bilstm(index: int) -> Iterable[Leaf]:
    path, key = ("params", f"sequence_{index}", "lstm"), f"SequenceModeling.{index}.rnn."
    suffixes = ("_l0", "_l0_reverse")
    yield Leaf((*path, "input_kernel"), tuple(f"{key}weight_ih{s}" for s in suffixes), _stack_dense)
    yield Leaf((*path, "recurrent_kernel"), tuple(f"{key}weight_hh{s}" for s in suffixes), _stack_dense)
    yield Leaf((*path, "bias"), tuple(f"{key}bias_{b}{s}" for s in suffixes for b in ("ih", "hh")), _stack_sums)
    yield from _layer((f"sequence_{index}", "linear"), f"SequenceModeling.{index}.linear", _dense)


def _ctc(fields: Mapping[str, Any]) -> Iterable[Leaf]:
    yield from _classifier("Prediction")
    if fields["projection"] == "linear":
        yield from _layer(("decoder", "projection", "out"), "project_head", _dense)


def _classifier(key: str) -> Iterable[Leaf]:
    yield Leaf(("params", "decoder", "classifier_kernel"), (key + ".weight",), _dense)
    yield Leaf(("params", "decoder", "classifier_bias"), (key + ".bias",), _copy)


def _attention(fields: Mapping[str, Any]) -> Iterable[Leaf]:
    path = ("params", "decoder")
    yield Leaf((*path, "memory_kernel"), (CELL + "i2h.weight",), _dense)
    yield Leaf((*path, "query_kernel"), (CELL + "h2h.weight",), _dense)
    yield Leaf((*path, "query_bias"), (CELL + "h2h.bias",), _copy)
    yield Leaf((*path, "score_kernel"), (CELL + "score.weight",), _dense)
    yield Leaf((*path, "input_kernel"), (CELL + "rnn.weight_ih",), _dense)
    yield Leaf((*path, "recurrent_kernel"), (CELL + "rnn.weight_hh",), _dense)
    yield Leaf((*path, "bias"), (CELL + "rnn.bias_ih", CELL + "rnn.bias_hh"), _sum)
    yield from _classifier("Prediction.generator")
    if fields["token_embedding"] == "learned":
        yield Leaf((*path, "embedding"), ("Prediction.char_embeddings.weight",), _copy)
    projection, key = ("decoder", "projection"), "Prediction.projection_head"
    if fields["projection"] == "linear":
        yield from _layer((*projection, "out"), key, _dense)
    if fields["projection"] == "mlp":
        yield from _layer((*projection, "hidden"), key + ".w_1", _pointwise)
        yield Leaf(("params", *projection, "norm", "scale"), (key + ".layer_norm.weight",), _copy)
        yield Leaf(("params", *projection, "norm", "bias"), (key + ".layer_norm.bias",), _copy)
        yield from _layer((*projection, "out"), key + ".w_2", _pointwise)
