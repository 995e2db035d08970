"""The language model of ABINet learns to spell: every character is said from all the others. semimtr.md section 7.

Which characters it may see is a matter of the model's mask (models/abinet_language.py), so nothing is masked here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from jstr.core import Array, Batch, InputError, Metrics, ModelConfig, Objective, Variables
from jstr.decoding.greedy import word_length
from jstr.losses.supervised import sequence_cross_entropy
from jstr.objectives.parts.supervised_loss import mean

TOP = 5


def make(model, *, model_config: ModelConfig, input_smoothing: float = 0.0) -> Objective:
    """Trains `model` on batch["text"]: tokens [B, T + 1] to be said, BOS first, and noised [B, T + 1] to be read.

    input_smoothing: every character that is read loses up to this much of its probability, drawn uniformly, to random
      other classes (the published runs: 0). It then sees words as a recogniser shows them.

    Loss: cross-entropy, the mean over all positions up to EOS. Metrics in training and, as in evaluation, `clean/` and
    `noised/` on the batches held back: see spelling_metrics.

    Raises:
      InputError: a model that does not read text, or a smoothing outside of 0 to 1.
    """
    if not model.reads_text:
        raise InputError("objective masked_lm trains language models; set config.model.name to abinet_language")
    if not 0 <= input_smoothing <= 1:
        raise InputError(f"config.objective.input_smoothing={input_smoothing} is a probability, from 0 to 1")

    method = MaskedLM(model, model_config, input_smoothing)
    return Objective({"text": ("tokens", "noised")}, ("logits",), method.init, method.loss, measure=method.measure)


@dataclass(frozen=True, eq=False)
class MaskedLM:
    """The options of `make`. All methods are pure functions."""

    model: Any
    model_config: ModelConfig
    input_smoothing: float

    def init(self, key: Array, batch: Batch) -> Variables:
        variables = dict(self.model.init(key, batch["text"]["noised"][:, 1:], train=False))
        return {"model": variables.pop("params")}, variables

    def loss(self, params, model_state, teacher, batch, key, step):
        del teacher, step
        words, keys = batch["text"], jax.random.split(key)
        ids, targets = words["noised"][:, 1:], words["tokens"][:, 1:]
        length = word_length(ids, self.model_config.eos_id)
        if self.input_smoothing:
            ids = smooth(jax.nn.one_hot(ids, self.model_config.num_classes), keys[0], self.input_smoothing)
        outputs = self.model.apply({"params": params["model"]}, ids, length, train=True, rngs={"dropout": keys[1]})
        total, count = sequence_cross_entropy(outputs["logits"], targets, self.model_config.pad_id)
        loss = (total.sum(), count.sum())
        return mean(loss), (
            model_state,
            {"loss": loss} | spelling_metrics(outputs["logits"], targets, self.model_config),
        )

    def measure(self, params, model_state, teacher, batch) -> Metrics:
        del model_state, teacher
        words, found = batch["text"], {}
        for name, field in (("clean", "tokens"), ("noised", "noised")):
            logits = self.model.apply({"params": params["model"]}, words[field][:, 1:], train=False)["logits"]
            metrics = spelling_metrics(logits, words["tokens"][:, 1:], self.model_config)
            found |= {f"{name}/{key}": value for key, value in metrics.items()}
        return found


def smooth(prob: Array, key: Array, amount: float) -> Array:
    """Moves a share of each distribution [B, T, C], uniform in 0..amount, to random weights over all classes."""
    share_key, noise_key = jax.random.split(key)
    share = amount * jax.random.uniform(share_key, (*prob.shape[:-1], 1), prob.dtype)
    noise = jax.random.uniform(noise_key, prob.shape, prob.dtype, minval=1e-6)
    return prob * (1 - share) + share * noise / noise.sum(axis=-1, keepdims=True)


def spelling_metrics(logits: Array, targets: Array, model_config: ModelConfig) -> Metrics:
    """Shares of logits [B, T, C] against ids [B, T] that end in EOS and padding.

    characters and characters_top5: of positions, EOS included, whose class is the first, or among the first five. words
    and words_top5: of words of which that holds everywhere; top5 asks for the right length too, by the first choices.
    """
    inside = targets != model_config.pad_id
    best = jax.lax.top_k(logits, min(TOP, logits.shape[-1]))[1]
    hits = best == targets[..., None]
    first, among = hits[..., 0], hits.any(axis=-1)
    long_enough = word_length(best[..., 0], model_config.eos_id) == inside.sum(axis=1)
    metrics = {}
    for name, hit in (("", first), ("_top5", among)):
        metrics[f"characters{name}"] = (hit & inside, inside)
        word = (hit | ~inside).all(axis=1) & long_enough
        metrics[f"words{name}"] = (word, jnp.ones_like(word))
    return jax.tree.map(lambda x: jnp.sum(x, dtype=jnp.float32), metrics)
