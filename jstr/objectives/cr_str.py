"""CR (Zheng et al. 2022): consistency regularisation of a recogniser, from labelled synthetic words to real ones.

A moving average of the student reads the weak view freely; the student reads the strong view, told the teacher's
characters, through a projection layer (config.model.projection). A CORAL term draws the characters of both domains
together. The defaults are those of the published code. The published CE variant: divergence="ce", labels="hard",
confidence="minimum". cr.md.
"""

from __future__ import annotations

from jstr import consistency
from jstr.core import ModelConfig, Objective

draw = consistency.draw


def make(
    model,
    *,
    config: ModelConfig,
    labels: str = "soft",
    divergence: str = "kl",
    temperature: float = 0.4,
    confidence: str = "product",
    threshold: float = 0.5,
    cons_reduction: str = "character",
    cons_weight: float = 1.0,
    coral_weight: float = 0.01,
    coral_threshold: float = 0.6,
    coral_normalise: bool = False,
    hidden_labels: bool = False,
) -> Objective:
    """See consistency.make_consistency, and consistency.Options for the options.

    coral_normalise: classic CORAL; coral_weight must be tuned anew. Needs config.teacher, published: decay 0.999.
    """
    options = consistency.Options(
        labels=labels,
        divergence=divergence,
        temperature=temperature,
        confidence=confidence,
        threshold=threshold,
        cons_reduction=cons_reduction,
        cons_weight=cons_weight,
        coral_weight=coral_weight,
        coral_threshold=coral_threshold,
        coral_normalise=coral_normalise,
        hidden_labels=hidden_labels,
    )
    return consistency.make_consistency(model, config, options)
