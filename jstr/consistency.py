"""A teacher reads the weak view of a word, and the student shall read the same in the strong one.

What CR, UDA, FixMatch, pseudo-labelling and Noisy Student have in common; each is a set of options of one objective.
cr.md sections 2 to 6 and, for the others, baselines.md. Recognisers with attention are those of the papers. The forms
for CTC are ours, since the published code has none: soft labels are compared frame by frame, which asks for views that
leave the pixels where they are (cr_strong with spatial=0); hard labels are strings, learned with the CTC loss.
"""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from jstr import losses, supervision
from jstr import losses_consistency as lc
from jstr.core import Array, InputError, ModelConfig, Objective
from jstr.draw import pair_sheet
from jstr.nn.images import normalise

SHOWN = 12
CHOICES = {
    "labels": ("soft", "hard"),
    "divergence": tuple(lc.DIVERGENCES),
    "confidence": tuple(lc.CONFIDENCES),
    "cons_reduction": tuple(lc.REDUCTIONS),
    "context": ("shared", "own"),
}


@dataclass(frozen=True)
class Options:
    """What a method is made of.

    own_teacher: the student itself reads the weak view, as in evaluation; else the teacher of config.teacher does.
    same_view: teacher and student see the same picture, `strong`; the stream has no other.
    labels: `soft`, the teacher's distribution sharpened by temperature, or `hard`, its string.
    divergence: between soft labels and the student, `kl` or `ce`.
    context: what the student's attention decoder is told to have written, the teacher's string or its `own`.
    project: the student's strong view goes through the projection layer, if the model has one.
    confidence, threshold: words whose confidence (see losses_consistency) is lower do not count.
    whole_only: nor do words that another special token than EOS ends, or nothing.
    cons_reduction: `character`, `sample` or `kept`, see losses_consistency. cons_weight: of that loss.
    coral_weight: of the distance between labelled and unlabelled characters; 0: it is not computed. Labelled words
      count from coral_threshold on, unlabelled ones, by the student's reading, from `threshold` on, both by product.
      coral_normalise: covariances as in the CORAL paper instead of the published code's sums.
    hidden_labels: the unlabelled stream brings `tokens` and `has_label`, for metrics only.

    Raises:
      InputError: an unknown choice or a number that cannot be.
    """

    own_teacher: bool = False
    same_view: bool = False
    labels: str = "soft"
    divergence: str = "kl"
    temperature: float = 0.4
    context: str = "shared"
    project: bool = True
    confidence: str = "product"
    threshold: float = 0.5
    whole_only: bool = False
    cons_reduction: str = "character"
    cons_weight: float = 1.0
    coral_weight: float = 0.0
    coral_threshold: float = 0.6
    coral_normalise: bool = False
    hidden_labels: bool = False

    def __post_init__(self):
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                raise InputError(f"config.objective.{name}={getattr(self, name)!r}: choose one of {', '.join(choices)}")
        if not self.temperature > 0:
            raise InputError(f"config.objective.temperature={self.temperature} must be positive; 1 does not sharpen")
        for name in ("threshold", "coral_threshold"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"config.objective.{name}={getattr(self, name)} is a probability, from 0 to 1")


def make_consistency(model, config: ModelConfig, options: Options) -> Objective:
    """Trains `model` on batch["labelled"] (image, tokens) and batch["unlabelled"] (weak and strong views).

    Loss: the supervised one + cons_weight * consistency + coral_weight * CORAL. A batch in which no word is confident
    has neither of the last two. The student's two forwards, labelled then strong, move the batch statistics in turn.
    Metrics, beside those of supervised_metrics: see `_watch`.
    """
    projects = options.project and getattr(model, "projection", "none") != "none"
    features = "frames" if config.bos_id is None else "glimpses"

    def forward(params, model_state, images, tokens, key, **more):
        variables = {"params": params["model"], **model_state}
        outputs, updates = model.apply(
            variables, images, tokens, train=True, mutable=list(model_state), rngs={"dropout": key}, **more
        )
        return outputs, {**model_state, **updates}

    def teach(params, model_state, teacher, rows):
        """Logits [B, T, C] of the teacher on the weak view, as in evaluation. No gradient passes."""
        params, model_state = (params, model_state) if options.own_teacher else teacher
        variables = jax.lax.stop_gradient({"params": params["model"], **model_state})
        logits = model.apply(variables, normalise(rows[_seen_by_teacher(options)]), train=False)["logits"]
        return jax.lax.stop_gradient(logits)

    def init(key, batch):
        images, tokens = normalise(batch["labelled"]["image"]), batch["labelled"]["tokens"]
        variables = dict(model.init(key, images, tokens, train=False))
        return {"model": variables.pop("params")}, variables

    def loss(params, model_state, teacher, batch, key, step):
        del step
        labelled, rows = batch["labelled"], dict(batch["unlabelled"])
        hidden = rows.pop("tokens", None), rows.pop("has_label", None)  # for _watch alone
        taught = teach(params, model_state, teacher, rows)
        reading = read(taught, config)
        keep = lc.CONFIDENCES[options.confidence](reading) >= options.threshold
        keep &= reading.whole if options.whole_only else True
        keys = jax.random.split(key)
        known, model_state = forward(params, model_state, normalise(labelled["image"]), labelled["tokens"], keys[0])
        tokens = _context(reading, config) if options.context == "shared" else None
        more = {"project": True} if projects else {}
        strong, model_state = forward(params, model_state, normalise(rows["strong"]), tokens, keys[1], **more)

        metrics = supervision.supervised_outputs(known, labelled["tokens"], config)
        supervised = supervision.mean(metrics.pop("loss"))
        distance = _distance(taught, reading, strong["logits"], config, options)
        cons = lc.REDUCTIONS[options.cons_reduction](*distance, keep)
        total, parts = supervised + options.cons_weight * cons, {"supervised": supervised, "consistency": cons}
        if options.coral_weight:
            parts["coral"] = keep.any() * _domains(known, strong, features, config, options)
            total += options.coral_weight * parts["coral"]
        metrics |= {name: (value, jnp.ones(())) for name, value in parts.items()}
        student = read(jax.lax.stop_gradient(strong["logits"]), config)
        return total, (model_state, metrics | _watch(reading, student, keep, hidden, config))

    def show(params, model_state, teacher, batch):
        """Of the first words: ids [K, T] of the teacher on the weak and of the student on the strong view, and more."""
        rows = {name: batch["unlabelled"][name][:SHOWN] for name in _views(options)}
        reading = read(teach(params, model_state, teacher, rows), config)
        confidence = lc.CONFIDENCES[options.confidence](reading)
        variables = {"params": params["model"], **model_state}
        student = read(model.apply(variables, normalise(rows["strong"]), train=False)["logits"], config)
        kept = (confidence >= options.threshold) & (reading.whole if options.whole_only else True)
        texts = {"teacher": strings(reading, config), "student": strings(student, config)}
        return texts | {"confidence": confidence, "kept": kept}

    streams = {"labelled": ("image", "tokens"), "unlabelled": _views(options)}
    if options.hidden_labels:
        streams["unlabelled"] += ("tokens", "has_label")
    requires = ("logits", features) if options.coral_weight else ("logits",)
    return Objective(streams, requires, init, loss, show, needs_teacher=not options.own_teacher)


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


def _views(options: Options) -> tuple[str, ...]:
    return ("strong",) if options.same_view else ("weak", "strong")


def _seen_by_teacher(options: Options) -> str:
    return "strong" if options.same_view else "weak"


def _context(reading: lc.Reading, config: ModelConfig) -> Array | None:
    """The teacher's string as tokens [B, T + 1], BOS first."""
    if config.bos_id is None:
        return None
    return jnp.pad(reading.tokens, ((0, 0), (1, 0)), constant_values=config.bos_id)


def _distance(taught, reading, logits, config, options) -> tuple[Array, Array]:
    """Of every word, the sum of the losses of its characters and their number, [B] each."""
    if options.labels == "soft":
        values = lc.DIVERGENCES[options.divergence](taught, logits, options.temperature)
        return jnp.where(reading.mask, values, 0.0).sum(axis=1), reading.mask.sum(axis=1)
    if config.bos_id is not None:
        return losses.sequence_cross_entropy(logits, reading.tokens, config.pad_id)
    text, count = lc.collapse(reading.tokens, config.max_length, first_id=config.first_id, pad_id=config.pad_id)
    per_character, _ = losses.ctc(logits, text, config.pad_id)
    fits, count = count <= config.max_length, jnp.maximum(count, 1)  # a text that was cut off is no label
    return jnp.where(fits, per_character * count, 0.0), jnp.where(fits, count, 0)


def _domains(known, strong, features: str, config, options) -> Array:
    """CORAL between the characters of confident labelled words and of confident unlabelled ones."""
    sides = []
    for outputs, threshold in ((known, options.coral_threshold), (strong, options.threshold)):
        reading = read(jax.lax.stop_gradient(outputs["logits"]), config)
        keep = (reading.tokens >= config.first_id) & (lc.product(reading) >= threshold)[:, None]
        sides += [outputs[features].reshape(-1, outputs[features].shape[-1]), keep.reshape(-1)]
    return lc.coral(*sides, normalise=options.coral_normalise)


def _watch(reading, student, keep, hidden, config):
    """Metrics of the unlabelled words.

    confident: the share that is kept. confidence: the teacher's, by product, on average. agreement: the share of words,
    not empty, that the student reads in the strong view as the teacher does in the weak one. trust: agreement times
    confidence, word by word: what tells checkpoints apart where there are no labels.
    Of words with a hidden label: teacher_accuracy, confident_accuracy (of those kept), and brier, the mean of
    (confidence - correct)^2: how well calibrated the teacher is, 0 at best.
    """
    texts, count = strings(reading, config), jnp.full((), len(keep), jnp.float32)
    confidence = lc.product(reading)
    same = (texts == strings(student, config)).all(axis=1) & (texts >= config.first_id).any(axis=1)
    metrics = {"confident": keep, "confidence": confidence, "agreement": same, "trust": same * confidence}
    metrics = {name: (jnp.sum(value, dtype=jnp.float32), count) for name, value in metrics.items()}
    tokens, has_label = hidden
    if tokens is None:
        return metrics
    correct = _equal(texts, tokens[:, config.bos_id is not None :], config.first_id)
    for name, value, rows in (
        ("teacher_accuracy", correct, has_label),
        ("confident_accuracy", correct, has_label & keep),
        ("brier", jnp.square(confidence - correct), has_label),
    ):
        metrics[name] = (jnp.sum(jnp.where(rows, value, 0), dtype=jnp.float32), jnp.sum(rows, dtype=jnp.float32))
    return metrics


def _equal(a: Array, b: Array, first_id: int) -> Array:
    """[B] bool: whether ids [B, N] and [B, M], characters first, are the same text."""
    length = max(a.shape[1], b.shape[1])
    a, b = (jnp.where(x >= first_id, x, 0) for x in (a, b))
    a, b = (jnp.pad(x, ((0, 0), (0, length - x.shape[1]))) for x in (a, b))
    return (a == b).all(axis=1)
