"""CR (Zheng et al. 2022): consistency regularisation of a recogniser, from labelled synthetic words to real ones.

A moving average of the student reads the weak view freely; the student reads the strong view, told the teacher's
characters, through a projection layer (config.model.projection). A CORAL term draws the characters of both domains
together. The defaults are those of the published code. cr.md.
"""

from __future__ import annotations

from jstr.core import ModelConfig, Objective
from jstr.objectives.parts import consistency
from jstr.objectives.parts.consistency import Consistency
from jstr.objectives.parts.consistency_terms import Coral, Distance, Gate

draw = consistency.draw


def make(
    model,
    *,
    model_config: ModelConfig,
    labels: str = "soft",
    divergence: str = "kl",
    temperature: float = 0.4,
    confidence: str = "product",
    threshold: float = 0.5,
    per_character: bool = False,
    cons_reduction: str = "character",
    cons_weight: float = 1.0,
    context: str = "shared",
    coral_weight: float = 0.01,
    coral_threshold: float = 0.6,
    coral_normalise: bool = False,
    hidden_labels: bool = False,
) -> Objective:
    """Needs config.teacher; published: decay 0.999. See consistency.py for the options.

    The published CE variant: labels="hard", confidence="minimum". coral_threshold: of labelled words, `threshold` is
    that of the others. coral_normalise: classic CORAL; coral_weight must then be tuned anew.
    """
    return Consistency(
        model,
        model_config,
        Gate(confidence, threshold, per_character=per_character),
        Distance(labels, divergence, temperature),
        cons_reduction,
        cons_weight,
        Coral(coral_weight, coral_threshold, threshold, coral_normalise),
        context=context,
        projects=True,
        hidden_labels=hidden_labels,
    ).objective()
