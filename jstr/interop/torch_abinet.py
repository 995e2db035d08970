"""Converts published PyTorch weights of ABINet and SemiMTR to variables of abinet, abinet_vision or abinet_language.

Formats: "abinet" (FangShancheng/ABINet) and "semimtr" (amazon-science/semimtr-text-recognition), whose tensors have the
same names. The network and all its sizes are read from the tensors, and every tensor must be used.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from jstr.core import ModelConfig
from jstr.interop.torch_abinet_names import FUSION, LANGUAGE, PARTS, VISION, leaves
from jstr.interop.torch_tensors import Converted, State, arrays_of, make_variables, need
from jstr.models import abinet, abinet_language, abinet_vision
from jstr.nn.resnet45 import BLOCKS
from jstr.nn.transformer import sinusoid
from jstr.text import LAYOUTS, Charset
from jstr.text.messages import InputError

FORMATS = ("abinet", "semimtr")
CHARACTERS = "abcdefghijklmnopqrstuvwxyz1234567890"
MODELS = {"abinet": abinet, "abinet_vision": abinet_vision, "abinet_language": abinet_language}


def convert(
    checkpoint: Mapping[str, Any],
    *,
    charset: str | None = None,
    image_size: tuple[int, int] | None = None,
    iterations: int = 3,
    dtype: Any = np.float32,
) -> Converted:
    """The checkpoint as variables of a model of ABINet. The other arguments are what its tensors do not tell.

    checkpoint: name -> array, or the envelope that the published code saves. Of a SemiMTR with a teacher, the student.
    charset: as in `text.read_characters`; None: ABINet's 36. image_size: (height, width); None: 32x128.
    iterations: rounds of correction of a full network.

    Raises:
      InputError: tensors missing, left over or of an unexpected shape; a charset or an image size that does not fit.
    """
    name, state = _network(_without_prefixes(arrays_of(checkpoint)))
    fields = _fields(name, state)
    size, max_length = tuple(image_size or (32, 128)), _max_length(state)
    spec = CHARACTERS if charset is None else charset
    characters = Charset.make(spec, "abinet", max_length)
    classes = len(need(state, PARTS[name][0] + "cls.weight", 2))
    if classes != characters.num_classes:
        raise InputError(
            f"a charset of {len(characters.characters)} characters makes {characters.num_classes} classes, but the "
            f"checkpoint has {classes}: give the charset"
        )
    position_codes = _check_position_codes(state, size)
    if name == "abinet":
        fields["iterations"] = iterations
    model = MODELS[name].Model(ModelConfig(size, 3, max_length, classes, **vars(LAYOUTS["abinet"])), **fields)
    variables = make_variables(state, leaves(name, fields), model, dtype, unused=position_codes)
    config = {"model": {"name": name, **fields}, **_data_config(size, spec, characters)}
    return Converted(config, variables["params"], variables.get("batch_stats", {}))


def _data_config(size: tuple[int, int], spec: str, characters: Charset) -> dict[str, Any]:
    """config.image and config.charset: the images and texts that the networks were trained on."""
    lower = characters.characters == characters.characters.lower()
    image = {"size": size, "channels": 3, "keep_ratio": False, "backend": "cv2_linear"}
    text = {"characters": spec, "layout": "abinet", "max_length": characters.max_length}
    return {"image": image, "charset": text | {"lower": lower, "nfkc": False, "drop_outside": lower}}


def _without_prefixes(state: State) -> State:
    """Without `model.` of Lightning and `student.` of SemiMTR, whose teacher is left out."""
    if all(key.startswith(("student.", "teacher.")) for key in state):
        state = {k: v for k, v in state.items() if k.startswith("student.")}
    # The language model has a part called model of its own, but not only that.
    for prefix in ("model.", "student."):
        if all(key.startswith(prefix) for key in state):
            state = {key.removeprefix(prefix): value for key, value in state.items()}
    return state


def _network(state: State) -> tuple[str, State]:
    """The name of the model, and its tensors with the prefix of their part."""
    if FUSION + "w_att.weight" in state:
        return "abinet", state
    if VISION + "backbone.resnet.conv1.weight" in state:  # SemiMTR's first stage
        return "abinet_vision", state
    if "backbone.resnet.conv1.weight" in state:
        return "abinet_vision", {VISION + key: value for key, value in state.items()}
    if "proj.weight" in state:
        return "abinet_language", {LANGUAGE + key: value for key, value in state.items()}
    raise InputError(
        "neither a vision model (backbone.resnet.*), a language model (proj.weight) nor both (alignment.*) of ABINet; "
        f"it holds {', '.join(list(state)[:3])}, ..."
    )


def _fields(name: str, state: State) -> dict[str, Any]:
    """Fields of the model, read from the names and shapes of tensors."""
    first = "proj.weight" if name == "abinet_language" else "cls.weight"
    shape = need(state, PARTS[name][0] + first, 2).shape
    fields: dict[str, Any] = {"width": shape[0 if name == "abinet_language" else 1] / 512}
    if name != "abinet_language":
        stages = (_count(state, f"{VISION}backbone.resnet.layer{n}.") for n in range(1, len(BLOCKS) + 1))
        fields["blocks"] = tuple(stages)
        fields["num_layers"] = _count(state, VISION + "backbone.transformer.layers.")
        fields["attention"] = "additive" if VISION + "attention.w0.weight" in state else "position"
    if name != "abinet_vision":
        key = "num_layers" if name == "abinet_language" else "language_layers"
        fields[key] = _count(state, LANGUAGE + "model.layers.")
    return fields


def _count(state: State, prefix: str) -> int:
    """The number of modules in the list of that name."""
    return len({key.removeprefix(prefix).split(".")[0] for key in state if key.startswith(prefix)})


def _max_length(state: State) -> int:
    """Characters in the longest word, by the tensors that have a row for each position."""
    codes = [(LANGUAGE + "pos_encoder.pe", 3), (VISION + "attention.pos_encoder.pe", 3)]
    for key, rank in [*codes, (VISION + "attention.we.weight", 2)]:
        if key in state:
            return len(need(state, key, rank)) - 1
    raise InputError(f"the checkpoint lacks {VISION}attention.pos_encoder.pe, which tells the longest word")


def _check_position_codes(state: State, size: tuple[int, int]) -> set[str]:
    """Names of the buffers of position codes. Raises InputError if they differ from ours or do not fit the images."""
    found = {key for key in state if key.endswith(".pe")}
    for key in sorted(found):
        length, _, width = need(state, key, 3).shape
        if (
            state[key].shape[1] != 1
            or width % 2
            or not np.allclose(state[key][:, 0], sinusoid(length, width), atol=1e-4)
        ):
            raise InputError(f"{key} does not hold the sines and cosines of its positions")
        if key == VISION + "backbone.pos_encoder.pe" and length != size[0] * size[1] // 16:
            raise InputError(f"image_size is {size[0]}x{size[1]}, but {key} has {length} cells of 4x4 pixels")
    return found
