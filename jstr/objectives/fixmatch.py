"""FixMatch (Sohn et al. 2020) for words: the student's own confident strings of weak views are labels of strong ones.

No public code of its authors reads words; this form is ours, baselines.md section 5. The moving average of the paper
only reads in evaluation: config.teacher = dict(decay=0.999), config.eval_weights = "teacher".
"""

from __future__ import annotations

from jstr import consistency
from jstr.core import ModelConfig, Objective

draw = consistency.draw


def make(
    model,
    *,
    config: ModelConfig,
    confidence: str = "minimum",
    threshold: float = 0.95,
    context: str = "own",
    cons_reduction: str = "sample",
    cons_weight: float = 1.0,
    hidden_labels: bool = False,
) -> Objective:
    """See consistency.make_consistency, and consistency.Options for the options."""
    options = consistency.Options(
        own_teacher=True,
        project=False,
        labels="hard",
        confidence=confidence,
        threshold=threshold,
        context=context,
        cons_reduction=cons_reduction,
        cons_weight=cons_weight,
        hidden_labels=hidden_labels,
    )
    return consistency.make_consistency(model, config, options)
