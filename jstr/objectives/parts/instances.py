"""What objectives on parts of words share: the encoder with its projection head, the instances, and their figure."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jstr.core import Array, ModelState, Params, Recognizer, Variables
from jstr.nn.images import normalise
from jstr.nn.instances import HEADS, MAPPINGS, ProjectionHead, frame_mask, map_frames
from jstr.objectives.parts.apply_model import Outputs
from jstr.text.messages import check_at_least, check_choice
from jstr.visualize import similarity_sheet

SHOWN = 6
VIEWS = ("view0", "view1", "view0_filled", "view1_filled")


@dataclass(frozen=True)
class Instances:
    """From the outputs of a recogniser to the instances of its words.

    features: the output to take, [B, S, D] (or [B, h, w, D], flattened row by row): `frames` are the contextual ones,
      `visual` those before the sequence stage.
    head: the projection head, see ProjectionHead, as wide as the features.
    mapping, size: see map_frames.

    Raises:
      InputError: an option with an invalid value.
    """

    features: str
    head: str
    mapping: str
    size: int

    def __post_init__(self):
        check_choice("head", self.head, HEADS)
        check_choice("mapping", self.mapping, MAPPINGS)
        check_at_least("size", self.size, 1)

    def init(self, model: Recognizer, key: Array, images: Array, tokens: Array | None = None) -> tuple[Variables, int]:
        """(fresh variables {"model": ..., "projection": ...}, width D) for images [B, H, W, C] and tokens [B, N]."""
        images = normalise(images)
        variables = dict(model.init(key, images, tokens, train=False))
        params = {"model": variables.pop("params")}
        apply = functools.partial(model.apply, train=False)
        width = jax.eval_shape(apply, {"params": params["model"], **variables}, images)[self.features].shape[-1]
        head = ProjectionHead(self.head).init(jax.random.fold_in(key, 1), jnp.zeros((1, 2, width)))
        return (params | ({"projection": head["params"]} if "params" in head else {}), variables), width

    def __call__(self, params: Params, outputs: Outputs, filled: Array) -> tuple[Array, Array]:
        """[B, N, D] and their mask [B, N], of the features of one view. filled: [B], see frame_mask."""
        frames = outputs[self.features]
        mask = frame_mask(filled, frames.shape[-2])
        if frames.ndim == 4:
            mask = jnp.tile(mask, (1, frames.shape[1]))
            frames = frames.reshape(frames.shape[0], -1, frames.shape[-1])
        projected = ProjectionHead(self.head).apply({"params": params.get("projection", {})}, frames, mask)
        return map_frames(jnp.asarray(projected), mask, self.mapping, self.size)


def cosines_of_views(
    instances: Any, model: Recognizer, params: Params, model_state: ModelState, rows: Mapping[str, Array]
) -> dict[str, Array]:
    """`cosine` [K, N, K, N] between the instances of the first K words in both views, as in evaluation.

    instances: (params, outputs, filled) -> instances [K, N, D] and their mask.
    """
    rows = {name: x[:SHOWN] for name, x in rows.items()}
    variables = {"params": params["model"], **model_state}
    units = []
    for i in range(2):
        outputs = model.apply(variables, normalise(rows[f"view{i}"]), train=False)
        z, _ = instances(params, outputs, rows[f"view{i}_filled"])
        units.append(z / jnp.maximum(jnp.linalg.norm(z, axis=-1, keepdims=True), 1e-6))
    return {"cosine": jnp.einsum("knd,lmd->knlm", *units)}


def draw_similarity(arrays: Mapping[str, np.ndarray], batch: Mapping[str, Any], charset: Any) -> dict[str, np.ndarray]:
    """The image `similarity`, uint8 [H, W, 3]: words of view 0 down the side, those of view 1 along the top."""
    del charset
    (rows,) = batch.values()
    cosine = np.asarray(arrays["cosine"])
    return {"similarity": similarity_sheet(cosine, rows["view0"][: len(cosine)], rows["view1"][: len(cosine)])}
