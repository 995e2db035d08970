"""What objectives do with a recogniser: make its variables, run it in training, and read with it as in evaluation."""

from __future__ import annotations

from jstr.core import Array, ModelState, Params, Variables
from jstr.nn.images import normalise


def init(model, key: Array, images: Array, tokens: Array | None) -> Variables:
    """Fresh variables of an objective that trains nothing but the recogniser. images [B, H, W, C], tokens [B, N]."""
    variables = dict(model.init(key, normalise(images), tokens, train=False))
    return {"model": variables.pop("params")}, variables


def forward(model, params: Params, model_state: ModelState, images: Array, tokens: Array | None, key: Array, **more):
    """(outputs, model state after it) of images [B, H, W, C] in training.

    tokens [B, N]: what a decoder is told; None: it reads freely. key: of dropout. more: passed on to the model.
    """
    variables = {"params": params["model"], **model_state}
    outputs, updates = model.apply(
        variables, normalise(images), tokens, train=True, mutable=list(model_state), rngs={"dropout": key}, **more
    )
    return outputs, {**model_state, **updates}


def logits_of(model, params: Params, model_state: ModelState, images: Array) -> Array:
    """Logits [B, T, C] of images [B, H, W, C], read freely, as in evaluation."""
    return model.apply({"params": params["model"], **model_state}, normalise(images), train=False)["logits"]
