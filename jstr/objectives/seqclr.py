"""SeqCLR (Aberdam et al. 2021): contrastive pre-training on the parts of words, without labels.

Each part of a word must be similar in two views of it, and unlike all other parts. After pre-training only the encoder
is used, see configs/probe.py and configs/finetune.py.
"""

from __future__ import annotations

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
)
from jstr.losses import contrastive
from jstr.nn.instances import center_instances
from jstr.objectives.parts.apply_model import Outputs, train_forward
from jstr.objectives.parts.instances import VIEWS, Instances, cosines_of_views, draw_similarity
from jstr.objectives.parts.supervised_loss import mean, supervised_outputs
from jstr.text.messages import InputError, check_at_least


@dataclass(frozen=True, eq=False)
class Method:
    """Contrasts two views [B, H, W, C] of the words of batch["unlabelled"]; or, if `joint`, of batch["mixed"].

    features, head, mapping, size: see Instances.
    centred: subtract the mean of each word's instances, so that nothing that a whole word shares (style, light, which
      word it is) distinguishes its parts from those of other words. Ours, not in the paper.
    joint: batch["mixed"] also has tokens [B, N] and has_label [B]. The loss is then the supervised one of view 0, plus
      that of view 1, both on the words with a label, plus contrast_weight times the contrast of all words.

    Loss: the mean of nt_xent over the instances of the whole batch, on however many devices it lies, times
    contrast_weight. Metrics:
    contrast, picked (share of instances whose nearest is their positive), alignment, uniformity; if joint, those of
    supervised_outputs too, over both views.

    Raises:
      InputError: an option with an invalid value.
    """

    model: Recognizer
    model_config: ModelConfig
    features: str = "frames"
    head: str = "none"
    mapping: str = "window"
    size: int = 5
    temperature: float = 0.1
    centred: bool = False
    joint: bool = False
    contrast_weight: float = 1.0

    def __post_init__(self):
        _ = self.mapped
        check_at_least("contrast_weight", self.contrast_weight, 0)
        if not self.temperature > 0:
            raise InputError(f"temperature={self.temperature} must be positive")
        if self.centred and (self.mapping == "all" or self.mapping == "window" and self.size == 1):
            raise InputError(
                "centred=True: a word of one instance is its own mean; choose mapping window or frame, and size above 1"
            )

    def objective(self) -> Objective:
        """The functions of this method."""
        streams = {self.stream: VIEWS + (("tokens", "has_label") if self.joint else ())}
        requires = (self.features, "logits") if self.joint else (self.features,)
        return Objective(streams, requires, self.init, self.loss, show=self.show, draw=draw_similarity)

    @property
    def stream(self) -> str:
        """The stream that is read."""
        return "mixed" if self.joint else "unlabelled"

    @property
    def mapped(self) -> Instances:
        """From outputs to instances."""
        return Instances(self.features, self.head, self.mapping, self.size)

    def init(self, key: Array, batch: Batch) -> Variables:
        """See jstr.core.Objective."""
        rows = batch[self.stream]
        return self.mapped.init(self.model, key, rows["view0"], rows["tokens"] if self.joint else None)[0]

    def loss(
        self, params: Params, model_state: ModelState, teacher: Variables | None, batch: Batch, key: Array, step: Array
    ) -> LossAndMetrics:
        """See jstr.core.Objective."""
        del teacher, step
        rows = batch[self.stream]
        tokens, views = rows["tokens"] if self.joint else None, []
        for i in range(2):
            view_key = jax.random.fold_in(key, i)
            outputs, model_state = train_forward(self.model, params, model_state, rows[f"view{i}"], tokens, view_key)
            views.append(outputs)
        (z0, mask0), (z1, mask1) = (
            self.instances(params, outputs, rows[f"view{i}_filled"]) for i, outputs in enumerate(views)
        )
        metrics = contrast_metrics(z0, z1, mask0 & mask1, self.temperature)
        total = self.contrast_weight * mean(metrics["contrast"])
        if self.joint:
            found = [supervised_outputs(v, rows["tokens"], self.model_config, rows["has_label"]) for v in views]
            total += sum(mean(f["loss"]) for f in found)
            summed = jax.tree.map(jnp.add, *found)
            metrics |= {"supervised": summed.pop("loss")} | summed
        return total, (model_state, metrics)

    def instances(self, params: Params, outputs: Outputs, filled: Array) -> tuple[Array, Array]:
        """[B, N, D] and their mask [B, N], of the features of one view. filled: [B], see frame_mask."""
        found, counts = self.mapped(params, outputs, filled)
        return (center_instances(found, counts) if self.centred else found), counts

    def show(
        self, params: Params, model_state: ModelState, teacher: Variables | None, batch: Batch
    ) -> Mapping[str, Array]:
        """See jstr.core.Objective."""
        del teacher
        return cosines_of_views(self.instances, self.model, params, model_state, batch[self.stream])


def contrast_metrics(z0: Array, z1: Array, mask: Array, temperature: float) -> Metrics:
    """Metrics of instances [B, N, D] of two views; mask [B, N]."""
    width = z0.shape[-1]
    found = contrastive.nt_xent(z0.reshape(-1, width), z1.reshape(-1, width), temperature, mask.reshape(-1))
    count = mask.sum().astype(jnp.float32)
    return {
        "contrast": (found.loss.sum(), count),
        "picked": (found.picked.sum(), count),
        "alignment": (found.alignment.sum(), count),
        "uniformity": (found.uniformity, jnp.ones(())),
    }
