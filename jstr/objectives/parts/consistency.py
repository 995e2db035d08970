"""A teacher reads the weak view of a word, and the student shall read the same in the strong one.

What CR, UDA, FixMatch, pseudo-labelling and Noisy Student have in common: each is a Consistency made of a Gate, a
Distance and, for CR, Coral. cr.md sections 2 to 6 and, for the others, baselines.md. Recognisers with attention are
those of the papers. The forms for CTC are ours, since the published code has none: soft labels are compared frame by
frame, which asks for views that leave the pixels where they are (cr_strong with spatial=0); hard labels are strings,
learned with the CTC loss.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jstr.core import Array, Batch, InputError, Metrics, ModelConfig, ModelState, Objective, Params, Variables
from jstr.losses import consistency
from jstr.objectives.parts import pseudo_labels, supervised_loss
from jstr.objectives.parts.apply_model import forward, init, logits_of
from jstr.objectives.parts.consistency_terms import (
    Annealing,
    Coral,
    Distance,
    Gate,
    check_choice,
    features,
    read,
    strings,
    told,
)
from jstr.visualize import pair_sheet

SHOWN = 12


@dataclass(frozen=True, eq=False)
class Consistency:
    """A method: `model` learns from batch["labelled"] (image, tokens) and batch["unlabelled"] (weak and strong views).

    Loss: the supervised one + weight * consistency + coral.weight * CORAL. A batch in which no word passes the gate has
    neither of the last two. The student's two forwards, labelled then strong, move the batch statistics in turn.

    gate, distance, coral, annealing: see there. reduction: of losses_consistency.REDUCTIONS.
    own_teacher: the student itself reads the weak view, as in evaluation; else the teacher of config.teacher does.
    same_view: teacher and student see the same picture, `strong`; the stream has no other.
    context: what the student's attention decoder is told to have written, the teacher's string (`shared`) or its `own`.
    projects: the student's strong view goes through the projection layer, if the model has one.
    hidden_labels: the unlabelled stream brings `tokens` and `has_label`, for metrics only.

    Metrics: those of supervised_outputs; supervised, consistency and coral; confident, the share of words that pass the
    gate; released, the share of labelled words that annealing leaves out; those of `compare` and, of words with a
    hidden label, of `_judge`.

    Raises:
      InputError: an unknown choice.
    """

    model: Any
    model_config: ModelConfig
    gate: Gate
    distance: Distance
    reduction: str
    weight: float
    coral: Coral = Coral()
    own_teacher: bool = False
    same_view: bool = False
    context: str = "shared"
    projects: bool = False
    hidden_labels: bool = False
    annealing: Annealing = Annealing()

    def __post_init__(self):
        check_choice("cons_reduction", self.reduction, tuple(consistency.REDUCTIONS))
        check_choice("context", self.context, ("shared", "own"))
        if self.gate.per_character and self.distance.labels == "hard" and self.model_config.is_ctc:
            raise InputError("config.objective.per_character: CTC learns whole strings; give soft labels or attention")

    def objective(self) -> Objective:
        streams = {"labelled": ("image", "tokens"), "unlabelled": self.views}
        if self.hidden_labels:
            streams["unlabelled"] += ("tokens", "has_label")
        requires = ("logits", features(self.model_config)) if self.coral.weight else ("logits",)
        return Objective(streams, requires, self.init, self.loss, self.show, needs_teacher=not self.own_teacher)

    @property
    def views(self) -> tuple[str, ...]:
        """The first is what the teacher sees, the last what the student sees."""
        return ("strong",) if self.same_view else ("weak", "strong")

    def init(self, key: Array, batch: Batch) -> Variables:
        return init(self.model, key, batch["labelled"]["image"], batch["labelled"]["tokens"])

    def loss(self, params, model_state, teacher, batch, key, step):
        labelled, words, keys = batch["labelled"], batch["unlabelled"], jax.random.split(key)
        taught = self.teach(params, model_state, teacher, words)
        reading = read(taught, self.model_config)
        _, keep, steps = self.gate(reading)
        known, model_state = forward(self.model, params, model_state, labelled["image"], labelled["tokens"], keys[0])
        strong, model_state = self.study(params, model_state, words["strong"], reading, keys[1])

        rows = self.annealing(known["logits"], labelled["tokens"], step, self.model_config)
        metrics = supervised_loss.supervised_outputs(known, labelled["tokens"], self.model_config, rows)
        supervised = supervised_loss.mean(metrics.pop("loss"))
        cons = consistency.REDUCTIONS[self.reduction](
            *self.distance(taught, strong["logits"], steps, self.model_config), keep
        )
        total, parts = supervised + self.weight * cons, {"supervised": supervised, "consistency": cons}
        if self.coral.weight:
            parts["coral"] = keep.any() * self.coral(known, strong, self.model_config)
            total += self.coral.weight * parts["coral"]
        metrics |= {name: (value, jnp.ones(())) for name, value in parts.items()}
        student = read(jax.lax.stop_gradient(strong["logits"]), self.model_config)
        metrics |= compare(reading, student, self.model_config) | {"confident": _share(keep)}
        if rows is not None:
            metrics["released"] = _share(~rows)
        if self.hidden_labels:
            metrics |= _judge(reading, keep, words["tokens"], words["has_label"], self.model_config)
        return total, (model_state, metrics)

    def teach(self, params: Params, model_state: ModelState, teacher: Variables | None, words) -> Array:
        """Logits [B, T, C] of the teacher on its view, as in evaluation. No gradient passes."""
        variables = jax.lax.stop_gradient((params, model_state) if self.own_teacher else teacher)
        return jax.lax.stop_gradient(logits_of(self.model, *variables, words[self.views[0]]))

    def study(self, params: Params, model_state: ModelState, images: Array, reading: pseudo_labels.Reading, key: Array):
        """The student's outputs on the strong view, and the model state after it."""
        tokens = told(reading, self.model_config) if self.context == "shared" else None
        projects = self.projects and self.model.has_projection
        return forward(self.model, params, model_state, images, tokens, key, **({"project": True} if projects else {}))

    def show(self, params, model_state, teacher, batch):
        """Of the first words: ids [K, T] of the teacher on the weak and of the student on the strong view, and more."""
        words = {name: batch["unlabelled"][name][:SHOWN] for name in self.views}
        reading = read(self.teach(params, model_state, teacher, words), self.model_config)
        student = read(logits_of(self.model, params, model_state, words["strong"]), self.model_config)
        confidence, keep, _ = self.gate(reading)
        texts = {"teacher": strings(reading, self.model_config), "student": strings(student, self.model_config)}
        return texts | {"confidence": confidence, "kept": keep}


def draw(arrays, batch, charset) -> dict[str, np.ndarray]:
    """The picture `words`, uint8 [H, W, 3]: weak view, strong view, teacher's text and confidence, student's text.

    Green: the word is confident and kept. Red: it is left out.
    """
    rows = batch["unlabelled"]
    lines = []
    for i, kept in enumerate(arrays["kept"]):
        teacher, student = (charset.decode(arrays[name][i].tolist()) for name in ("teacher", "student"))
        weak, strong = rows.get("weak", rows["strong"])[i], rows["strong"][i]
        lines.append((weak, strong, f"{teacher}  {arrays['confidence'][i]:.2f}", student, kept))
    return {"words": pair_sheet(lines)}


def compare(reading: pseudo_labels.Reading, student: pseudo_labels.Reading, model_config: ModelConfig) -> Metrics:
    """Metrics of unlabelled words that a teacher and a student read.

    confidence: the teacher's, by product. agreement: the share of words, not empty, that both read alike. trust:
    agreement times confidence, word by word: what tells checkpoints apart where there are no labels.
    """
    texts, confidence = strings(reading, model_config), pseudo_labels.product(reading)
    same = (texts == strings(student, model_config)).all(axis=1) & (texts >= model_config.first_id).any(axis=1)
    return {"confidence": _share(confidence), "agreement": _share(same), "trust": _share(same * confidence)}


def _judge(
    reading: pseudo_labels.Reading, keep: Array, tokens: Array, has_label: Array, model_config: ModelConfig
) -> Metrics:
    """Metrics of the words that have a label, tokens [B, N].

    teacher_accuracy, confident_accuracy (of those kept), and brier, the mean of (confidence - correct)^2: how well
    calibrated the teacher is, 0 at best.
    """
    correct = _equal(strings(reading, model_config), tokens[:, not model_config.is_ctc :], model_config.first_id)
    return {
        "teacher_accuracy": _share(correct, has_label),
        "confident_accuracy": _share(correct, has_label & keep),
        "brier": _share(jnp.square(pseudo_labels.product(reading) - correct), has_label),
    }


def _share(values: Array, rows: Array | None = None) -> tuple[Array, Array]:
    """(sum, count) of values [B] over those rows [B] bool; None: all."""
    rows = jnp.ones(values.shape, bool) if rows is None else rows
    return jnp.sum(jnp.where(rows, values, 0), dtype=jnp.float32), jnp.sum(rows, dtype=jnp.float32)


def _equal(a: Array, b: Array, first_id: int) -> Array:
    """[B] bool: whether ids [B, N] and [B, M], characters first, are the same text."""
    length = max(a.shape[1], b.shape[1])
    a, b = (jnp.where(x >= first_id, x, 0) for x in (a, b))
    a, b = (jnp.pad(x, ((0, 0), (0, length - x.shape[1]))) for x in (a, b))
    return (a == b).all(axis=1)
