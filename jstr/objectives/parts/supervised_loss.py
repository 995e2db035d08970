"""The supervised loss, for every objective that has labels: cross-entropy under teacher forcing, or CTC."""

from __future__ import annotations

import jax.numpy as jnp

from jstr.core import Array, Metrics, ModelConfig
from jstr.losses import supervised
from jstr.objectives.parts.apply_model import Outputs


def supervised_metrics(
    logits: Array,
    tokens: Array,
    model_config: ModelConfig,
    has_label: Array | None = None,
    weight: Array | None = None,
) -> Metrics:
    """Metrics of logits [B, T, C] against tokens [B, N]; those of `loss` are the sum and count to divide.

    has_label [B] bool: the rows that count, as if the others were deleted; None: all. weight [B]: that of each row in
    `loss`, in sum and count; None: 1. With 0 a row is as good as deleted there; other metrics know nothing of weights.
    Attention: loss, the mean over the tokens that are not padding; accuracy (of tokens, teacher-forced). CTC
    (model_config.is_ctc): loss, the mean over labels of the negative log likelihood per character, to which labels
    that no alignment fits add nothing; unalignable (share of labels).
    """
    mask = jnp.ones(len(logits), bool) if has_label is None else has_label
    weights = mask.astype(jnp.float32) * (1.0 if weight is None else weight)
    measure = _ctc if model_config.is_ctc else _attention
    return measure(logits, tokens, model_config, mask, weights)


def supervised_outputs(
    outputs: Outputs,
    tokens: Array,
    model_config: ModelConfig,
    has_label: Array | None = None,
    weight: Array | None = None,
) -> Metrics:
    """supervised_metrics of the outputs of a recogniser, of all its heads where it has several (ABINet).

    `loss` is then the sum of the heads' losses, each the average over its iterations, and HEAD/accuracy is that of a
    head's last iteration; `accuracy` is that of outputs["logits"] in any case. As in the code of ABINet (Fang et al.
    2021; file losses.py).
    """
    metrics = supervised_metrics(outputs["logits"], tokens, model_config, has_label, weight)
    if "iterations" not in outputs:
        return metrics
    total = 0.0
    for name, iterations in outputs["iterations"].items():
        found = [supervised_metrics(logits, tokens, model_config, has_label, weight) for logits in iterations]
        total = total + sum(f["loss"][0] for f in found) / len(found)
        metrics[f"{name}/accuracy"] = found[-1]["accuracy"]
    return metrics | {"loss": (jnp.asarray(total), metrics["loss"][1])}


def mean(metric: tuple[Array, Array]) -> Array:
    """sum / count; 0 where nothing was counted."""
    total, count = metric
    return total / jnp.where(count > 0, count, 1)


def _attention(logits: Array, tokens: Array, model_config: ModelConfig, mask: Array, weight: Array) -> Metrics:
    targets = jnp.where(mask[:, None], tokens[:, 1:], model_config.pad_id)
    total, count = supervised.sequence_cross_entropy(logits, targets, model_config.pad_id)
    correct = (jnp.argmax(logits, axis=-1) == targets) & (targets != model_config.pad_id)
    loss = (weight * total).sum(), (weight * count).sum()
    return {"loss": loss, "accuracy": (correct.sum().astype(jnp.float32), count.sum())}


def _ctc(logits: Array, tokens: Array, model_config: ModelConfig, mask: Array, weight: Array) -> Metrics:
    nll, alignable = supervised.ctc(logits, tokens, model_config.pad_id)
    count = mask.sum().astype(jnp.float32)
    unalignable = (~alignable & mask).sum().astype(jnp.float32)
    loss = (weight * jnp.where(mask, nll, 0.0)).sum(), weight.sum()
    return {"loss": loss, "unalignable": (unalignable, count)}
