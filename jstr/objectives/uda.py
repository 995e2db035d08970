"""UDA (Xie et al. 2020) for words: the student's own sharpened prediction on the weak view is the target of the strong.

The authors published no code that reads words; this form is ours. Unlike CR it has no moving average, no projection
layer and no domain adaptation.
"""

from __future__ import annotations

from dataclasses import dataclass

from jstr.objectives.parts.consistency import Consistency, fixed


@dataclass(frozen=True, eq=False)
class Method(Consistency):
    """See Consistency for the options."""

    temperature: float = 0.4
    annealing: str = "none"
    annealing_steps: int = 0
    own_teacher: bool = fixed(True)
