"""What objectives do with a recogniser: initialise it, run it in training mode, and read with it as in evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jstr.core import Array, ModelState, Params, Recognizer, Variables
from jstr.nn.images import normalise

Outputs = Mapping[str, Any]  # of a recogniser: logits [B, T, C] and more, see jstr.models


def init_variables(model: Recognizer, key: Array, images: Array, tokens: Array | None) -> Variables:
    """Fresh variables of an objective that trains only the recogniser. images [B, H, W, C], tokens [B, N]."""
    variables = dict(model.init(key, normalise(images), tokens, train=False))
    return {"model": variables.pop("params")}, variables


def train_forward(
    model: Recognizer,
    params: Params,
    model_state: ModelState,
    images: Array,
    tokens: Array | None,
    key: Array,
    **options: Any,
) -> tuple[Outputs, ModelState]:
    """(outputs, model state afterwards) of images [B, H, W, C] in training mode.

    tokens [B, N]: inputs of the decoder; None: it decodes greedily. key: for dropout. options: passed on to the model.
    """
    variables = {"params": params["model"], **model_state}
    outputs, updates = model.apply(
        variables, normalise(images), tokens, train=True, mutable=list(model_state), rngs={"dropout": key}, **options
    )
    return outputs, {**model_state, **updates}


def eval_logits(model: Recognizer, params: Params, model_state: ModelState, images: Array) -> Array:
    """Logits [B, T, C] of images [B, H, W, C], decoded greedily, as in evaluation."""
    return model.apply({"params": params["model"], **model_state}, normalise(images), train=False)["logits"]
