"""FixMatch (Sohn et al. 2020) for words: the student's own confident strings of weak views are labels of strong ones.

No public code of its authors reads words; this form is ours, baselines.md section 5. The moving average of the paper
only reads in evaluation: config.teacher = dict(decay=0.999), config.eval_weights = "teacher".
"""

from __future__ import annotations

from jstr.core import ModelConfig, Objective
from jstr.objectives.parts import consistency
from jstr.objectives.parts.consistency import Consistency
from jstr.objectives.parts.consistency_terms import Distance, Gate

draw = consistency.draw


def make(
    model,
    *,
    model_config: ModelConfig,
    confidence: str = "minimum",
    threshold: float = 0.95,
    per_character: bool = False,
    context: str = "own",
    cons_reduction: str = "sample",
    cons_weight: float = 1.0,
    hidden_labels: bool = False,
) -> Objective:
    """See consistency.py for the options."""
    return Consistency(
        model,
        model_config,
        Gate(confidence, threshold, per_character=per_character),
        Distance("hard"),
        cons_reduction,
        cons_weight,
        own_teacher=True,
        context=context,
        hidden_labels=hidden_labels,
    ).objective()
