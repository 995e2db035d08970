"""Which tensors of the published PyTorch code each array of ABINet's models is made of, name by name.

`ours` is the path of a part in the tree of the model: ("vision",) within a full network, () alone.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from jstr.interop.torch_tensors import Leaf, batch_norm, conv_norm, convolution, copy, dense, layer, layer_norm
from jstr.models.abinet_vision import HEADS

VISION, LANGUAGE, FUSION = "vision.", "language.", "alignment."
# model -> the prefixes of its parts
PARTS = {"abinet": (VISION, LANGUAGE, FUSION), "abinet_vision": (VISION,), "abinet_language": (LANGUAGE,)}


def leaves(name: str, fields: Mapping[str, Any]) -> Iterable[Leaf]:
    """Every variable of the model of that name with these fields, with the tensors it is made of."""
    whole = name == "abinet"
    makers = {VISION: (_vision, "vision"), LANGUAGE: (_language, "language"), FUSION: (_fusion, "fusion")}
    for part in PARTS[name]:
        make, path = makers[part]
        yield from make(fields, (path,) if whole else ())


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
            yield from batch_norm((*path, f"{name}_{i}", "norm"), f"{key}{theirs}.{i}.{first + 1}")
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
        yield from layer_norm((*path, f"norm_{i}"), f"{key}{theirs}")


def _into_heads(i: int, x: np.ndarray) -> np.ndarray:
    """The i-th third of the outputs [3 D, in] as [in, heads, D / heads], or of a bias [3 D] as [heads, D / heads]."""
    x = np.split(x, 3)[i].T
    return x.reshape(*x.shape[:-1], HEADS, -1)


def _out_of_heads(x: np.ndarray) -> np.ndarray:
    """A matrix [out, D] as [heads, D / heads, out]."""
    return x.T.reshape(HEADS, -1, x.shape[0])
