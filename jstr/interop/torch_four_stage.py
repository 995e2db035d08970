"""Published PyTorch weights of the four-stage recognisers -> parameters of `jstr.models.four_stage`.

Formats: "dtrb" (clovaai/deep-text-recognition-benchmark) and "cr" (Consistency_Regularization_STR, and its ancestor
STR-Fewer-Labels). All sizes are read from the tensors; every tensor must be used.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util

from jstr.core import InputError, ModelConfig
from jstr.interop.torch_names import CELL, EXTRACTOR, GRID, LOCALIZATION, Leaf, leaves
from jstr.models.four_stage import Model
from jstr.nn.tps import inverse_system, pixel_basis
from jstr.text import LAYOUTS, NAMED, Charset

FORMATS = ("dtrb", "cr")

State = Mapping[str, np.ndarray]


class Converted(NamedTuple):
    """config: plain dict with the keys model, image and charset. params, batch_stats: variables of the model."""

    config: dict[str, Any]
    params: dict[str, Any]
    batch_stats: dict[str, Any]


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
    channels = int(need(state, _first_convolution(fields["features"])).shape[1])
    layout = LAYOUTS[characters["layout"]]
    classes = _num_classes(state)
    config = ModelConfig(size, channels, max_length, classes, **vars(layout))
    shapes = _shapes(Model(config, **fields))
    variables = assign(state, list(leaves(fields)), shapes, dtype, known={GRID + "P_hat", GRID + "inv_delta_C"})
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
        fields["hidden_size"] = int(need(state, key).shape[1])
    if tps:
        fields["num_fiducials"] = need(state, LOCALIZATION + "localization_fc2.bias").size // 2
        fields["localization_channels"] = int(need(state, LOCALIZATION + "conv.12.weight").shape[0])
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


def need(state: State, key: str) -> np.ndarray:
    """The tensor of that name. Raises InputError if there is none."""
    if key not in state:
        raise InputError(f"the checkpoint lacks {key}")
    return state[key]


def _num_classes(state: State) -> int:
    key = "Prediction.generator.weight" if CELL + "i2h.weight" in state else "Prediction.weight"
    return int(need(state, key).shape[0])


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


def _shapes(model: Model) -> dict[str, Any]:
    images = jnp.zeros((1, *model.config.image_size, model.config.channels))
    return dict(jax.eval_shape(lambda: model.init(jax.random.key(0), images, train=False)))


def assign(state: State, leaves: list[Leaf], shapes: dict[str, Any], dtype, known=frozenset()) -> dict[str, Any]:
    """Variables of the given shapes, each from its tensors; `known` are tensors that need not be used.

    Raises:
      InputError: names every tensor that is missing, left over or of another shape.
    """
    shapes = traverse_util.flatten_dict(shapes)
    used = {key for leaf in leaves for key in leaf.keys} | known
    missing = [key for leaf in leaves for key in leaf.keys if key not in state]
    refuse("lacks", missing)
    refuse("holds unknown", [key for key in state if key not in used])
    arrays, misshapen = {}, []
    for leaf in leaves:
        tensors = [state[key].astype(dtype) for key in leaf.keys]
        try:
            arrays[leaf.path] = leaf.make(*tensors)
        except ValueError:  # ranks or shapes that do not go together
            arrays[leaf.path] = np.zeros(0)
        if arrays[leaf.path].shape != shapes[leaf.path].shape:
            misshapen += [f"{key} {list(tensor.shape)}" for key, tensor in zip(leaf.keys, tensors, strict=True)]
    refuse("has unexpected shapes in", misshapen)
    if arrays.keys() != shapes.keys():
        raise AssertionError(f"converter and model disagree: {sorted(arrays.keys() ^ shapes.keys())}")
    return traverse_util.unflatten_dict(arrays)


def refuse(what: str, names: list[str]) -> None:
    """Raises InputError if there are names."""
    if names:
        more = f" and {len(names) - 20} more" if len(names) > 20 else ""
        raise InputError(f"the checkpoint {what} {len(names)} tensor(s): {', '.join(names[:20])}{more}")
