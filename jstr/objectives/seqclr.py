"""SeqCLR (Aberdam et al. 2021): the parts of a word look alike in two views of it, and unlike all other parts.

seqclr.md. After pre-training only the encoder is used, see configs/probe.py and configs/finetune.py.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jstr.core import InputError, ModelConfig, Objective
from jstr.losses import contrastive
from jstr.nn.images import normalise
from jstr.nn.instances import HEADS, MAPPINGS, ProjectionHead, center_instances, frame_mask, map_frames
from jstr.objectives.parts import apply_model
from jstr.objectives.parts.supervised_loss import mean, supervised_outputs
from jstr.visualize import similarity_sheet

SHOWN = 6
VIEWS = ("view0", "view1", "view0_filled", "view1_filled")


def make(
    model,
    *,
    model_config: ModelConfig,
    features: str = "frames",
    head: str = "none",
    head_hidden: int | None = None,
    head_size: int | None = None,
    mapping: str = "window",
    size: int = 5,
    temperature: float = 0.1,
    centred: bool = False,
    concatenate: bool = False,
    joint: bool = False,
    contrast_weight: float = 1.0,
) -> Objective:
    """Contrasts two views [B, H, W, C] of the words of batch["unlabelled"]; or, if `joint`, of batch["mixed"].

    features: the output of the model to contrast, [B, S, D] (or [B, h, w, D], taken row by row): `frames` are the
      contextual ones, `visual` those before the sequence stage.
    head: `none`, `linear`, `mlp` or `bilstm`, of widths head_hidden and head_size (None: that of the features).
    mapping, size: see map_frames.
    centred: each word's instances less their mean, so that nothing that a whole word shares (style, light, what word it
      is) tells its parts from those of other words. Ours, not in the paper.
    concatenate: one forward pass over both views, with common batch statistics, instead of two.
    joint: batch["mixed"] also has tokens [B, N] and has_label [B]. The loss is then the supervised one of view 0, plus
      that of view 1, both on the words with a label, plus contrast_weight times the contrast of all words.

    Loss: the mean of nt_xent over the instances of the whole batch, on however many devices it lies. Metrics:
    contrast, picked (share of instances whose nearest is their positive), alignment, uniformity; if joint, those of
    supervised_outputs too, over both views.

    Raises:
      InputError: an unknown choice, or a size that cannot be.
    """
    _check(head, mapping, size, temperature, centred)
    method = SeqCLR(
        model,
        model_config,
        features,
        ProjectionHead(head, head_hidden, head_size),
        mapping,
        size,
        temperature,
        centred,
        concatenate,
        joint,
        contrast_weight,
    )
    fields = VIEWS + (("tokens", "has_label") if joint else ())
    requires = (features, "logits") if joint else (features,)
    return Objective({method.stream: fields}, requires, method.init, method.loss, method.show)


class SeqCLR(NamedTuple):
    """The options of `make`, and what follows from them. All methods are pure functions."""

    model: Any
    model_config: ModelConfig
    features: str
    projection: ProjectionHead
    mapping: str
    size: int
    temperature: float
    centred: bool
    concatenate: bool
    joint: bool
    contrast_weight: float

    @property
    def stream(self) -> str:
        return "mixed" if self.joint else "unlabelled"

    def init(self, key, batch):
        rows = batch[self.stream]
        images, tokens = normalise(rows["view0"]), rows["tokens"] if self.joint else None
        variables = dict(self.model.init(key, images, tokens, train=False))
        params = {"model": variables.pop("params")}
        apply = functools.partial(self.model.apply, train=False)
        shape = jax.eval_shape(apply, {"params": params["model"], **variables}, images)[self.features].shape
        if self.mapping == "fixed" and np.prod(shape[1:-1]) < self.size:
            frames = np.prod(shape[1:-1])
            raise InputError(f"config.objective.size={self.size}: {self.features} has only {frames} frames")
        head = self.projection.init(jax.random.fold_in(key, 1), jnp.zeros((1, 2, shape[-1])))
        return params | ({"projection": head["params"]} if "params" in head else {}), variables

    def loss(self, params, model_state, teacher, batch, key, step):
        del teacher, step
        rows = batch[self.stream]
        halves, model_state = self.both(params, model_state, rows, key)
        (z0, mask0), (z1, mask1) = (
            self.instances(params, half, rows[f"view{i}_filled"]) for i, half in enumerate(halves)
        )
        metrics = _contrast(z0, z1, mask0 & mask1, self.temperature)
        total = mean(metrics["contrast"])
        if self.joint:
            found = [supervised_outputs(h, rows["tokens"], self.model_config, rows["has_label"]) for h in halves]
            total = self.contrast_weight * total + sum(mean(f["loss"]) for f in found)
            summed = jax.tree.map(jnp.add, *found)
            metrics |= {"supervised": summed.pop("loss")} | summed
        return total, (model_state, metrics)

    def both(self, params, model_state, rows, key):
        """Outputs of both views, and the model state after them."""
        images = [rows[view] for view in ("view0", "view1")]
        tokens = rows["tokens"] if self.joint else None
        if self.concatenate:
            doubled = None if tokens is None else jnp.concatenate([tokens, tokens])
            images = jnp.concatenate(images)
            outputs, model_state = apply_model.forward(self.model, params, model_state, images, doubled, key)
            return [jax.tree.map(lambda x, i=i: jnp.split(x, 2)[i], outputs) for i in range(2)], model_state
        halves = []
        for i, view in enumerate(images):
            view_key = jax.random.fold_in(key, i)
            outputs, model_state = apply_model.forward(self.model, params, model_state, view, tokens, view_key)
            halves.append(outputs)
        return halves, model_state

    def instances(self, params, outputs, filled):
        """[B, N, D] and their mask [B, N], of the features of one view. filled: [B], see frame_mask."""
        frames = outputs[self.features]
        mask = frame_mask(filled, frames.shape[-2])
        if frames.ndim == 4:
            mask = jnp.tile(mask, (1, frames.shape[1]))
            frames = frames.reshape(frames.shape[0], -1, frames.shape[-1])
        projected = self.projection.apply({"params": params.get("projection", {})}, frames)
        found, counts = map_frames(projected, mask, self.mapping, self.size)
        return (center_instances(found, counts) if self.centred else found), counts

    def show(self, params, model_state, teacher, batch):
        """Cosines [K, N, K, N] between the instances of the first K words in both views, as in evaluation."""
        del teacher
        rows = {name: x[:SHOWN] for name, x in batch[self.stream].items()}
        variables = {"params": params["model"], **model_state}
        units = []
        for i in range(2):
            outputs = self.model.apply(variables, normalise(rows[f"view{i}"]), train=False)
            z, _ = self.instances(params, outputs, rows[f"view{i}_filled"])
            units.append(z / jnp.maximum(jnp.linalg.norm(z, axis=-1, keepdims=True), 1e-6))
        return {"cosine": jnp.einsum("knd,lmd->knlm", *units)}


def draw(arrays, batch, charset) -> dict[str, np.ndarray]:
    """The picture `similarity`, uint8 [H, W, 3]: words of view 0 down the side, those of view 1 along the top."""
    del charset
    (rows,) = batch.values()
    cosine = np.asarray(arrays["cosine"])
    return {"similarity": similarity_sheet(cosine, rows["view0"][: len(cosine)], rows["view1"][: len(cosine)])}


def _check(head: str, mapping: str, size: int, temperature: float, centred: bool) -> None:
    for name, value, choices in (("head", head, HEADS), ("mapping", mapping, MAPPINGS)):
        if value not in choices:
            raise InputError(f"config.objective.{name}={value!r}: choose one of {', '.join(choices)}")
    if size < 1 or not temperature > 0:
        raise InputError(f"config.objective: size={size} and temperature={temperature} must be positive")
    if centred and (mapping == "all" or mapping == "window" and size == 1):
        raise InputError(
            "config.objective.centred=True: a word of one instance has nothing beside their mean; choose "
            "mapping window or frame, and size above 1"
        )


def _contrast(z0, z1, mask, temperature: float):
    """Metrics of instances [B, N, D] of two views; mask [B, N]."""
    flat = [z.reshape(-1, z.shape[-1]) for z in (z0, z1)]
    found = contrastive.nt_xent(*flat, temperature, mask.reshape(-1))
    count = mask.sum().astype(jnp.float32)
    return {
        "contrast": (found.loss.sum(), count),
        "picked": (found.picked.sum(), count),
        "alignment": (found.alignment.sum(), count),
        "uniformity": (found.uniformity, jnp.ones(())),
    }
