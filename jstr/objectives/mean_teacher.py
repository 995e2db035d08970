"""Mean Teacher (Tarvainen and Valpola 2017) for words: the student's probabilities stay near those of its average.

The defaults are the form of STR-Fewer-Labels (Baek et al. 2021; file modules/semi_supervised.py); masked and ramp_steps
are ours. The teacher runs in training mode, as published: it normalises by its own batch, so its running statistics do
not affect the loss.
"""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp

from jstr.core import Array, Batch, LossAndMetrics, ModelConfig, ModelState, Objective, Params, Recognizer, Variables
from jstr.losses.consistency import squared_difference
from jstr.objectives.parts.apply_model import init_variables, train_forward
from jstr.objectives.parts.pseudo_labels import read
from jstr.objectives.parts.reading_metrics import agreement_metrics
from jstr.objectives.parts.schedules import sigmoid_ramp
from jstr.objectives.parts.supervised_loss import mean, supervised_outputs
from jstr.text.messages import check_at_least

VIEWS = ("view0", "view1")


@dataclass(frozen=True, eq=False)
class Method:
    """Student and teacher see one view each of the words of batch["labelled"] and batch["unlabelled"].

    Both views are drawn alike; the student sees view0, the teacher view1.
    Loss: the supervised one of view0 + cons_weight * the mean squared difference of the probabilities of both views,
    over all words, labelled or not, all steps and all classes. The teacher decodes greedily; so does the student,
    except that labelled words have their labels as decoder inputs.
    ramp_steps: the weight grows as exp(-5 (1 - step / ramp_steps)^2); 0: it is constant.
    masked: only the steps up to the end of the teacher's word count. Needs config.teacher.
    Metrics: those of supervised_outputs; supervised, consistency, and of the unlabelled words those of
    agreement_metrics.

    Raises:
      InputError: an option with an invalid value.
    """

    model: Recognizer
    model_config: ModelConfig
    cons_weight: float = 1.0
    ramp_steps: int = 0
    masked: bool = False

    def __post_init__(self):
        check_at_least("cons_weight", self.cons_weight, 0)
        check_at_least("ramp_steps", self.ramp_steps, 0)

    def objective(self) -> Objective:
        """The functions of this method."""
        streams = {"labelled": (*VIEWS, "tokens"), "unlabelled": VIEWS}
        return Objective(streams, ("logits",), self.init, self.loss, needs_teacher=True)

    def init(self, key: Array, batch: Batch) -> Variables:
        """See jstr.core.Objective."""
        return init_variables(self.model, key, batch["labelled"]["view0"], batch["labelled"]["tokens"])

    def loss(
        self, params: Params, model_state: ModelState, teacher: Variables | None, batch: Batch, key: Array, step: Array
    ) -> LossAndMetrics:
        """See jstr.core.Objective."""
        labelled, words, keys = batch["labelled"], batch["unlabelled"], jax.random.split(key, 4)
        model, tokens = self.model, labelled["tokens"]
        targets = [
            self.teacher_forward(teacher, rows["view1"], k) for rows, k in ((labelled, keys[0]), (words, keys[1]))
        ]
        known, model_state = train_forward(model, params, model_state, labelled["view0"], tokens, keys[2])
        free, model_state = train_forward(model, params, model_state, words["view0"], None, keys[3])

        metrics = supervised_outputs(known, tokens, self.model_config)
        metrics["supervised"] = metrics.pop("loss")
        halves = [self.difference(t, s["logits"]) for t, s in zip(targets, (known, free), strict=True)]
        metrics["consistency"] = jax.tree.map(jnp.add, *halves)
        weight = self.cons_weight * sigmoid_ramp(step, self.ramp_steps)
        total = mean(metrics["supervised"]) + weight * mean(metrics["consistency"])
        reading = read(targets[1], self.model_config)
        student = read(jax.lax.stop_gradient(free["logits"]), self.model_config)
        return total, (model_state, metrics | agreement_metrics(reading, student, self.model_config))

    def teacher_forward(self, teacher: Variables | None, images: Array, key: Array) -> Array:
        """Logits [B, T, C] of the teacher, decoded greedily, but in training mode. No gradient passes."""
        assert teacher is not None, "needs_teacher"
        outputs, _ = train_forward(self.model, *jax.lax.stop_gradient(teacher), images, None, key)
        return jax.lax.stop_gradient(outputs["logits"])

    def difference(self, teacher_logits: Array, student_logits: Array) -> tuple[Array, Array]:
        """(sum, count) over the steps that count of logits [B, T, C] of both."""
        values = squared_difference(teacher_logits, student_logits)
        mask = read(teacher_logits, self.model_config).mask if self.masked else jnp.ones(values.shape, bool)
        return jnp.where(mask, values, 0.0).sum(), mask.sum(dtype=jnp.float32)
