"""CR (Zheng et al. 2022): consistency regularisation of a recogniser, from labelled synthetic words to real ones.

A moving average of the student reads the weak view greedily. The student reads the strong view with the teacher's
characters as decoder inputs, through a projection layer (config.model.projection). A CORAL term aligns the character
features of both domains. The defaults are those of the published code, not of the paper's equations.

One difference from it: the published teacher takes over the student's batch statistics after the labelled forward pass
of the same step; here it has those of the end of the previous step, with which it is also saved and evaluated.
"""

from __future__ import annotations

from dataclasses import dataclass

from jstr.objectives.parts.consistency import Consistency, fixed


@dataclass(frozen=True, eq=False)
class Method(Consistency):
    """See Consistency for the options. Needs config.teacher; published: decay 0.999.

    The published cross-entropy variant: labels="hard", confidence="minimum". coral_normalise is classic CORAL, for
    which coral_weight must be tuned again.
    """

    labels: str = "soft"
    divergence: str = "kl"
    temperature: float = 0.4
    context: str = "shared"
    cons_reduction: str = "character"
    coral_weight: float = 0.01
    coral_threshold: float = 0.6
    coral_normalise: bool = False
    projects: bool = fixed(True)
