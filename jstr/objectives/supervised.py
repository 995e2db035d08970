"""Supervised recognition: cross-entropy under teacher forcing for attention decoders, CTC for the others."""

from __future__ import annotations

from jstr.core import ModelConfig, Objective
from jstr.objectives.parts import apply_model
from jstr.objectives.parts.supervised_loss import mean, supervised_outputs


def make(model, *, model_config: ModelConfig) -> Objective:
    """Trains `model` on batch["labelled"]: image [B, H, W, C] (uint8, or float32 in [-1, 1]) and tokens [B, N] int32.

    Loss and metrics are those of supervised_outputs.
    """

    def init(key, batch):
        return apply_model.init(model, key, batch["labelled"]["image"], batch["labelled"]["tokens"])

    def loss(params, model_state, teacher, batch, key, step):
        del teacher, step
        images, tokens = batch["labelled"]["image"], batch["labelled"]["tokens"]
        outputs, model_state = apply_model.forward(model, params, model_state, images, tokens, key)
        metrics = supervised_outputs(outputs, tokens, model_config)
        return mean(metrics["loss"]), (model_state, metrics)

    return Objective({"labelled": ("image", "tokens")}, ("logits",), init, loss)
