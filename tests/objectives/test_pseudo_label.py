"""Pseudo-labelling and Noisy Student."""

import pytest
from scripted import METHODS, TEACHER, scripted_step
from testing import consistency_config
from toy import ATTENTION, ToyAttention

from jstr.objectives import make_objective
from jstr.training import loop


def test_only_words_that_end_are_kept():
    """The gate of STR-Fewer-Labels is on special tokens alone; the mean is over what is kept."""
    objective = make_objective(METHODS["pseudo_label"], ToyAttention(projection="none"), ATTENTION)
    assert objective.streams["unlabelled"] == ("strong",)
    teacher = TEACHER.copy()
    teacher[1, 2] = [0, 9, 0, 0, 0, 0, 0]  # UNK ends the second word
    _, metrics, _ = scripted_step("noisy_student", teacher, labels="hard", cons_reduction="kept")
    assert metrics["confident"] == 0.5
    assert metrics["consistency"] == pytest.approx(2 * 0.303572, abs=1e-6)


def test_dropout_and_batches_of_another_size_train(tmp_path):
    """Noisy Student's dropout in the recogniser; streams of 8 and 4 words; a teacher of its own."""
    config = consistency_config()
    config.model.dropout = 0.5
    config.steps, config.evals = 2, {}
    loop.run(config, str(tmp_path))
    assert '"train/consistency"' in (tmp_path / "metrics.jsonl").read_text()
