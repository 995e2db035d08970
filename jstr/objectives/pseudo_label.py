"""Pseudo-labelling while training, and Noisy Student: a frozen teacher's strings are the labels of unlabelled words.

The form of STR-Fewer-Labels (Baek et al. 2021), the defaults: the teacher reads the very view of the student, and every
word counts that EOS ends. Noisy Student (Xie et al. 2020): same_view=False, so that the teacher reads the weak view and
the student the strong one; a threshold; labels="soft" if wanted; dropout in the model. The teacher is
config.teacher = dict(decay=1.0, workdir=...). With tools/pseudo_label.py the labels are made beforehand instead, by a
teacher of any size, round after round. baselines.md sections 1 and 2.
"""

from __future__ import annotations

from jstr import consistency
from jstr.core import ModelConfig, Objective

draw = consistency.draw


def make(
    model,
    *,
    config: ModelConfig,
    same_view: bool = True,
    labels: str = "hard",
    temperature: float = 1.0,
    confidence: str = "geometric_mean",
    threshold: float = 0.0,
    cons_reduction: str = "kept",
    cons_weight: float = 1.0,
    hidden_labels: bool = False,
) -> Objective:
    """See consistency.make_consistency, and consistency.Options for the options. Soft labels: cross-entropy."""
    options = consistency.Options(
        same_view=same_view,
        project=False,
        labels=labels,
        divergence="ce",
        temperature=temperature,
        confidence=confidence,
        threshold=threshold,
        whole_only=True,
        cons_reduction=cons_reduction,
        cons_weight=cons_weight,
        hidden_labels=hidden_labels,
    )
    return consistency.make_consistency(model, config, options)
