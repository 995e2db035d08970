"""Pseudo-labelling while training, and Noisy Student: a frozen teacher's strings are the labels of unlabelled words.

The defaults are the form of STR-Fewer-Labels (Baek et al. 2021; file modules/semi_supervised.py): the teacher reads the
same view as the student, and every word that EOS ends is kept. There, a space is a character like any other; here a
word read with the space token of the layout is dropped, since it cannot be a label.

Noisy Student (Xie et al. 2020): same_view=False, so that the teacher reads the weak view and the student the strong
one; a threshold; optionally labels="soft"; dropout in the model.

The teacher is config.teacher = dict(decay=1.0, workdir=...). tools/pseudo_label.py makes the labels before training
instead, with a teacher of any size, for one or more rounds.
"""

from __future__ import annotations

from dataclasses import dataclass

from jstr.objectives.parts.consistency import Consistency, fixed


@dataclass(frozen=True, eq=False)
class Method(Consistency):
    """See Consistency for the options. Needs config.teacher. Soft labels are learned by cross-entropy."""

    labels: str = "hard"
    divergence: str = fixed("ce")
    temperature: float = 1.0
    confidence: str = "geometric_mean"
    threshold: float = 0.0
    whole_only: bool = fixed(True)
    per_character: bool = fixed(False)
    context: str = fixed("shared")
    cons_reduction: str = "kept"
    same_view: bool = True
