"""What the conversions of PyTorch checkpoints share: tensors by name, and how arrays of our models are made of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
from flax import traverse_util

from jstr.core import Recognizer
from jstr.models import example_input
from jstr.text.messages import InputError, first_few

State = Mapping[str, np.ndarray]

ENVELOPES = ("online_model", "model", "state_dict")  # of CR's resume files, of fastai and of Lightning


class Converted(NamedTuple):
    """A converted checkpoint: config with the keys model, image and charset, and the variables of the model."""

    config: dict[str, Any]
    params: dict[str, Any]
    batch_stats: dict[str, Any]


class Leaf(NamedTuple):
    """One array of ours: its path, the tensors it is made of, and the function that makes it."""

    path: tuple[str, ...]  # collection first
    keys: tuple[str, ...]
    make: Callable[..., np.ndarray]


def state_dict(checkpoint: Mapping[str, Any]) -> dict[str, Any]:
    """The tensors of a checkpoint by name, without the envelope of a resume file and the prefix of DataParallel.

    Raises:
      InputError: something other than tensors is in it, or nothing.
    """
    if not isinstance(checkpoint, Mapping):
        raise InputError(f"not a state dict of tensors, but a {type(checkpoint).__name__}")
    for key in ENVELOPES:
        if isinstance(checkpoint.get(key), Mapping):
            checkpoint = checkpoint[key]
    others = [key for key, value in checkpoint.items() if not hasattr(value, "shape")]
    if others or not checkpoint:
        raise InputError(f"not a state dict of tensors: it holds {', '.join(map(repr, others[:5])) or 'nothing'}")
    if all(str(key).startswith("module.") for key in checkpoint):
        return {key.removeprefix("module."): value for key, value in checkpoint.items()}
    return dict(checkpoint)


def arrays_of(checkpoint: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """The tensors of `state_dict` as arrays, without empty ones and the counters of batch normalisation.

    Raises:
      InputError: as `state_dict`, or a tensor that does not hold real numbers.
    """
    arrays = {str(key): np.asarray(value) for key, value in state_dict(checkpoint).items()}
    others = [key for key, x in arrays.items() if x.dtype.kind not in "fiub"]
    if others:
        raise InputError(f"the checkpoint holds tensors of other things than real numbers: {first_few(others)}")
    return {key: x for key, x in arrays.items() if x.size and not key.endswith("num_batches_tracked")}


def need(state: State, key: str, rank: int) -> np.ndarray:
    """The tensor of that name. Raises InputError if there is none, or if it has not `rank` axes."""
    if key not in state:
        raise InputError(f"the checkpoint lacks {key}")
    if state[key].ndim != rank:
        raise InputError(f"the checkpoint has {key} {list(state[key].shape)} where {rank} axes are expected")
    return state[key]


def make_variables(
    state: State, leaves: Iterable[Leaf], model: Recognizer, dtype: Any, unused: Collection[str] = ()
) -> dict[str, Any]:
    """The variables of `model`, each array made of its tensors. unused: tensors that no leaf needs.

    Raises:
      InputError: names the tensors that are missing, left over or of another shape.
    """
    expected = traverse_util.flatten_dict(dict(_shapes(model)))
    leaves = list(leaves)
    used = {key for leaf in leaves for key in leaf.keys} | set(unused)
    _refuse("lacks", [key for leaf in leaves for key in leaf.keys if key not in state])
    _refuse("holds unknown", [key for key in state if key not in used])
    arrays, misshapen = {}, []
    for leaf in leaves:
        tensors = [state[key].astype(dtype) for key in leaf.keys]
        try:
            arrays[leaf.path] = leaf.make(*tensors)
        except (ValueError, IndexError):  # ranks or shapes that do not go together
            arrays[leaf.path] = np.zeros(0)
        if arrays[leaf.path].shape != expected[leaf.path].shape:
            misshapen += [f"{key} {list(tensor.shape)}" for key, tensor in zip(leaf.keys, tensors, strict=True)]
    _refuse("has unexpected shapes in", misshapen)
    if arrays.keys() != expected.keys():
        raise AssertionError(f"converter and model disagree: {sorted(arrays.keys() ^ expected.keys())}")
    return traverse_util.unflatten_dict(arrays)


def _shapes(model: Recognizer) -> Mapping[str, Any]:
    key, example = jax.random.key(0), example_input(model)
    return jax.eval_shape(lambda example: model.init(key, example, train=False), example)


def _refuse(what: str, names: list[str]) -> None:
    """Raises InputError if there are names."""
    if names:
        raise InputError(f"the checkpoint {what} {len(names)} tensor(s): {first_few(names, 20)}")


# How arrays are made of tensors. PyTorch stores matrices as [out, in] and convolutions as [out, in, height, width].


def copy(x: np.ndarray) -> np.ndarray:
    """The tensor as it is."""
    return x


def dense(x: np.ndarray) -> np.ndarray:
    """A matrix [out, in] -> [in, out]."""
    return x.transpose()


def convolution(x: np.ndarray) -> np.ndarray:
    """A kernel [out, in, height, width] -> [height, width, in, out]."""
    return x.transpose(2, 3, 1, 0)


def layer(path: tuple[str, ...], key: str, make: Callable, bias: bool = True) -> Iterable[Leaf]:
    """Kernel and bias of a linear layer or convolution."""
    yield Leaf(("params", *path, "kernel"), (key + ".weight",), make)
    if bias:
        yield Leaf(("params", *path, "bias"), (key + ".bias",), copy)


def layer_norm(path: tuple[str, ...], key: str) -> Iterable[Leaf]:
    """Scale and bias of a layer normalisation."""
    yield Leaf(("params", *path, "scale"), (key + ".weight",), copy)
    yield Leaf(("params", *path, "bias"), (key + ".bias",), copy)


def batch_norm(path: tuple[str, ...], key: str) -> Iterable[Leaf]:
    """Scale, bias and running statistics of a batch normalisation."""
    yield from layer_norm(path, key)
    yield Leaf(("batch_stats", *path, "mean"), (key + ".running_mean",), copy)
    yield Leaf(("batch_stats", *path, "var"), (key + ".running_var",), copy)


def conv_norm(path: tuple[str, ...], conv_key: str, norm_key: str) -> Iterable[Leaf]:
    """The parts of `jstr.nn.layers.ConvNorm` without a bias of its convolution."""
    yield from layer((*path, "conv"), conv_key, convolution, bias=False)
    yield from batch_norm((*path, "norm"), norm_key)
