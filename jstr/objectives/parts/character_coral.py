"""CORAL between the characters of labelled and of unlabelled words (CR, Zheng et al. 2022; file loss_coral.py)."""

from __future__ import annotations

import jax

from jstr.core import Array, ModelConfig
from jstr.losses.coral import coral
from jstr.objectives.parts.apply_model import Outputs
from jstr.objectives.parts.pseudo_labels import product, read


def character_features(model_config: ModelConfig) -> str:
    """The name of the output with a vector for each character; CTC: for each frame."""
    return "frames" if model_config.is_ctc else "glimpses"


def character_coral(
    labelled: Outputs,
    strong: Outputs,
    thresholds: tuple[float, float],
    model_config: ModelConfig,
    *,
    normalise: bool = False,
) -> Array:
    """The CORAL distance between the characters of two outputs of the recogniser; gradients flow to both.

    thresholds: the confidence, by product, that a word must reach for its characters to count: of the labelled words,
    and of the unlabelled ones as the student reads their strong view. normalise: see losses.coral.coral.
    """
    sides = []
    for outputs, threshold in zip((labelled, strong), thresholds, strict=True):
        reading = read(jax.lax.stop_gradient(outputs["logits"]), model_config)
        keep = (reading.tokens >= model_config.first_id) & (product(reading) >= threshold)[:, None]
        characters = outputs[character_features(model_config)]
        sides.append((characters.reshape(-1, characters.shape[-1]), keep.reshape(-1)))
    return coral(*sides[0], *sides[1], normalise=normalise)
