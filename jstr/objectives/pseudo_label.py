"""Pseudo-labelling while training, and Noisy Student: a frozen teacher's strings are the labels of unlabelled words.

The form of STR-Fewer-Labels (Baek et al. 2021), the defaults: the teacher reads the very view of the student, and every
word counts that EOS ends. Noisy Student (Xie et al. 2020): same_view=False, so that the teacher reads the weak view and
the student the strong one; a threshold; labels="soft" if wanted; dropout in the model. The teacher is
config.teacher = dict(decay=1.0, workdir=...). With tools/pseudo_label.py the labels are made beforehand instead, by a
teacher of any size, round after round. baselines.md sections 1 and 2.
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
    same_view: bool = True,
    labels: str = "hard",
    temperature: float = 1.0,
    confidence: str = "geometric_mean",
    threshold: float = 0.0,
    cons_reduction: str = "kept",
    cons_weight: float = 1.0,
    hidden_labels: bool = False,
) -> Objective:
    """Needs config.teacher. See consistency.py for the options; soft labels are learned by cross-entropy."""
    gate = Gate(confidence, threshold, whole_only=True)
    return Consistency(
        model,
        model_config,
        gate,
        Distance(labels, "ce", temperature),
        cons_reduction,
        cons_weight,
        same_view=same_view,
        hidden_labels=hidden_labels,
    ).objective()
