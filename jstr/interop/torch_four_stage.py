"""Converts published PyTorch weights of four-stage recognisers to variables of `jstr.models.four_stage`.

Formats: "dtrb" (clovaai/deep-text-recognition-benchmark) and "cr" (Caiyuan-Zheng/Consistency_Regularization_STR and
its ancestor ku21fan/STR-Fewer-Labels). All sizes are read from the tensors, and every tensor must be used.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from jstr.core import ModelConfig
from jstr.interop.torch_four_stage_names import CELL, EXTRACTOR, GRID, LOCALIZATION, leaves
from jstr.interop.torch_tensors import Converted, State, arrays_of, make_variables, need
from jstr.models.four_stage import Model
from jstr.nn.tps import inverse_system, pixel_basis
from jstr.text import LAYOUTS, NAMED, Charset
from jstr.text.messages import InputError, check_choice

FORMATS = ("dtrb", "cr")


def convert(
    checkpoint: Mapping[str, Any],
    *,
    format: str,
    charset: str | None = None,
    image_size: tuple[int, int] | None = None,
    max_length: int = 25,
    keep_ratio: bool = False,
    dtype: Any = np.float32,
) -> Converted:
    """The checkpoint as variables of `four_stage.Model`. The other arguments are what its tensors do not tell.

    checkpoint: name -> array, or a resume file of CR, of which its "online_model" is taken.
    charset: as in `text.read_characters`; None: 36 or 94, whichever fits the number of classes.
    image_size: (height, width); None: that of the spline's buffers, else (32, 100).
    keep_ratio: whether images were padded to the right (--PAD in the original).

    Raises:
      InputError: tensors missing, left over or of an unexpected shape; a charset or an image size that does not fit.
    """
    check_choice("format", format, FORMATS)
    state = arrays_of(checkpoint)
    fields = model_fields(state)
    if fields["prediction"] == "attention" and (format == "dtrb") != (fields["token_embedding"] == "one_hot"):
        other = "cr" if format == "dtrb" else "dtrb"
        raise InputError(f"this checkpoint has {fields['token_embedding']} token embeddings: use format {other!r}")
    size = _image_size(state, image_size)
    characters = _charset(state, f"{format}_{fields['prediction']}", charset, max_length)
    channels = need(state, _first_convolution(fields["features"]), 4).shape[1]
    layout = LAYOUTS[characters["layout"]]
    model = Model(ModelConfig(size, channels, max_length, _num_classes(state), **vars(layout)), **fields)
    variables = make_variables(state, leaves(fields), model, dtype, unused=(GRID + "P_hat", GRID + "inv_delta_C"))
    image = {"size": size, "channels": channels, "keep_ratio": keep_ratio, "backend": "pillow"}
    config = {"model": {"name": "four_stage", **fields}, "image": image, "charset": characters}
    return Converted(config, variables["params"], variables.get("batch_stats", {}))


def model_fields(state: State) -> dict[str, Any]:
    """Fields of `four_stage.Model`, read from the names and shapes of tensors."""
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
        "output_channels": need(state, _LAST_CONVOLUTION[features], 4).shape[0],
        "projection": _projection(state),
    }
    if bilstm or attention:
        key = CELL + "rnn.weight_hh" if attention else "SequenceModeling.0.rnn.weight_hh_l0"
        fields["hidden_size"] = need(state, key, 2).shape[1]
    if tps:
        fields["num_fiducials"] = need(state, LOCALIZATION + "localization_fc2.bias", 1).size // 2
        fields["localization_channels"] = need(state, LOCALIZATION + "conv.12.weight", 4).shape[0]
    if attention:
        embedding = "Prediction.char_embeddings.weight"
        fields["token_embedding"] = "learned" if embedding in state else "one_hot"
        if embedding in state and (size := need(state, embedding, 2).shape[1]) != fields["hidden_size"]:
            fields["embedding_size"] = size
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


def _num_classes(state: State) -> int:
    key = "Prediction.generator.weight" if CELL + "i2h.weight" in state else "Prediction.weight"
    return need(state, key, 2).shape[0]


def _image_size(state: State, wanted: tuple[int, int] | None) -> tuple[int, int]:
    """(height, width) from the spline's buffers, which must equal ours; without them, what is wanted or 32x100."""
    if GRID + "P_hat" not in state:
        return tuple(wanted or (32, 100))
    basis = need(state, GRID + "P_hat", 2)
    corner = 1.0 + basis[0, 1:3].astype(np.float64)  # half a pixel
    width, height = (int(round(1.0 / max(x, 1e-9))) for x in np.resize(corner, 2))
    count = basis.shape[1] - 3
    if height * width != len(basis) or count < 4 or count % 2 or not _close(basis, pixel_basis(count, height, width)):
        raise InputError(f"{GRID}P_hat is not the basis of a spline with {count} points")
    inverse = state.get(GRID + "inv_delta_C")
    if inverse is not None and not _close(inverse, inverse_system(count)):
        raise InputError(f"{GRID}inv_delta_C is not the inverse system of a spline with {count} points")
    if wanted is not None and tuple(wanted) != (height, width):
        raise InputError(f"image_size is {wanted[0]}x{wanted[1]}, but the spline was made for {height}x{width}")
    return height, width


def _close(found: np.ndarray, expected: np.ndarray) -> bool:
    return found.shape == expected.shape and np.allclose(found, expected, rtol=1e-4, atol=1e-4)


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
