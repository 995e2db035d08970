"""UDA (Xie et al. 2020) for words: the student's own sharpened reading of the weak view guides that of the strong one.

No public code of its authors reads words; this form is ours, baselines.md section 4. Against CR it has no moving
average, no projection layer and no domain adaptation.
"""

from __future__ import annotations

from jstr.core import ModelConfig, Objective
from jstr.objectives.parts import consistency
from jstr.objectives.parts.consistency import Consistency
from jstr.objectives.parts.consistency_terms import Annealing, Distance, Gate

draw = consistency.draw


def make(
    model,
    *,
    model_config: ModelConfig,
    temperature: float = 0.4,
    confidence: str = "product",
    threshold: float = 0.5,
    per_character: bool = False,
    context: str = "own",
    cons_reduction: str = "sample",
    cons_weight: float = 1.0,
    annealing: str = "none",
    annealing_steps: int = 0,
    hidden_labels: bool = False,
) -> Objective:
    """See consistency.py, and consistency_terms.py for gate and annealing."""
    return Consistency(
        model,
        model_config,
        Gate(confidence, threshold, per_character=per_character),
        Distance("soft", "kl", temperature),
        cons_reduction,
        cons_weight,
        own_teacher=True,
        context=context,
        hidden_labels=hidden_labels,
        annealing=Annealing(annealing, annealing_steps),
    ).objective()
