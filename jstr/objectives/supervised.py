"""Supervised recognition: cross-entropy under teacher forcing for attention decoders, CTC for the others."""

from __future__ import annotations

from dataclasses import dataclass

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
from jstr.objectives.parts.apply_model import eval_logits, init_variables, train_forward
from jstr.objectives.parts.pseudo_labels import read
from jstr.objectives.parts.reading_metrics import reading_accuracy
from jstr.objectives.parts.supervised_loss import mean, supervised_outputs


@dataclass(frozen=True, eq=False)
class Method:
    """Trains `model` on batch["labelled"]: image [B, H, W, C] (uint8, or float32 in [-1, 1]) and tokens [B, N] int32.

    weighted: the batch has `weight` [B], too, of each word in the loss: 1, or the confidence of a label that was read.

    Loss and metrics are those of supervised_outputs; of validation batches also `right`, see reading_accuracy.
    """

    model: Recognizer
    model_config: ModelConfig
    weighted: bool = False

    def objective(self) -> Objective:
        """The functions of this method."""
        streams = {"labelled": ("image", "tokens", *("weight",) * self.weighted)}
        return Objective(streams, ("logits",), self.init, self.loss, measure=self.measure)

    def init(self, key: Array, batch: Batch) -> Variables:
        """See jstr.core.Objective."""
        return init_variables(self.model, key, batch["labelled"]["image"], batch["labelled"]["tokens"])

    def loss(
        self, params: Params, model_state: ModelState, teacher: Variables | None, batch: Batch, key: Array, step: Array
    ) -> LossAndMetrics:
        """See jstr.core.Objective."""
        del teacher, step
        images, tokens = batch["labelled"]["image"], batch["labelled"]["tokens"]
        outputs, model_state = train_forward(self.model, params, model_state, images, tokens, key)
        metrics = supervised_outputs(outputs, tokens, self.model_config, weight=batch["labelled"].get("weight"))
        return mean(metrics["loss"]), (model_state, metrics)

    def measure(self, params: Params, model_state: ModelState, teacher: Variables | None, batch: Batch) -> Metrics:
        """See jstr.core.Objective."""
        del teacher
        rows = batch["labelled"]
        reading = read(eval_logits(self.model, params, model_state, rows["image"]), self.model_config)
        return reading_accuracy(reading, rows["tokens"], self.model_config)
