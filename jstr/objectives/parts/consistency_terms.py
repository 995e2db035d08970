"""What a consistency loss is made of: a reading, a gate, a distance, CORAL and the annealing of labelled words.

cr.md sections 4 and 5, baselines.md. Arrays of the logits of a recogniser of either kind, attention or CTC.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp

from jstr.core import Array, InputError, ModelConfig
from jstr.losses import consistency, coral, supervised
from jstr.objectives.parts import pseudo_labels


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
    per_character: instead every step counts, or not, by its own probability, and a word where any does. baselines.md
      section 5. The steps that do not add nothing to the loss, but they are numbered among the word's characters.

    Raises:
      InputError: an unknown confidence, or a threshold that is no probability.
    """

    confidence: str
    threshold: float
    whole_only: bool = False
    per_character: bool = False

    def __post_init__(self):
        check_choice("confidence", self.confidence, tuple(pseudo_labels.CONFIDENCES))
        _check_probability("threshold", self.threshold)

    def __call__(self, reading: pseudo_labels.Reading) -> tuple[Array, Array, Array]:
        """(confidence [B], keep [B] bool, the steps that count [B, T] bool) of a teacher's reading."""
        confidence, steps = pseudo_labels.CONFIDENCES[self.confidence](reading), reading.mask
        keep = confidence >= self.threshold
        if self.per_character:
            steps = steps & (jnp.exp(reading.log_scores) >= self.threshold)
            keep = steps.any(axis=1)
        return confidence, keep & reading.whole if self.whole_only else keep, steps


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
        check_choice("divergence", self.divergence, tuple(consistency.DIVERGENCES))
        if not self.temperature > 0:
            raise InputError(f"config.objective.temperature={self.temperature} must be positive; 1 does not sharpen")

    def __call__(self, taught: Array, student: Array, steps: Array, model_config: ModelConfig) -> tuple[Array, Array]:
        """Of logits [B, T, C] of both: for every word the sum over `steps` and the number of its characters, [B] each.

        steps [B, T] bool, of a Gate. A string that CTC learns is learned as a whole.
        """
        reading = read(taught, model_config)
        if self.labels == "soft":
            values = consistency.DIVERGENCES[self.divergence](taught, student, self.temperature)
            return jnp.where(steps, values, 0.0).sum(axis=1), reading.mask.sum(axis=1)
        if not model_config.is_ctc:
            targets = jnp.where(steps, reading.tokens, model_config.pad_id)
            return supervised.sequence_cross_entropy(student, targets, model_config.pad_id)[0], reading.mask.sum(axis=1)
        text, count = pseudo_labels.collapse(
            reading.tokens, model_config.max_length, first_id=model_config.first_id, pad_id=model_config.pad_id
        )
        per_character, _ = supervised.ctc(student, text, model_config.pad_id)
        fits, count = count <= model_config.max_length, jnp.maximum(count, 1)  # a text that was cut off is no label
        return jnp.where(fits, per_character * count, 0.0), jnp.where(fits, count, 0)


@dataclass(frozen=True)
class Annealing:
    """Training signal annealing (UDA): a labelled word stops counting once the student reads it too surely.

    A word counts while the probability of its label, the geometric mean over its characters, is below
    1/C + (1 - 1/C) a(t), with C classes and t = step / steps, up to 1. `linear`: a = t; `log`: 1 - exp(-5 t);
    `exp`: exp(5 (t - 1)); `none`: all count. Xie et al. 2020, section 2.2; theirs is of one class an image, the mean is
    ours.

    Raises:
      InputError: an unknown schedule, or one without steps.
    """

    schedule: str = "none"
    steps: int = 0

    def __post_init__(self):
        check_choice("annealing", self.schedule, ("none", *consistency.ANNEALING))
        if self.schedule != "none" and self.steps < 1:
            raise InputError(f"config.objective.annealing_steps={self.steps}: give the steps annealing takes")

    def __call__(self, logits: Array, tokens: Array, step: Array, model_config: ModelConfig) -> Array | None:
        """Rows [B] bool that count, of logits [B, T, C] for labels; None: all. Unalignable ones do, to be counted."""
        if self.schedule == "none":
            return None
        logits = jax.lax.stop_gradient(logits)
        alignable = True
        if model_config.is_ctc:
            per_character, alignable = supervised.ctc(logits, tokens, model_config.pad_id)
        else:
            total, count = supervised.sequence_cross_entropy(logits, tokens[:, 1:], model_config.pad_id)
            per_character = total / jnp.maximum(count, 1)
        least = 1 / logits.shape[-1]
        reached = least + (1 - least) * consistency.ANNEALING[self.schedule](jnp.minimum(step / self.steps, 1.0))
        return (jnp.exp(-per_character) < reached) | jnp.logical_not(alignable)


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

    def __call__(self, labelled, strong, model_config: ModelConfig) -> Array:
        """The distance between two outputs of the recogniser; gradients flow to both."""
        sides = []
        for outputs, threshold in ((labelled, self.labelled_threshold), (strong, self.threshold)):
            reading = read(jax.lax.stop_gradient(outputs["logits"]), model_config)
            keep = (reading.tokens >= model_config.first_id) & (pseudo_labels.product(reading) >= threshold)[:, None]
            characters = outputs[features(model_config)]
            sides += [characters.reshape(-1, characters.shape[-1]), keep.reshape(-1)]
        return coral.coral(*sides, normalise=self.normalise)


def read(logits: Array, model_config: ModelConfig) -> pseudo_labels.Reading:
    """What logits [B, T, C] of either kind of recogniser say."""
    if model_config.is_ctc:
        return pseudo_labels.read_frames(logits, first_id=model_config.first_id)
    return pseudo_labels.read_steps(
        logits, first_id=model_config.first_id, eos_id=model_config.eos_id, pad_id=model_config.pad_id
    )


def strings(reading: pseudo_labels.Reading, model_config: ModelConfig) -> Array:
    """[B, N] int32: characters, then only ids that are none; equal rows are equal texts."""
    tokens = reading.tokens
    if model_config.is_ctc:
        return pseudo_labels.collapse(
            tokens, tokens.shape[1], first_id=model_config.first_id, pad_id=model_config.pad_id
        )[0]
    return tokens


def told(reading: pseudo_labels.Reading, model_config: ModelConfig) -> Array | None:
    """A reading as the tokens [B, T + 1] that a decoder is told, BOS first; None for CTC, which is told nothing."""
    if model_config.is_ctc:
        return None
    return jnp.pad(reading.tokens, ((0, 0), (1, 0)), constant_values=model_config.bos_id)


def features(model_config: ModelConfig) -> str:
    """The output that holds a vector for each character; CTC: for each frame."""
    return "frames" if model_config.is_ctc else "glimpses"
