"""Published PyTorch weights of ABINet and SemiMTR -> parameters of the models abinet, abinet_vision, abinet_language.

Formats: "abinet" (FangShancheng/ABINet) and "semimtr" (amazon-science/semimtr-text-recognition), which name their
tensors alike. Which network it is and all its sizes are read from the tensors; every tensor must be used.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jstr.core import InputError, ModelConfig
from jstr.interop.torch_four_stage import Converted, State, assign, need, state_dict
from jstr.interop.torch_names import Leaf, conv_norm, convolution, copy, dense, layer, norm
from jstr.models import abinet, abinet_language, abinet_vision
from jstr.models.abinet_vision import HEADS
from jstr.nn.resnet45 import BLOCKS
from jstr.nn.transformer import sinusoid
from jstr.text import LAYOUTS, Charset

FORMATS = ("abinet", "semimtr")
CHARACTERS = "abcdefghijklmnopqrstuvwxyz1234567890"
MODELS = {"abinet": abinet, "abinet_vision": abinet_vision, "abinet_language": abinet_language}
VISION, LANGUAGE, FUSION = "vision.", "language.", "alignment."


def convert(
    checkpoint: Mapping[str, Any],
    *,
    charset: str | None = None,
    image_size: tuple[int, int] | None = None,
    iterations: int = 3,
    dtype=np.float32,
) -> Converted:
    """Arguments beyond the checkpoint are what tensors do not tell.

    checkpoint: name -> array, or the envelope that the published code saves; of a SemiMTR with a teacher the student is
    taken. charset: as in `text.read_characters`; None: ABINet's 36. image_size: (height, width); None: 32x128.
    iterations: rounds of correction of a full network.

    Raises:
      InputError: tensors missing, left over or of an unexpected shape; a charset or an image size that does not fit.
    """
    state = _bare({key: np.asarray(value) for key, value in unwrapped(checkpoint).items()})
    state = {k: v for k, v in state.items() if not k.endswith("num_batches_tracked")}
    name, state = _network(state)
    fields = _fields(name, state)
    size = tuple(image_size or (32, 128))
    max_length = _max_length(state)
    spec = CHARACTERS if charset is None else charset
    characters = Charset.make(spec, "abinet", max_length)
    classes = len(need(state, _parts(name)[0] + "cls.weight"))
    if classes != characters.num_classes:
        raise InputError(
            f"a charset of {len(characters.characters)} characters makes {characters.num_classes} classes, but the "
            f"checkpoint has {classes}: give the charset"
        )
    buffers = _check_buffers(state, size)
    config = ModelConfig(size, 3, max_length, classes, **vars(LAYOUTS["abinet"]))
    if name == "abinet":
        fields["iterations"] = iterations
    model = MODELS[name].Model(config, **fields)
    whole = name == "abinet"
    leaves = [leaf for part in _parts(name) for leaf in _LEAVES[part](fields, (_OURS[part],) if whole else ())]
    variables = assign(state, leaves, _shapes(name, model), dtype, known=buffers)
    described = {"model": {"name": name, **fields}, **_reads(size, spec, characters)}
    return Converted(described, variables["params"], variables.get("batch_stats", {}))


def _reads(size: tuple[int, int], spec: str, characters: Charset) -> dict[str, Any]:
    """What of images and text the networks were trained to take, as config.image and config.charset."""
    lower = characters.characters == characters.characters.lower()
    image = {"size": size, "channels": 3, "keep_ratio": False, "backend": "cv2"}
    text = {"characters": spec, "layout": "abinet", "max_length": characters.max_length}
    return {"image": image, "charset": text | {"lower": lower, "nfkc": False, "drop_outside": lower}}


def unwrapped(checkpoint: Mapping[str, Any]) -> dict[str, Any]:
    """The tensors by name, without the envelope of the published code: {"model": ...} or a Lightning .ckpt."""
    for key in ("model", "state_dict"):
        if isinstance(checkpoint.get(key), Mapping):
            checkpoint = checkpoint[key]
    return state_dict(checkpoint)


def _bare(state: State) -> State:
    """Without `model.` of Lightning and `student.` of SemiMTR, whose teacher is left out."""
    if all(key.startswith(("student.", "teacher.")) for key in state):
        state = {k: v for k, v in state.items() if k.startswith("student.")}
    # The language model has a part called model of its own, but not only that.
    for prefix in ("model.", "student."):
        if all(key.startswith(prefix) for key in state):
            state = {key.removeprefix(prefix): value for key, value in state.items()}
    return state


def _network(state: State) -> tuple[str, State]:
    """The name of our model, and the tensors with the prefix of their part."""
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


def _parts(name: str) -> tuple[str, ...]:
    return {"abinet": (VISION, LANGUAGE, FUSION), "abinet_vision": (VISION,), "abinet_language": (LANGUAGE,)}[name]


def _fields(name: str, state: State) -> dict[str, Any]:
    """Fields of our model, read from names and shapes."""
    first = "proj.weight" if name == "abinet_language" else "cls.weight"
    shape = need(state, _parts(name)[0] + first).shape
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
    """How many modules stand in the list of that name."""
    return len({key.removeprefix(prefix).split(".")[0] for key in state if key.startswith(prefix)})


def _max_length(state: State) -> int:
    for key in (LANGUAGE + "pos_encoder.pe", VISION + "attention.pos_encoder.pe", VISION + "attention.we.weight"):
        if key in state:
            return len(state[key]) - 1
    raise InputError(f"the checkpoint lacks {VISION}attention.pos_encoder.pe or what else tells the longest word")


def _check_buffers(state: State, size: tuple[int, int]) -> set[str]:
    """Names of the codes of positions, which are ours. Raises InputError if they are not, or not for this image."""
    found = {key for key in state if key.endswith(".pe")}
    for key in sorted(found):
        length, width = state[key].shape[0], state[key].shape[-1]
        if not np.allclose(state[key].reshape(length, width), sinusoid(length, width), atol=1e-4):
            raise InputError(f"{key} does not hold the sines and cosines of its positions")
        if key == VISION + "backbone.pos_encoder.pe" and length != size[0] * size[1] // 16:
            raise InputError(f"image_size is {size[0]}x{size[1]}, but {key} has {length} cells of 4x4 pixels")
    return found


def _shapes(name: str, model) -> dict[str, Any]:
    config = model.config
    example = jnp.zeros((1, *config.image_size, config.channels))
    if name == "abinet_language":
        example = jnp.zeros((1, config.max_length + 1), jnp.int32)
    return dict(jax.eval_shape(lambda: model.init(jax.random.key(0), example, train=False)))


# Names of tensors, part by part. `ours` is where the part lives in our tree.


def _vision(fields: Mapping[str, Any], ours: tuple[str, ...]) -> Iterable[Leaf]:
    path, key = (*ours, "backbone", "resnet"), VISION + "backbone.resnet."
    yield from conv_norm((*path, "conv"), key + "conv1", key + "bn1")
    for stage, blocks in enumerate(fields["blocks"]):
        for i in range(blocks):
            block, theirs = (*path, f"stage{stage}_{i}"), f"{key}layer{stage + 1}.{i}."
            yield from conv_norm((*block, "conv_0"), theirs + "conv1", theirs + "bn1")
            yield from conv_norm((*block, "conv_1"), theirs + "conv2", theirs + "bn2")
            if i == 0:
                yield from conv_norm((*block, "shortcut"), theirs + "downsample.0", theirs + "downsample.1")
    for i in range(fields["num_layers"]):
        theirs = f"{VISION}backbone.transformer.layers.{i}."
        yield from _transformer((*ours, "backbone", f"layer_{i}"), theirs, "self_attn", ("norm1", "norm2"))
    path, key = (*ours, "attention"), VISION + "attention."
    yield from (_additive if fields["attention"] == "additive" else _position)(path, key)
    yield from layer((*ours, "classifier"), VISION + "cls", dense)


def _position(path: tuple[str, ...], key: str) -> Iterable[Leaf]:
    for name, theirs, first in (("down", "k_encoder", 0), ("up", "k_decoder", 1)):
        for i in range(4):
            yield from layer((*path, f"{name}_{i}", "conv"), f"{key}{theirs}.{i}.{first}", convolution)
            yield from norm((*path, f"{name}_{i}", "norm"), f"{key}{theirs}.{i}.{first + 1}")
    yield from layer((*path, "query"), key + "project", dense)


def _additive(path: tuple[str, ...], key: str) -> Iterable[Leaf]:
    yield Leaf(("params", *path, "order"), (key + "f0_embedding.weight",), copy)
    for name, theirs in (("order_to_cells", "w0"), ("value", "wv"), ("score", "we")):
        yield from layer((*path, name), key + theirs, dense)


def _language(fields: Mapping[str, Any], ours: tuple[str, ...]) -> Iterable[Leaf]:
    yield from layer((*ours, "embedding"), LANGUAGE + "proj", dense, bias=False)
    for i in range(fields["language_layers" if ours else "num_layers"]):
        theirs = f"{LANGUAGE}model.layers.{i}."
        yield from _transformer((*ours, f"layer_{i}"), theirs, "multihead_attn", ("norm2", "norm3"))
    yield from layer((*ours, "classifier"), LANGUAGE + "cls", dense)


def _fusion(fields: Mapping[str, Any], ours: tuple[str, ...]) -> Iterable[Leaf]:
    yield from layer((*ours, "gate"), FUSION + "w_att", dense)
    yield from layer((*ours, "classifier"), FUSION + "cls", dense)


def _transformer(path: tuple[str, ...], key: str, attention: str, norms: tuple[str, str]) -> Iterable[Leaf]:
    inside = ("params", *path, "attend", "attention")
    for i, name in enumerate(("query", "key", "value")):
        yield Leaf((*inside, name, "kernel"), (f"{key}{attention}.in_proj_weight",), functools.partial(_into_heads, i))
        yield Leaf((*inside, name, "bias"), (f"{key}{attention}.in_proj_bias",), functools.partial(_into_heads, i))
    yield Leaf((*inside, "out", "kernel"), (f"{key}{attention}.out_proj.weight",), _out_of_heads)
    yield Leaf((*inside, "out", "bias"), (f"{key}{attention}.out_proj.bias",), copy)
    yield from layer((*path, "inner"), key + "linear1", dense)
    yield from layer((*path, "outer"), key + "linear2", dense)
    for i, theirs in enumerate(norms):
        yield Leaf(("params", *path, f"norm_{i}", "scale"), (f"{key}{theirs}.weight",), copy)
        yield Leaf(("params", *path, f"norm_{i}", "bias"), (f"{key}{theirs}.bias",), copy)


def _into_heads(i: int, x: np.ndarray) -> np.ndarray:
    """The i-th third of the outputs, as [in, heads, width of a head], or without `in` for a bias."""
    x = np.split(x, 3)[i].T
    return x.reshape(*x.shape[:-1], HEADS, -1)


def _out_of_heads(x: np.ndarray) -> np.ndarray:
    return x.T.reshape(HEADS, -1, x.shape[0])


_LEAVES = {VISION: _vision, LANGUAGE: _language, FUSION: _fusion}
_OURS = {VISION: "vision", LANGUAGE: "language", FUSION: "fusion"}
