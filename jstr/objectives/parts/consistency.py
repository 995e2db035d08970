"""Consistency regularisation: the student's prediction on the strong view must match the teacher's on the weak view.

`Consistency` is what CR, UDA, FixMatch, pseudo-labelling and Noisy Student have in common; each of them is a subclass
that states only what it does differently. The published methods use attention decoders. The forms for CTC are ours:
soft labels are compared frame by frame, which needs views that do not move the pixels (cr_strong with spatial=0); hard
labels are strings, learned with the CTC loss.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

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
from jstr.losses.consistency import DIVERGENCES, REDUCTIONS
from jstr.objectives.parts.apply_model import Outputs, eval_logits, init_variables, train_forward
from jstr.objectives.parts.character_coral import character_coral, character_features
from jstr.objectives.parts.distance import LABELS, hard_distance, soft_distance
from jstr.objectives.parts.pseudo_labels import CONFIDENCES, Reading, Selection, decoder_inputs, read, select, strings
from jstr.objectives.parts.reading_metrics import agreement_metrics, share, teacher_accuracy
from jstr.objectives.parts.schedules import ANNEALING, annealed_rows
from jstr.objectives.parts.supervised_loss import mean, supervised_outputs
from jstr.text.messages import InputError, check_at_least, check_choice, check_probability
from jstr.visualize import pair_sheet

SHOWN = 12


def fixed(value: Any) -> Any:
    """A field that is not an option of the method. A subclass makes it one by declaring it with a plain default."""
    return field(default=value, init=False)


@dataclass(frozen=True, eq=False)
class Consistency:
    """Trains `model` on batch["labelled"] (image, tokens) and batch["unlabelled"] (weak and strong views).

    Loss: the supervised one + cons_weight * consistency + coral_weight * CORAL. The student's two forward passes,
    labelled then strong, update the batch statistics in turn. A batch in which no word is kept has neither consistency
    nor CORAL, and its strong views leave the batch statistics as they were: the published code of CR skips their pass.

    labels: `soft`, the teacher's distributions, sharpened by `temperature` and compared by `divergence` (`kl`, `ce`);
      or `hard`, the teacher's strings, learned by cross-entropy or CTC like labels.
    confidence, threshold, whole_only, per_character: which words, or which of their characters, count; see
      pseudo_labels.select.
    cons_reduction: one of losses.consistency.REDUCTIONS.
    context: what the student's attention decoder gets as its previous characters: the teacher's string (`shared`) or
      its `own` output.
    coral_threshold: of labelled words; that of the others is `threshold`. coral_normalise: see losses.coral.
    annealing, annealing_steps: `none`, or see schedules.annealed_rows.
    own_teacher: the student itself reads the weak view, as in evaluation; otherwise the teacher of config.teacher does.
    same_view: teacher and student see the same image, `strong`; the stream has no other.
    projects: the student's strong view goes through the projection layer, if the model has one.
    weighted: labelled words have `weight` [B] in the supervised loss: 1, or the confidence of a label that was read.
    hidden_labels: the unlabelled stream has `tokens` and `has_label`, for metrics only.

    Metrics: those of supervised_outputs; supervised, consistency and coral; confident, the share of words kept;
    released, the share of labelled words that annealing leaves out; those of agreement_metrics and, with
    hidden_labels, of teacher_accuracy.

    Raises:
      InputError: an option with an invalid value.
    """

    model: Recognizer
    model_config: ModelConfig
    labels: str = fixed("soft")
    divergence: str = fixed("kl")
    temperature: float = fixed(1.0)
    confidence: str = "product"
    threshold: float = 0.5
    whole_only: bool = fixed(False)
    per_character: bool = False
    context: str = "own"
    cons_reduction: str = "sample"
    cons_weight: float = 1.0
    coral_weight: float = fixed(0.0)
    coral_threshold: float = fixed(0.6)
    coral_normalise: bool = fixed(False)
    annealing: str = fixed("none")
    annealing_steps: int = fixed(0)
    own_teacher: bool = fixed(False)
    same_view: bool = fixed(False)
    projects: bool = fixed(False)
    hidden_labels: bool = False
    weighted: bool = False

    def __post_init__(self):
        check_choice("labels", self.labels, LABELS)
        check_choice("divergence", self.divergence, DIVERGENCES)
        check_choice("confidence", self.confidence, CONFIDENCES)
        check_choice("cons_reduction", self.cons_reduction, REDUCTIONS)
        check_choice("context", self.context, ("shared", "own"))
        check_choice("annealing", self.annealing, ("none", *ANNEALING))
        check_probability("threshold", self.threshold)
        check_probability("coral_threshold", self.coral_threshold)
        check_at_least("cons_weight", self.cons_weight, 0)
        check_at_least("coral_weight", self.coral_weight, 0)
        if not self.temperature > 0:
            raise InputError(f"temperature={self.temperature} must be positive; 1 does not sharpen")
        if self.annealing != "none" and self.annealing_steps < 1:
            raise InputError(f"annealing_steps={self.annealing_steps}: give the number of steps that annealing takes")
        if self.per_character and self.labels == "hard" and self.model_config.is_ctc:
            raise InputError("per_character: CTC learns whole strings; use soft labels or an attention decoder")

    def objective(self) -> Objective:
        """The functions of this method."""
        streams = {"labelled": ("image", "tokens", *("weight",) * self.weighted), "unlabelled": self.views}
        if self.hidden_labels:
            streams["unlabelled"] += ("tokens", "has_label")
        requires = ("logits", character_features(self.model_config)) if self.coral_weight else ("logits",)
        return Objective(
            streams, requires, self.init, self.loss, needs_teacher=not self.own_teacher, show=self.show, draw=draw_words
        )

    @property
    def views(self) -> tuple[str, ...]:
        """The first is what the teacher sees, the last what the student sees."""
        return ("strong",) if self.same_view else ("weak", "strong")

    def init(self, key: Array, batch: Batch) -> Variables:
        """See jstr.core.Objective."""
        return init_variables(self.model, key, batch["labelled"]["image"], batch["labelled"]["tokens"])

    def loss(
        self, params: Params, model_state: ModelState, teacher: Variables | None, batch: Batch, key: Array, step: Array
    ) -> LossAndMetrics:
        """See jstr.core.Objective."""
        words, keys = batch["unlabelled"], jax.random.split(key)
        teacher_logits = self.teacher_forward(params, model_state, teacher, words)
        reading = read(teacher_logits, self.model_config)
        selection = self.select(reading)
        images, tokens = batch["labelled"]["image"], batch["labelled"]["tokens"]
        labelled, model_state = train_forward(self.model, params, model_state, images, tokens, keys[0])
        strong, after_strong = self.student_forward(params, model_state, words["strong"], reading, keys[1])
        model_state = _where(selection.keep.any(), after_strong, model_state)

        supervised, metrics = self.supervised(labelled, tokens, step, batch["labelled"].get("weight"))
        distance = self.distance(teacher_logits, strong["logits"], reading, selection)
        consistency = REDUCTIONS[self.cons_reduction](*distance, selection.keep)
        total = supervised + self.cons_weight * consistency
        terms = {"supervised": supervised, "consistency": consistency}
        if self.coral_weight:
            terms["coral"] = selection.keep.any() * self.coral(labelled, strong)
            total += self.coral_weight * terms["coral"]
        metrics |= {name: (value, jnp.ones(())) for name, value in terms.items()}
        student = read(jax.lax.stop_gradient(strong["logits"]), self.model_config)
        metrics |= agreement_metrics(reading, student, self.model_config) | {"confident": share(selection.keep)}
        if self.hidden_labels:
            metrics |= teacher_accuracy(reading, selection.keep, words["tokens"], words["has_label"], self.model_config)
        return total, (model_state, metrics)

    def teacher_forward(
        self, params: Params, model_state: ModelState, teacher: Variables | None, words: Mapping[str, Array]
    ) -> Array:
        """Logits [B, T, C] of the teacher on its view, as in evaluation. No gradient passes."""
        if self.own_teacher:
            teacher = params, model_state
        assert teacher is not None, "needs_teacher"
        variables = jax.lax.stop_gradient(teacher)
        return jax.lax.stop_gradient(eval_logits(self.model, *variables, words[self.views[0]]))

    def student_forward(
        self, params: Params, model_state: ModelState, images: Array, reading: Reading, key: Array
    ) -> tuple[Outputs, ModelState]:
        """The student's outputs on the strong view, and the model state afterwards. reading: the teacher's."""
        tokens = decoder_inputs(reading, self.model_config) if self.context == "shared" else None
        options = {"project": True} if self.projects and self.model.has_projection else {}
        return train_forward(self.model, params, model_state, images, tokens, key, **options)

    def select(self, reading: Reading) -> Selection:
        """Which of the teacher's readings are learned."""
        return select(
            reading, self.confidence, self.threshold, whole_only=self.whole_only, per_character=self.per_character
        )

    def supervised(
        self, labelled: Outputs, tokens: Array, step: Array, weight: Array | None = None
    ) -> tuple[Array, Metrics]:
        """The supervised loss of the labelled words, and its metrics."""
        rows = None
        if self.annealing != "none":
            options = self.annealing, self.annealing_steps, self.model_config
            rows = annealed_rows(labelled["logits"], tokens, step, *options)
        metrics = supervised_outputs(labelled, tokens, self.model_config, rows, weight)
        loss = mean(metrics.pop("loss"))
        return loss, metrics if rows is None else metrics | {"released": share(~rows)}

    def distance(
        self, teacher_logits: Array, student_logits: Array, reading: Reading, selection: Selection
    ) -> tuple[Array, Array]:
        """(sum over the steps that count, number of characters) of each word, [B] each, from logits [B, T, C]."""
        if self.labels == "hard":
            return hard_distance(student_logits, reading, selection.steps, self.model_config)
        options = self.divergence, self.temperature
        return soft_distance(teacher_logits, student_logits, reading, selection.steps, *options)

    def coral(self, labelled: Outputs, strong: Outputs) -> Array:
        """The CORAL distance between labelled and unlabelled characters."""
        thresholds = self.coral_threshold, self.threshold
        return character_coral(labelled, strong, thresholds, self.model_config, normalise=self.coral_normalise)

    def show(
        self, params: Params, model_state: ModelState, teacher: Variables | None, batch: Batch
    ) -> Mapping[str, Array]:
        """Of the first K words: ids [K, T] as the teacher reads the weak and the student the strong view, and more."""
        words = {name: batch["unlabelled"][name][:SHOWN] for name in self.views}
        reading = read(self.teacher_forward(params, model_state, teacher, words), self.model_config)
        student = read(eval_logits(self.model, params, model_state, words["strong"]), self.model_config)
        selection = self.select(reading)
        texts = {"teacher": strings(reading, self.model_config), "student": strings(student, self.model_config)}
        return texts | {"confidence": selection.confidence, "kept": selection.keep}


def _where(condition: Array, yes: ModelState, no: ModelState) -> ModelState:
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), yes, no)


def draw_words(arrays: Mapping[str, np.ndarray], batch: Mapping[str, Any], charset: Any) -> dict[str, np.ndarray]:
    """The image `words`, uint8 [H, W, 3]: weak view, strong view, teacher's text and confidence, student's text.

    Green: the word is confident and kept. Red: it is left out.
    """
    rows = batch["unlabelled"]
    lines = []
    for i, kept in enumerate(arrays["kept"]):
        teacher, student = (charset.decode(arrays[name][i].tolist()) for name in ("teacher", "student"))
        weak, strong = rows.get("weak", rows["strong"])[i], rows["strong"][i]
        lines.append((weak, strong, f"{teacher}  {arrays['confidence'][i]:.2f}", student, kept))
    return {"words": pair_sheet(lines)}
