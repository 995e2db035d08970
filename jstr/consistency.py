"""A teacher reads the weak view of a word, and the student shall read the same in the strong one.

What CR, UDA, FixMatch, pseudo-labelling and Noisy Student have in common: each is a Consistency made of a Gate, a
Distance and, for CR, Coral. cr.md sections 2 to 6 and, for the others, baselines.md. Recognisers with attention are
those of the papers. The forms for CTC are ours, since the published code has none: soft labels are compared frame by
frame, which asks for views that leave the pixels where they are (cr_strong with spatial=0); hard labels are strings,
learned with the CTC loss.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jstr import losses, supervision
from jstr import losses_consistency as lc
from jstr.core import Array, Batch, InputError, Metrics, ModelConfig, ModelState, Objective, Params, Variables
from jstr.draw import pair_sheet
from jstr.passes import forward, init, logits_of

SHOWN = 12


def check_choice(name: str, value: str, choices: Sequence[str]) -> None:
    if value not in choices:
        raise InputError(f"config.objective.{name}={value!r}: choose one of {', '.join(choices)}")


def _check_probability(name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise InputError(f"config.objective.{name}={value} is a probability, from 0 to 1")


@dataclass(frozen=True)
class Gate:
    """Which words count: those whose `confidence` (see losses_consistency) reaches the threshold.

    whole_only: and that EOS itself ended, not another special token and not the last step.

    Raises:
      InputError: an unknown confidence, or a threshold that is no probability.
    """

    confidence: str
    threshold: float
    whole_only: bool = False

    def __post_init__(self):
        check_choice("confidence", self.confidence, tuple(lc.CONFIDENCES))
        _check_probability("threshold", self.threshold)

    def __call__(self, reading: lc.Reading) -> tuple[Array, Array]:
        """(confidence [B], keep [B] bool) of a teacher's reading."""
        confidence = lc.CONFIDENCES[self.confidence](reading)
        keep = confidence >= self.threshold
        return confidence, keep & reading.whole if self.whole_only else keep


@dataclass(frozen=True)
class Distance:
    """How far the student is from what the teacher reads.

    labels: `soft`, the teacher's distribution sharpened by temperature, from which the divergence to the student's is
    `kl` or `ce`; or `hard`, the teacher's string, learned by cross-entropy or CTC as a label is.

    Raises:
      InputError: an unknown choice, or a temperature that is not positive.
    """

    labels: str
    divergence: str = "kl"
    temperature: float = 1.0

    def __post_init__(self):
        check_choice("labels", self.labels, ("soft", "hard"))
        check_choice("divergence", self.divergence, tuple(lc.DIVERGENCES))
        if not self.temperature > 0:
            raise InputError(f"config.objective.temperature={self.temperature} must be positive; 1 does not sharpen")

    def __call__(self, taught: Array, student: Array, config: ModelConfig) -> tuple[Array, Array]:
        """Of logits [B, T, C] of both: for every word the sum over its characters and their number, [B] each."""
        reading = read(taught, config)
        if self.labels == "soft":
            values = lc.DIVERGENCES[self.divergence](taught, student, self.temperature)
            return jnp.where(reading.mask, values, 0.0).sum(axis=1), reading.mask.sum(axis=1)
        if config.bos_id is not None:
            return losses.sequence_cross_entropy(student, reading.tokens, config.pad_id)
        text, count = lc.collapse(reading.tokens, config.max_length, first_id=config.first_id, pad_id=config.pad_id)
        per_character, _ = losses.ctc(student, text, config.pad_id)
        fits, count = count <= config.max_length, jnp.maximum(count, 1)  # a text that was cut off is no label
        return jnp.where(fits, per_character * count, 0.0), jnp.where(fits, count, 0)


@dataclass(frozen=True)
class Coral:
    """CORAL between the characters of labelled and of unlabelled words (CR), cr.md section 5; weight 0: none.

    Labelled words count whose confidence, by product, reaches labelled_threshold; unlabelled ones, as the student
    reads their strong view, from `threshold` on. normalise: classic CORAL, see losses_consistency.coral.

    Raises:
      InputError: a threshold that is no probability.
    """

    weight: float = 0.0
    labelled_threshold: float = 0.6
    threshold: float = 0.5
    normalise: bool = False

    def __post_init__(self):
        _check_probability("coral_threshold", self.labelled_threshold)

    def __call__(self, labelled, strong, config: ModelConfig) -> Array:
        """The distance between two outputs of the recogniser; gradients flow to both."""
        sides = []
        for outputs, threshold in ((labelled, self.labelled_threshold), (strong, self.threshold)):
            reading = read(jax.lax.stop_gradient(outputs["logits"]), config)
            keep = (reading.tokens >= config.first_id) & (lc.product(reading) >= threshold)[:, None]
            characters = outputs[_features(config)]
            sides += [characters.reshape(-1, characters.shape[-1]), keep.reshape(-1)]
        return lc.coral(*sides, normalise=self.normalise)


@dataclass(frozen=True, eq=False)
class Consistency:
    """A method: `model` learns from batch["labelled"] (image, tokens) and batch["unlabelled"] (weak and strong views).

    Loss: the supervised one + weight * consistency + coral.weight * CORAL. A batch in which no word passes the gate has
    neither of the last two. The student's two forwards, labelled then strong, move the batch statistics in turn.

    gate, distance, coral: see there. reduction: of losses_consistency.REDUCTIONS.
    own_teacher: the student itself reads the weak view, as in evaluation; else the teacher of config.teacher does.
    same_view: teacher and student see the same picture, `strong`; the stream has no other.
    context: what the student's attention decoder is told to have written, the teacher's string (`shared`) or its `own`.
    projects: the student's strong view goes through the projection layer, if the model has one.
    hidden_labels: the unlabelled stream brings `tokens` and `has_label`, for metrics only.

    Metrics: those of supervised_outputs; supervised, consistency and coral; confident, the share of words that pass the
    gate; those of `compare` and, of words with a hidden label, of `_judge`.

    Raises:
      InputError: an unknown choice.
    """

    model: Any
    config: ModelConfig
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

    def __post_init__(self):
        check_choice("cons_reduction", self.reduction, tuple(lc.REDUCTIONS))
        check_choice("context", self.context, ("shared", "own"))

    def objective(self) -> Objective:
        streams = {"labelled": ("image", "tokens"), "unlabelled": self.views}
        if self.hidden_labels:
            streams["unlabelled"] += ("tokens", "has_label")
        requires = ("logits", _features(self.config)) if self.coral.weight else ("logits",)
        return Objective(streams, requires, self.init, self.loss, self.show, needs_teacher=not self.own_teacher)

    @property
    def views(self) -> tuple[str, ...]:
        """The first is what the teacher sees, the last what the student sees."""
        return ("strong",) if self.same_view else ("weak", "strong")

    def init(self, key: Array, batch: Batch) -> Variables:
        return init(self.model, key, batch["labelled"]["image"], batch["labelled"]["tokens"])

    def loss(self, params, model_state, teacher, batch, key, step):
        del step
        labelled, words, keys = batch["labelled"], batch["unlabelled"], jax.random.split(key)
        taught = self.teach(params, model_state, teacher, words)
        reading = read(taught, self.config)
        _, keep = self.gate(reading)
        known, model_state = forward(self.model, params, model_state, labelled["image"], labelled["tokens"], keys[0])
        strong, model_state = self.study(params, model_state, words["strong"], reading, keys[1])

        metrics = supervision.supervised_outputs(known, labelled["tokens"], self.config)
        supervised = supervision.mean(metrics.pop("loss"))
        cons = lc.REDUCTIONS[self.reduction](*self.distance(taught, strong["logits"], self.config), keep)
        total, parts = supervised + self.weight * cons, {"supervised": supervised, "consistency": cons}
        if self.coral.weight:
            parts["coral"] = keep.any() * self.coral(known, strong, self.config)
            total += self.coral.weight * parts["coral"]
        metrics |= {name: (value, jnp.ones(())) for name, value in parts.items()}
        student = read(jax.lax.stop_gradient(strong["logits"]), self.config)
        metrics |= compare(reading, student, self.config) | {"confident": _share(keep)}
        if self.hidden_labels:
            metrics |= _judge(reading, keep, words["tokens"], words["has_label"], self.config)
        return total, (model_state, metrics)

    def teach(self, params: Params, model_state: ModelState, teacher: Variables | None, words) -> Array:
        """Logits [B, T, C] of the teacher on its view, as in evaluation. No gradient passes."""
        variables = jax.lax.stop_gradient((params, model_state) if self.own_teacher else teacher)
        return jax.lax.stop_gradient(logits_of(self.model, *variables, words[self.views[0]]))

    def study(self, params: Params, model_state: ModelState, images: Array, reading: lc.Reading, key: Array):
        """The student's outputs on the strong view, and the model state after it."""
        tokens = told(reading, self.config) if self.context == "shared" else None
        projects = self.projects and getattr(self.model, "projection", "none") != "none"
        return forward(self.model, params, model_state, images, tokens, key, **({"project": True} if projects else {}))

    def show(self, params, model_state, teacher, batch):
        """Of the first words: ids [K, T] of the teacher on the weak and of the student on the strong view, and more."""
        words = {name: batch["unlabelled"][name][:SHOWN] for name in self.views}
        reading = read(self.teach(params, model_state, teacher, words), self.config)
        student = read(logits_of(self.model, params, model_state, words["strong"]), self.config)
        confidence, keep = self.gate(reading)
        texts = {"teacher": strings(reading, self.config), "student": strings(student, self.config)}
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


def read(logits: Array, config: ModelConfig) -> lc.Reading:
    """What logits [B, T, C] of either kind of recogniser say."""
    if config.bos_id is None:
        return lc.read_frames(logits, first_id=config.first_id)
    return lc.read_steps(logits, first_id=config.first_id, eos_id=config.eos_id, pad_id=config.pad_id)


def strings(reading: lc.Reading, config: ModelConfig) -> Array:
    """[B, N] int32: characters, then only ids that are none; equal rows are equal texts."""
    tokens = reading.tokens
    if config.bos_id is None:
        return lc.collapse(tokens, tokens.shape[1], first_id=config.first_id, pad_id=config.pad_id)[0]
    return tokens


def told(reading: lc.Reading, config: ModelConfig) -> Array | None:
    """A reading as the tokens [B, T + 1] that a decoder is told, BOS first; None for CTC, which is told nothing."""
    if config.bos_id is None:
        return None
    return jnp.pad(reading.tokens, ((0, 0), (1, 0)), constant_values=config.bos_id)


def compare(reading: lc.Reading, student: lc.Reading, config: ModelConfig) -> Metrics:
    """Metrics of unlabelled words that a teacher and a student read.

    confidence: the teacher's, by product. agreement: the share of words, not empty, that both read alike. trust:
    agreement times confidence, word by word: what tells checkpoints apart where there are no labels.
    """
    texts, confidence = strings(reading, config), lc.product(reading)
    same = (texts == strings(student, config)).all(axis=1) & (texts >= config.first_id).any(axis=1)
    return {"confidence": _share(confidence), "agreement": _share(same), "trust": _share(same * confidence)}


def _judge(reading: lc.Reading, keep: Array, tokens: Array, has_label: Array, config: ModelConfig) -> Metrics:
    """Metrics of the words that have a label, tokens [B, N].

    teacher_accuracy, confident_accuracy (of those kept), and brier, the mean of (confidence - correct)^2: how well
    calibrated the teacher is, 0 at best.
    """
    correct = _equal(strings(reading, config), tokens[:, config.bos_id is not None :], config.first_id)
    return {
        "teacher_accuracy": _share(correct, has_label),
        "confident_accuracy": _share(correct, has_label & keep),
        "brier": _share(jnp.square(lc.product(reading) - correct), has_label),
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


def _features(config: ModelConfig) -> str:
    """The output that holds a vector for each character; CTC: for each frame."""
    return "frames" if config.bos_id is None else "glimpses"
