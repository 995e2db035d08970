"""FixMatch (Sohn et al. 2020) for words: the student's own confident strings of weak views are labels of strong ones.

The authors published no code that reads words; this form is ours. The moving average of the paper is only used in
evaluation: config.teacher = dict(decay=0.999), config.eval_weights = "teacher".
"""

from __future__ import annotations

from dataclasses import dataclass

from jstr.objectives.parts.consistency import Consistency, fixed


@dataclass(frozen=True, eq=False)
class Method(Consistency):
    """See Consistency for the options."""

    labels: str = fixed("hard")
    confidence: str = "minimum"
    threshold: float = 0.95
    own_teacher: bool = fixed(True)
