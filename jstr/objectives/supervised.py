"""Supervised recognition: cross-entropy under teacher forcing for attention decoders, CTC for the others."""

from __future__ import annotations

from jstr.core import ModelConfig, Objective
from jstr.nn.images import normalise
from jstr.supervision import mean, supervised_outputs


def make(model, *, config: ModelConfig) -> Objective:
    """Trains `model` on batch["labelled"]: image [B, H, W, C] (uint8, or float32 in [-1, 1]) and tokens [B, N] int32.

    Loss and metrics are those of supervised_outputs.
    """

    def init(key, batch):
        images, tokens = normalise(batch["labelled"]["image"]), batch["labelled"]["tokens"]
        variables = dict(model.init(key, images, tokens, train=False))
        return {"model": variables.pop("params")}, variables

    def loss(params, model_state, teacher, batch, key, step):
        del teacher, step
        images, tokens = normalise(batch["labelled"]["image"]), batch["labelled"]["tokens"]
        variables = {"params": params["model"], **model_state}
        outputs, updates = model.apply(
            variables, images, tokens, train=True, mutable=list(model_state), rngs={"dropout": key}
        )
        metrics = supervised_outputs(outputs, tokens, config)
        return mean(metrics["loss"]), ({**model_state, **updates}, metrics)

    return Objective({"labelled": ("image", "tokens")}, ("logits",), init, loss)
