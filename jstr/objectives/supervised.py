"""Supervised recognition: cross-entropy under teacher forcing for attention decoders, CTC for the others."""

from __future__ import annotations

import jax.numpy as jnp

from jstr import losses
from jstr.core import ModelConfig, Objective
from jstr.nn.images import normalise

STREAMS = {"labelled": ("image", "tokens")}
REQUIRES = ("logits",)


def make(model, *, config: ModelConfig) -> Objective:
    """Trains `model` on batch["labelled"]: image [B, H, W, C] (uint8, or float32 in [-1, 1]) and tokens [B, N] int32.

    Attention: cross-entropy, mean over the tokens of the batch that are not padding. CTC (config.bos_id is None): mean
    over the batch of the negative log likelihood per character; labels that no alignment fits add nothing to the sum.
    Metrics: loss; accuracy (of tokens, teacher-forced) for attention; unalignable (labels) for CTC.
    """
    measure = _ctc if config.bos_id is None else _attention

    def init(key, batch):
        images, tokens = normalise(batch["labelled"]["image"]), batch["labelled"]["tokens"]
        variables = dict(model.init(key, images, tokens, train=False))
        return {"model": variables.pop("params")}, variables

    def loss(params, model_state, teacher, batch, key, step):
        del teacher, key, step
        images, tokens = normalise(batch["labelled"]["image"]), batch["labelled"]["tokens"]
        variables = {"params": params["model"], **model_state}
        outputs, updates = model.apply(variables, images, tokens, train=True, mutable=list(model_state))
        metrics = measure(outputs["logits"], tokens, config)
        total, count = metrics["loss"]
        return total / jnp.maximum(count, 1), ({**model_state, **updates}, metrics)

    return Objective(init, loss)


def _attention(logits, tokens, config):
    targets = tokens[:, 1:]
    total, count = losses.sequence_cross_entropy(logits, targets, config.pad_id)
    correct = (jnp.argmax(logits, axis=-1) == targets) & (targets != config.pad_id)
    return {"loss": (total.sum(), count.sum()), "accuracy": (correct.sum().astype(jnp.float32), count.sum())}


def _ctc(logits, tokens, config):
    nll, alignable = losses.ctc(logits, tokens, config.pad_id)
    count = jnp.float32(len(nll))
    return {"loss": (nll.sum(), count), "unalignable": ((~alignable).sum().astype(jnp.float32), count)}
