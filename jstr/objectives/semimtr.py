"""SemiMTR (Aberdam et al. 2022): each head's prediction on a strong view must match its own on a weak view.

A recogniser with several heads (ABINet) teaches each head by itself; with one, this is character-level consistency.
Where paper and code differ, this is the published code (amazon-science/semimtr-text-recognition).
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
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
    at_least_float32,
)
from jstr.losses.consistency import thresholded_divergence
from jstr.objectives.parts.apply_model import Outputs, init_variables, train_forward
from jstr.objectives.parts.pseudo_labels import decoder_inputs, read
from jstr.objectives.parts.supervised_loss import mean, supervised_outputs
from jstr.text.messages import InputError, check_at_least, check_choice

FIELDS = ("weak", "strong", "tokens", "has_label")
REDUCTIONS = ("sum", "mean")


@dataclass(frozen=True, eq=False)
class Method:
    """Trains `model` on batch["mixed"]: weak and strong views [B, H, W, C], tokens [B, N], has_label [B].

    Loss: supervised_outputs of both views on the words with a label, plus cons_weight times the thresholded_divergence
    of every head on all words. Both views run in training mode, weak first.

    one_hot: the weak view's most probable characters are learned, not its probabilities. kl: Kullback-Leibler
      divergence instead of cross-entropy.
    threshold: positions whose highest probability is not above it add nothing to the sum, but are counted; 0: all add.
    stop_gradient: the weak view only teaches; this matters only where one_hot is False.
    cons_iter_reduce: `sum` over the iterations of a head, as the published code does, or `mean`.
    use_teacher: the weak view is read by config.teacher, a moving average of the student, with the batch statistics
      and dropout of training. Only the strong view has a supervised loss then.

    Recognisers that read their own output (`autoregressive`) first decode the weak view greedily; that string, or the
    label where there is one, is then the decoder input for both views. With CTC, all frames count, and views should not
    move the pixels. Both forms are ours. A word read as empty counts one position (the published code: two for vision).

    Metrics: those of supervised_outputs on both views; supervised; consistency and, of every head,
    HEAD/consistency, HEAD/agreement (share of positions where both views have the same character) and
    HEAD/confident (share of positions above the threshold).

    Raises:
      InputError: an option with an invalid value.
    """

    model: Recognizer
    model_config: ModelConfig
    one_hot: bool = True
    kl: bool = False
    threshold: float = 0.0
    stop_gradient: bool = True
    cons_weight: float = 1.0
    cons_iter_reduce: str = "sum"
    use_teacher: bool = False

    def __post_init__(self):
        check_choice("cons_iter_reduce", self.cons_iter_reduce, REDUCTIONS)
        check_at_least("cons_weight", self.cons_weight, 0)
        if not 0 <= self.threshold < 1:
            raise InputError(f"threshold={self.threshold} is a probability, from 0 to below 1")

    def objective(self) -> Objective:
        """The functions of this method."""
        return Objective({"mixed": FIELDS}, ("logits",), self.init, self.loss, needs_teacher=self.use_teacher)

    def init(self, key: Array, batch: Batch) -> Variables:
        """See jstr.core.Objective."""
        return init_variables(self.model, key, batch["mixed"]["weak"], batch["mixed"]["tokens"])

    def loss(
        self, params: Params, model_state: ModelState, teacher: Variables | None, batch: Batch, key: Array, step: Array
    ) -> LossAndMetrics:
        """See jstr.core.Objective."""
        del step
        words, keys = batch["mixed"], jax.random.split(key, 3)
        reader = (params, model_state)
        if self.use_teacher:
            assert teacher is not None, "needs_teacher"
            reader = jax.lax.stop_gradient(teacher)
        tokens = self.decoder_inputs(reader, words, keys[2])
        weak, after_weak = train_forward(self.model, *reader, words["weak"], tokens, keys[0])
        model_state = model_state if self.use_teacher else after_weak
        strong, model_state = train_forward(self.model, params, model_state, words["strong"], tokens, keys[1])

        supervised, metrics = self.supervised([strong] if self.use_teacher else [weak, strong], words)
        consistency, more = self.consistency(_iterations(weak), _iterations(strong))
        return supervised + self.cons_weight * consistency, (model_state, metrics | more)

    def decoder_inputs(self, reader: Variables, words: Mapping[str, Array], key: Array) -> Array | None:
        """Decoder inputs [B, N] for both views: labels, or, without one, what `reader` reads in the weak view."""
        if not self.model.autoregressive:
            return words["tokens"]
        outputs, _ = train_forward(self.model, *jax.lax.stop_gradient(reader), words["weak"], None, key)
        own = decoder_inputs(read(outputs["logits"], self.model_config), self.model_config)
        assert own is not None, "an autoregressive recogniser is not CTC"
        return jnp.where(words["has_label"][:, None], words["tokens"], own)

    def supervised(self, views: list[Outputs], words: Mapping[str, Array]) -> tuple[Array, Metrics]:
        """The sum of the supervised losses of these views, and their metrics together."""
        labels = words["tokens"], self.model_config, words["has_label"]
        found = [supervised_outputs(outputs, *labels) for outputs in views]
        metrics = jax.tree.map(lambda *values: sum(values), *found)
        metrics["supervised"] = metrics.pop("loss")
        return jnp.asarray(sum(mean(f["loss"]) for f in found)), metrics

    def consistency(
        self, weak: Mapping[str, tuple[Array, ...]], strong: Mapping[str, tuple[Array, ...]]
    ) -> tuple[Array, Metrics]:
        """The sum over the heads. weak, strong: head -> logits [B, T, C] of its iterations."""
        total, metrics = jnp.zeros(()), {}
        for name in weak:
            value, found = self.head_consistency(weak[name][-1], strong[name])
            total += value
            metrics |= {f"{name}/{metric}": pair for metric, pair in found.items()}
        return total, metrics | {"consistency": (total, jnp.ones(()))}

    def head_consistency(self, teacher_logits: Array, students: tuple[Array, ...]) -> tuple[Array, Metrics]:
        """Loss and metrics of one head: logits [B, T, C] of the weak view, and of the strong view's iterations."""
        teacher_logits = jax.lax.stop_gradient(teacher_logits) if self.stop_gradient else teacher_logits
        mask = read(teacher_logits, self.model_config).mask
        divergence = functools.partial(
            thresholded_divergence, one_hot=self.one_hot, kl=self.kl, threshold=self.threshold
        )
        values = [mean(divergence(teacher_logits, student, mask)) for student in students]
        value = sum(values) / (len(values) if self.cons_iter_reduce == "mean" else 1)
        hits = {
            "agreement": jnp.argmax(teacher_logits, axis=-1) == jnp.argmax(students[-1], axis=-1),
            "confident": jax.nn.softmax(at_least_float32(teacher_logits)).max(axis=-1) > self.threshold,
        }
        count = mask.sum(dtype=jnp.float32)
        metrics = {name: (jnp.sum(hit & mask, dtype=jnp.float32), count) for name, hit in hits.items()}
        return jnp.asarray(value), metrics | {"consistency": (jnp.asarray(value), jnp.ones(()))}


def _iterations(outputs: Outputs) -> Mapping[str, tuple[Array, ...]]:
    return outputs.get("iterations") or {"output": (outputs["logits"],)}
