"""The types that the rest of jstr shares."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

Array = jax.Array
Params = Mapping[str, Any]
ModelState = Mapping[str, Any]  # {"batch_stats": ...} or {}
Variables = tuple[Params, ModelState]
Config = Any  # an ml_collections.ConfigDict, whose values have no static types
Batch = Mapping[str, Mapping[str, Array]]  # stream -> field -> [B, ...]
Metrics = dict[str, tuple[Array, Array]]  # name -> (sum, count): exact over masks, shards and steps
LossAndMetrics = tuple[Array, tuple[ModelState, Metrics]]  # (scalar, (model state after the forward passes, metrics))


class TrainState(struct.PyTreeNode):
    """Everything a resume needs except the position of the data iterator.

    `key` is the base key of the run: step `n` uses `fold_in(key, n)`, so it never changes.
    `teacher` is a second set of variables of the recogniser (and of a projection head, if the objective has one),
    ({"model": ...}, model_state), that no gradient reaches: a moving average of the student or frozen; or None.
    """

    step: Array
    params: Params
    model_state: ModelState
    opt_state: Any
    teacher: Variables | None
    key: Array


class Objective(NamedTuple):
    """A training method: the batches it reads and the pure functions that train with them.

    streams: stream -> fields of its batches. requires: outputs that the model must offer.
    init: (key, batch) -> (params, model_state). Reads shapes only; params = {"model": ..., ...}.
    loss: (params, model_state, teacher, batch, key, step) -> (scalar, (model_state, metrics)).
    needs_teacher: whether `loss` reads `teacher`, so that config.teacher must define one.
    measure: (params, model_state, teacher, batch) -> more metrics of the validation batches, computed as in evaluation.
    show: (params, model_state, teacher, batch) -> arrays by name, from which `draw` makes images.
    draw: (those arrays, the batch, charset) -> {name: uint8 [H, W, 3]}, in NumPy. None: no images.
    """

    streams: Mapping[str, tuple[str, ...]]
    requires: tuple[str, ...]
    init: Callable[[Array, Batch], Variables]
    loss: Callable[[Params, ModelState, Variables | None, Batch, Array, Array], LossAndMetrics]
    needs_teacher: bool = False
    measure: Callable[[Params, ModelState, Variables | None, Batch], Metrics] | None = None
    show: Callable[[Params, ModelState, Variables | None, Batch], Mapping[str, Array]] | None = None
    draw: Callable[[Mapping[str, np.ndarray], Mapping[str, Any], Any], dict[str, np.ndarray]] | None = None


@dataclass(frozen=True)
class ModelConfig:
    """Facts that data, text and model must agree on.

    image_size: (height, width) in pixels. channels: 1 grey, 3 RGB. max_length: characters, without specials.
    num_classes: C, specials included. first_id: smallest id that stands for a character; all below are specials.
    pad_id: ignored by the losses. bos_id and eos_id are None for CTC, whose blank is id 0.
    """

    image_size: tuple[int, int]
    channels: int
    max_length: int
    num_classes: int
    first_id: int
    pad_id: int
    bos_id: int | None = None
    eos_id: int | None = None

    @property
    def is_ctc(self) -> bool:
        """Whether tokens are laid out for CTC; otherwise an attention decoder reads them from BOS to EOS."""
        return self.bos_id is None


class Recognizer(Protocol):
    """What the rest of jstr may ask of a model: each `jstr.models.NAME.Model` is a Linen module that answers this."""

    model_config: ModelConfig

    @property
    def reads_text(self) -> bool:
        """Whether it is a language model: it takes words instead of images and has no `decode`."""
        ...

    @property
    def autoregressive(self) -> bool:
        """Whether its logits depend on the tokens it is given. If so, `advance` makes one step of its decoder."""
        ...

    @property
    def has_projection(self) -> bool:
        """Whether `project=True` puts a projection layer before its classifier."""
        ...

    @property
    def has_attention_maps(self) -> bool:
        """Whether its output `attention` is [B, T, h, w]: where in the image each character was read."""
        ...

    @property
    def heads(self) -> tuple[str, ...]:
        """Names of the logits in its output `heads`, of which the last is the answer; () with a single classifier."""
        ...

    def init(self, rngs: Any, *args: Any, **options: Any) -> Any:
        """`flax.linen.Module.init`."""
        ...

    def apply(self, variables: Any, *args: Any, **options: Any) -> Any:
        """`flax.linen.Module.apply`."""
        ...


class Prediction(NamedTuple):
    """What a recogniser reads, before it is turned into text.

    ids [B, T] int32: characters where id >= first_id; anything else is dropped when the text is made.
    scores [B, T]: probabilities whose product over T is the confidence of the word (1 where a step does not count).
    """

    ids: Array
    scores: Array


def at_least_float32(x: Array) -> Array:
    """`x` in float32, or in its own type where that has more digits."""
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def is_under(path: str, prefixes: Iterable[str]) -> bool:
    """Whether a parameter path ("model/decoder/kernel") is one of `prefixes` or lies below one."""
    return any(path == p or path.startswith(p + "/") for p in (prefix.rstrip("/") for prefix in prefixes))
