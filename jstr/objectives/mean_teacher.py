"""Mean Teacher (Tarvainen and Valpola 2017) for words: the student's probabilities stay near those of its average.

The defaults are the form of STR-Fewer-Labels (Baek et al. 2021); masked, ramp_steps and context="shared" are ours.
The teacher normalises by its own batch, so its batch statistics do not matter to the loss. baselines.md section 3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from jstr.core import Array, Batch, ModelConfig, Objective, Variables
from jstr.losses import consistency
from jstr.objectives.parts.apply_model import forward, init
from jstr.objectives.parts.consistency import compare
from jstr.objectives.parts.consistency_terms import check_choice, read, told
from jstr.objectives.parts.supervised_loss import mean, supervised_outputs

VIEWS = ("view0", "view1")


def make(
    model,
    *,
    model_config: ModelConfig,
    cons_weight: float = 1.0,
    ramp_steps: int = 0,
    masked: bool = False,
    context: str = "own",
) -> Objective:
    """Student and teacher each see a view, drawn alike, of the words of batch["labelled"] and batch["unlabelled"].

    Loss: the supervised one of view0 + cons_weight * the mean squared difference of the probabilities of both views,
    over all words, labelled or not, all steps and all classes. The teacher reads freely, the student likewise, but
    labelled words by their labels.
    ramp_steps: the weight grows as exp(-5 (1 - step / ramp_steps)^2); 0: it is there from the start.
    masked: only the steps up to the end of the teacher's word count. context: `shared` tells the student the teacher's
    characters. Needs config.teacher.
    Metrics: those of supervised_outputs; supervised, consistency, and of the unlabelled words those of
    consistency.compare.

    Raises:
      InputError: an unknown context.
    """
    check_choice("context", context, ("own", "shared"))
    method = MeanTeacher(model, model_config, cons_weight, ramp_steps, masked, context)
    fields = {"labelled": (*VIEWS, "tokens"), "unlabelled": VIEWS}
    return Objective(fields, ("logits",), method.init, method.loss, needs_teacher=True)


@dataclass(frozen=True, eq=False)
class MeanTeacher:
    """The options of `make`. All methods are pure functions."""

    model: Any
    model_config: ModelConfig
    cons_weight: float
    ramp_steps: int
    masked: bool
    context: str

    def init(self, key: Array, batch: Batch) -> Variables:
        return init(self.model, key, batch["labelled"]["view0"], batch["labelled"]["tokens"])

    def loss(self, params, model_state, teacher, batch, key, step):
        labelled, words, keys = batch["labelled"], batch["unlabelled"], jax.random.split(key, 4)
        taught = [self.teach(teacher, labelled["view1"], keys[0]), self.teach(teacher, words["view1"], keys[1])]
        reading = read(taught[1], self.model_config)
        tokens = told(reading, self.model_config) if self.context == "shared" else None
        known, model_state = forward(self.model, params, model_state, labelled["view0"], labelled["tokens"], keys[2])
        free, model_state = forward(self.model, params, model_state, words["view0"], tokens, keys[3])

        metrics = supervised_outputs(known, labelled["tokens"], self.model_config)
        metrics["supervised"] = metrics.pop("loss")
        halves = [self.difference(t, s["logits"]) for t, s in zip(taught, (known, free), strict=True)]
        metrics["consistency"] = jax.tree.map(jnp.add, *halves)
        weight = self.cons_weight * consistency.sigmoid_ramp(step, self.ramp_steps)
        total = mean(metrics["supervised"]) + weight * mean(metrics["consistency"])
        student = read(jax.lax.stop_gradient(free["logits"]), self.model_config)
        return total, (model_state, metrics | compare(reading, student, self.model_config))

    def teach(self, teacher: Variables, images: Array, key: Array) -> Array:
        """Logits [B, T, C] of the teacher, read freely, but in training mode. No gradient passes."""
        outputs, _ = forward(self.model, *jax.lax.stop_gradient(teacher), images, None, key)
        return jax.lax.stop_gradient(outputs["logits"])

    def difference(self, taught: Array, student: Array) -> tuple[Array, Array]:
        """(sum, count) over the steps that count of logits [B, T, C] of both."""
        values = consistency.squared_difference(taught, student)
        mask = read(taught, self.model_config).mask if self.masked else jnp.ones(values.shape, bool)
        return jnp.where(mask, values, 0.0).sum(), mask.sum(dtype=jnp.float32)
