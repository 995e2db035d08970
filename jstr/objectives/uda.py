"""UDA (Xie et al. 2020) for words: the student's own sharpened reading of the weak view guides that of the strong one.

No public code of its authors reads words; this form is ours, baselines.md section 4. Against CR it has no moving
average, no projection layer and no domain adaptation.
"""

from __future__ import annotations

from jstr import consistency
from jstr.core import ModelConfig, Objective

draw = consistency.draw


def make(
    model,
    *,
    config: ModelConfig,
    temperature: float = 0.4,
    confidence: str = "product",
    threshold: float = 0.5,
    context: str = "own",
    cons_reduction: str = "sample",
    cons_weight: float = 1.0,
    hidden_labels: bool = False,
) -> Objective:
    """See consistency.make_consistency, and consistency.Options for the options."""
    options = consistency.Options(
        own_teacher=True,
        project=False,
        temperature=temperature,
        confidence=confidence,
        threshold=threshold,
        context=context,
        cons_reduction=cons_reduction,
        cons_weight=cons_weight,
        hidden_labels=hidden_labels,
    )
    return consistency.make_consistency(model, config, options)
