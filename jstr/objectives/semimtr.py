"""SemiMTR (Aberdam et al. 2022): what each head reads in a weak view of a word, it shall read in a strong one.

semimtr.md section 9. A recogniser with several heads (ABINet) teaches each by itself; with one, this is plain
character-level consistency.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from jstr.core import Array, Batch, InputError, Metrics, ModelConfig, Objective, Variables, at_least_float32
from jstr.objectives.parts.apply_model import forward, init
from jstr.objectives.parts.consistency_terms import check_choice, read, told
from jstr.objectives.parts.supervised_loss import mean, supervised_outputs

FIELDS = ("weak", "strong", "tokens", "has_label")
REDUCTIONS = ("sum", "mean")


def make(
    model,
    *,
    model_config: ModelConfig,
    one_hot: bool = True,
    kl: bool = False,
    threshold: float = 0.0,
    stop_gradient: bool = True,
    cons_weight: float = 1.0,
    cons_iter_reduce: str = "sum",
    teacher_head: str = "",
    student_head: str = "",
    use_teacher: bool = False,
) -> Objective:
    """Trains `model` on batch["mixed"]: weak and strong views [B, H, W, C], tokens [B, N], has_label [B].

    Loss: supervised_outputs of both views on the words with a label, plus cons_weight times the consistency_loss of
    every head on all words. Both views run in training mode, weak first.

    one_hot: the weak view's most probable characters are learned, not its probabilities. kl: Kullback-Leibler
      divergence instead of cross-entropy.
    threshold: positions whose highest probability is not above it add nothing, but they count; 0: all add.
    stop_gradient: the weak view only teaches; it matters where one_hot is False.
    cons_iter_reduce: `sum` over the iterations of a head, as the published code does, or `mean`.
    teacher_head, student_head: the head that teaches, and the only one that learns; "": each teaches itself. (Where one
      teaches all, the published code takes the mean over the iterations.)
    use_teacher: the weak view is read by config.teacher, a moving average of the student, with the batch statistics
      and dropout of training. Only the strong view has a supervised loss then.

    Recognisers that read their own output (`autoregressive`) first read the weak view freely; that string, or the label
    where there is one, is then the context of both views. With CTC, all frames count and views should leave the pixels
    where they are; both forms are ours. A word read as empty counts one position (the published code: two for vision).

    Metrics: those of supervised_outputs on both views; supervised; consistency and, of every head,
    HEAD/consistency, HEAD/agreement (share of positions where both views have the same character) and
    HEAD/confident (share of positions above the threshold).

    Raises:
      InputError: an unknown choice, or a threshold outside of 0 to 1.
    """
    check_choice("cons_iter_reduce", cons_iter_reduce, REDUCTIONS)
    if not 0 <= threshold < 1:
        raise InputError(f"config.objective.threshold={threshold} is a probability, from 0 to 1")
    method = SemiMTR(
        model,
        model_config,
        one_hot,
        kl,
        threshold,
        stop_gradient,
        cons_weight,
        cons_iter_reduce,
        teacher_head,
        student_head,
        use_teacher,
    )
    return Objective({"mixed": FIELDS}, ("logits",), method.init, method.loss, needs_teacher=use_teacher)


@dataclass(frozen=True, eq=False)
class SemiMTR:
    """The options of `make`. All methods are pure functions."""

    model: Any
    model_config: ModelConfig
    one_hot: bool
    kl: bool
    threshold: float
    stop_gradient: bool
    cons_weight: float
    cons_iter_reduce: str
    teacher_head: str
    student_head: str
    use_teacher: bool

    def init(self, key: Array, batch: Batch) -> Variables:
        return init(self.model, key, batch["mixed"]["weak"], batch["mixed"]["tokens"])

    def loss(self, params, model_state, teacher, batch, key, step):
        del step
        words, keys = batch["mixed"], jax.random.split(key, 3)
        reader = jax.lax.stop_gradient(teacher) if self.use_teacher else (params, model_state)
        tokens = self.context(reader, words, keys[2])
        weak, after_weak = forward(self.model, *reader, words["weak"], tokens, keys[0])
        model_state = model_state if self.use_teacher else after_weak
        strong, model_state = forward(self.model, params, model_state, words["strong"], tokens, keys[1])

        supervised, metrics = self.supervised([strong] if self.use_teacher else [weak, strong], words)
        consistency, more = self.consistency(_iterations(weak), _iterations(strong))
        return supervised + self.cons_weight * consistency, (model_state, metrics | more)

    def context(self, reader: Variables, words, key: Array) -> Array:
        """What a decoder is told of both views [B, N]: labels, or, without one, what the weak view is read as."""
        if not self.model.autoregressive:
            return words["tokens"]
        outputs, _ = forward(self.model, *jax.lax.stop_gradient(reader), words["weak"], None, key)
        own = told(read(outputs["logits"], self.model_config), self.model_config)
        return jnp.where(words["has_label"][:, None], words["tokens"], own)

    def supervised(self, views, words) -> tuple[Array, Metrics]:
        """The sum over the outputs of these views, and their metrics together."""
        found = [
            supervised_outputs(outputs, words["tokens"], self.model_config, words["has_label"]) for outputs in views
        ]
        metrics = jax.tree.map(lambda *values: sum(values), *found)
        metrics["supervised"] = metrics.pop("loss")
        return sum(mean(f["loss"]) for f in found), metrics

    def consistency(self, weak, strong) -> tuple[Array, Metrics]:
        """The sum over the heads. weak, strong: of every head the logits [B, T, C] of its iterations, by name."""
        for name in filter(None, (self.teacher_head, self.student_head)):
            if name not in weak:
                raise InputError(f"config.objective: the model has no head {name!r}, but {', '.join(weak)}")
        total, metrics = jnp.zeros(()), {}
        for name in (self.student_head,) if self.student_head else weak:
            value, found = self.learned(weak[self.teacher_head or name][-1], strong[name])
            total += value
            metrics |= {f"{name}/{metric}": pair for metric, pair in found.items()}
        return total, metrics | {"consistency": (total, jnp.ones(()))}

    def learned(self, taught: Array, students: tuple[Array, ...]) -> tuple[Array, Metrics]:
        """Loss and metrics of one head: the iterations of the strong view learn what the weak view's last one says."""
        taught = jax.lax.stop_gradient(taught) if self.stop_gradient else taught
        mask, options = read(taught, self.model_config).mask, (self.one_hot, self.kl, self.threshold)
        values = [mean(consistency_loss(taught, student, mask, *options)) for student in students]
        value = sum(values) / (len(values) if self.cons_iter_reduce == "mean" else 1)
        hits = {
            "agreement": jnp.argmax(taught, axis=-1) == jnp.argmax(students[-1], axis=-1),
            "confident": jax.nn.softmax(at_least_float32(taught)).max(axis=-1) > self.threshold,
        }
        count = mask.sum(dtype=jnp.float32)
        metrics = {name: (jnp.sum(hit & mask, dtype=jnp.float32), count) for name, hit in hits.items()}
        return value, metrics | {"consistency": (value, jnp.ones(()))}


def consistency_loss(
    teacher: Array, student: Array, mask: Array, one_hot: bool, kl: bool, threshold: float
) -> tuple[Array, Array]:
    """(sum, count) over the positions of mask [B, T] between logits [B, T, C] of two views. semimtr.md section 9.2.

    Positions whose highest teacher's probability is not above the threshold add 0 and are counted.
    """
    log_target, log_prob = (jax.nn.log_softmax(at_least_float32(x)) for x in (teacher, student))
    target = jnp.exp(log_target)
    sure = target.max(axis=-1) > threshold
    if one_hot:  # the divergence is the same: one class holds everything, so nothing is uncertain
        best = jnp.argmax(log_target, axis=-1)[..., None]
        value = -jnp.take_along_axis(log_prob, best, axis=-1)[..., 0]
    else:
        value = (target * (log_target * kl - log_prob)).sum(axis=-1)
    return jnp.where(mask & sure, value, 0.0).sum(), mask.sum(dtype=jnp.float32)


def _iterations(outputs) -> dict[str, tuple[Array, ...]]:
    return outputs.get("iterations") or {"output": (outputs["logits"],)}
