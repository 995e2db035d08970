"""BYOL (Grill et al. 2020) on the parts of words: pre-training without labels and without negatives.

From each part of a word in one view, a predictor predicts the target network's output for that part in the other view.
The target is a moving average of the network (config.teacher) or, with `shared`, the network itself: SimSiam (Chen and
He 2021). No gradient reaches it in either case. `spread` and `others` show a collapse, in which all parts are the same.
As with SeqCLR, only the encoder is used afterwards, see configs/probe.py and configs/finetune.py.
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
from jstr.losses import similarity
from jstr.nn.instances import Predictor
from jstr.objectives.parts.apply_model import train_forward
from jstr.objectives.parts.instances import VIEWS, Instances, cosines_of_views, draw_similarity
from jstr.objectives.parts.supervised_loss import mean
from jstr.text.messages import check_at_least


@dataclass(frozen=True, eq=False)
class Method:
    """Predicts one view [B, H, W, C] of the words of batch["unlabelled"] from the other, and the other way round.

    features, head, mapping, size: see Instances; the papers project and predict whole images, by `mlp_norm`.
    hidden: width of the predictor's hidden layer.
    shared: the target has the weights of the network (SimSiam), instead of those of config.teacher.
    Both networks run in training mode, as published.

    Loss: the mean of negative_cosine over the instances of the batch in both directions; BYOL's is 4 (1 + it). Metrics:
    predicted, the mean cosine of prediction and target; spread and others (mean_similarity) of view 0's projections.

    Raises:
      InputError: an option with an invalid value.
    """

    model: Recognizer
    model_config: ModelConfig
    features: str = "frames"
    head: str = "mlp_norm"
    mapping: str = "window"
    size: int = 5
    hidden: int = 4096
    shared: bool = False

    def __post_init__(self):
        _ = self.mapped
        check_at_least("hidden", self.hidden, 1)

    @property
    def mapped(self) -> Instances:
        """From outputs to instances."""
        return Instances(self.features, self.head, self.mapping, self.size)

    def objective(self) -> Objective:
        """The functions of this method."""
        return Objective(
            {"unlabelled": VIEWS},
            (self.features,),
            self.init,
            self.loss,
            needs_teacher=not self.shared,
            show=self.show,
            draw=draw_similarity,
        )

    def init(self, key: Array, batch: Batch) -> Variables:
        """See jstr.core.Objective."""
        (params, model_state), width = self.mapped.init(self.model, key, batch["unlabelled"]["view0"])
        some, mask = jnp.zeros((1, 2, width)), jnp.ones((1, 2), bool)
        predictor = Predictor(self.hidden).init(jax.random.fold_in(key, 2), some, mask)
        return {**params, "predictor": predictor["params"]}, model_state

    def loss(
        self, params: Params, model_state: ModelState, teacher: Variables | None, batch: Batch, key: Array, step: Array
    ) -> LossAndMetrics:
        """See jstr.core.Objective."""
        del step
        rows, online, masks = batch["unlabelled"], [], []
        for i in range(2):
            outputs, model_state = self.forward(params, model_state, rows, i, jax.random.fold_in(key, i))
            z, mask = self.mapped(params, outputs, rows[f"view{i}_filled"])
            online.append(z)
            masks.append(mask)
        both = masks[0] & masks[1]
        targets = online if self.shared else self.targets(teacher, rows, key)
        predictor = {"params": params["predictor"]}
        predictions = [jnp.asarray(Predictor(self.hidden).apply(predictor, z, both)) for z in online]
        metrics = prediction_metrics(predictions, targets, both) | spread_metrics(online[0], masks[0])
        return -mean(metrics["predicted"]), (model_state, metrics)

    def forward(self, params: Params, model_state: ModelState, rows: Mapping[str, Array], view: int, key: Array):
        """train_forward of one view."""
        return train_forward(self.model, params, model_state, rows[f"view{view}"], None, key)

    def targets(self, teacher: Variables | None, rows: Mapping[str, Array], key: Array) -> list[Array]:
        """The teacher's instances [B, N, D] of both views. No gradient passes."""
        assert teacher is not None, "needs_teacher"
        params, model_state = jax.lax.stop_gradient(teacher)
        found = []
        for i in range(2):
            outputs, _ = self.forward(params, model_state, rows, i, jax.random.fold_in(key, 2 + i))
            found.append(self.mapped(params, outputs, rows[f"view{i}_filled"])[0])
        return found

    def show(
        self, params: Params, model_state: ModelState, teacher: Variables | None, batch: Batch
    ) -> Mapping[str, Array]:
        """See jstr.core.Objective."""
        del teacher
        return cosines_of_views(self.mapped, self.model, params, model_state, batch["unlabelled"])


def prediction_metrics(predictions: list[Array], targets: list[Array], mask: Array) -> Metrics:
    """`predicted` of two views' predictions and targets, [B, N, D] each; mask [B, N]."""
    crossed = zip(predictions, targets[::-1], strict=True)
    values = sum(-similarity.negative_cosine(p, z) for p, z in crossed) / 2
    return {"predicted": (jnp.where(mask, values, 0.0).sum(), mask.sum().astype(jnp.float32))}


def spread_metrics(instances: Array, mask: Array) -> Metrics:
    """What would show a collapse of instances [B, N, D]; mask [B, N]."""
    flat, keep = jax.lax.stop_gradient(instances).reshape(-1, instances.shape[-1]), mask.reshape(-1)
    one = jnp.ones(())
    return {"spread": (similarity.spread(flat, keep), one), "others": (similarity.mean_similarity(flat, keep), one)}
