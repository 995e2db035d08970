"""Language pre-training of ABINet (Fang et al. 2021): predicts each character from all the others (cloze).

Which characters each position may see is decided by the model's attention mask (models/abinet_language.py), so nothing
is masked here.
"""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp

from jstr.core import (
    Array,
    Batch,
    LossAndMetrics,
    Metrics,
    ModelConfig,
    ModelState,
    Objective,
    Params,
    Recognizer,
    Variables,
)
from jstr.decoding.greedy import word_length
from jstr.losses.supervised import sequence_cross_entropy
from jstr.objectives.parts.supervised_loss import mean
from jstr.text.messages import InputError, check_probability

TOP = 5


@dataclass(frozen=True, eq=False)
class Method:
    """Trains `model` on batch["text"]: target tokens [B, T + 1], BOS first, and noised input tokens [B, T + 1].

    input_smoothing: each input character loses up to this much of its probability, drawn uniformly, to random other
      classes (the published runs: 0). The model then sees words as a recogniser predicts them.

    Loss: cross-entropy, the mean over all positions up to EOS. Metrics in training and, as in evaluation, `clean/` and
    `noised/` on the validation batches: see spelling_metrics.

    Raises:
      InputError: a model that does not read text, or a smoothing outside of 0 to 1.
    """

    model: Recognizer
    model_config: ModelConfig
    input_smoothing: float = 0.0

    def __post_init__(self):
        if not self.model.reads_text:
            raise InputError("name=masked_lm trains language models; set config.model.name to abinet_language")
        check_probability("input_smoothing", self.input_smoothing)

    def objective(self) -> Objective:
        """The functions of this method."""
        streams = {"text": ("tokens", "noised")}
        return Objective(streams, ("logits",), self.init, self.loss, measure=self.measure)

    def init(self, key: Array, batch: Batch) -> Variables:
        """See jstr.core.Objective."""
        variables = dict(self.model.init(key, batch["text"]["noised"][:, 1:], train=False))
        return {"model": variables.pop("params")}, variables

    def loss(
        self, params: Params, model_state: ModelState, teacher: Variables | None, batch: Batch, key: Array, step: Array
    ) -> LossAndMetrics:
        """See jstr.core.Objective."""
        del teacher, step
        words, keys, model_config = batch["text"], jax.random.split(key), self.model_config
        ids, targets = words["noised"][:, 1:], words["tokens"][:, 1:]
        length = word_length(ids, _eos_id(model_config))
        if self.input_smoothing:
            ids = smooth(jax.nn.one_hot(ids, model_config.num_classes), keys[0], self.input_smoothing)
        outputs = self.model.apply({"params": params["model"]}, ids, length, train=True, rngs={"dropout": keys[1]})
        total, count = sequence_cross_entropy(outputs["logits"], targets, model_config.pad_id)
        loss = (total.sum(), count.sum())
        metrics = {"loss": loss, **spelling_metrics(outputs["logits"], targets, model_config)}
        return mean(loss), (model_state, metrics)

    def measure(self, params: Params, model_state: ModelState, teacher: Variables | None, batch: Batch) -> Metrics:
        """See jstr.core.Objective."""
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
    """Accuracies of logits [B, T, C] for target ids [B, T] that end in EOS and padding.

    characters, characters_top5: of positions, EOS included: the most probable class is right, or one of the top five.
    words, words_top5: of whole words; both also need the right length, by the most probable classes.
    """
    inside = targets != model_config.pad_id
    best = jax.lax.top_k(logits, min(TOP, logits.shape[-1]))[1]
    hits = best == targets[..., None]
    first, among = hits[..., 0], hits.any(axis=-1)
    long_enough = word_length(best[..., 0], _eos_id(model_config)) == inside.sum(axis=1)
    metrics = {}
    for name, hit in (("", first), ("_top5", among)):
        metrics[f"characters{name}"] = (hit & inside, inside)
        word = (hit | ~inside).all(axis=1) & long_enough
        metrics[f"words{name}"] = (word, jnp.ones_like(word))
    return jax.tree.map(lambda x: jnp.sum(x, dtype=jnp.float32), metrics)


def _eos_id(model_config: ModelConfig) -> int:
    assert model_config.eos_id is not None, "a language model is not CTC"
    return model_config.eos_id
