"""Training signal annealing."""

import jax.numpy as jnp
import numpy as np
import pytest
from scripted import METHODS, SCRIPTED, STUDENT, scripted_step
from toy import CTC, Toy

from jstr.core import ModelConfig
from jstr.objectives import make_objective
from jstr.objectives.parts.schedules import annealed_rows
from jstr.objectives.parts.supervised_loss import mean, supervised_metrics
from jstr.text.messages import InputError


@pytest.mark.parametrize(("schedule", "half"), [("linear", 0.5), ("log", 1 - np.exp(-2.5)), ("exp", np.exp(-2.5))])
def test_training_signal_annealing(schedule, half):
    """Words whose label the student gives a probability above the threshold do not count; at the end all do."""
    threshold = 1 / 7 + 6 / 7 * half
    logits = np.zeros((3, 2, 7), np.float32)
    logits[1, :, 5] = logits[1, :, 6] = -20  # a word it reads surely, beside one it knows nothing of
    for row, p in ((1, threshold + 0.01), (2, threshold - 0.01)):
        logits[row] = np.log((1 - p) / 6)
        logits[row, 0, 5] = logits[row, 1, 3] = np.log(p)
    tokens = np.array([[2, 5, 3]] * 3, np.int32)
    rows = [
        np.asarray(annealed_rows(logits, tokens, step, schedule, 100, SCRIPTED)).tolist() for step in (50, 100, 1000)
    ]
    assert rows == [[True, False, True], [True] * 3, [True] * 3]
    _, off, _ = scripted_step("uda")
    _, early, _ = scripted_step("uda", annealing=schedule, annealing_steps=10**9)
    assert "released" not in off and off["supervised"] > 0
    sure = np.asarray(annealed_rows(jnp.asarray(STUDENT), np.full((2, 5), 3, np.int32), 0, schedule, 10**9, SCRIPTED))
    assert early["released"] == 1 - sure.mean()
    _, late, _ = scripted_step("uda", step=10**9, annealing=schedule, annealing_steps=10**9)
    assert late["released"] == 0 and late["supervised"] == pytest.approx(off["supervised"], rel=1e-6)


def test_annealing_with_ctc_leaves_rows_out():
    """The loss is that of the rows that count, as if the others were deleted; labels that do not fit still count."""
    logits = np.zeros((4, 3, 9), np.float32)
    tokens = np.array([[3, 4, 0], [3, 4, 0], [5, 6, 0], [6, 6, 6]], np.int32)  # the last needs five frames
    for row, p in ((0, 0.9), (1, 0.3)):
        logits[row] = np.log((1 - p) / 8)
        logits[row, [0, 1, 2], [3, 4, 4]] = np.log(p)
    model_config = ModelConfig((1, 1), 1, 3, 9, first_id=1, pad_id=0)
    rows = annealed_rows(logits, tokens, 5, "linear", 10, model_config)
    assert np.asarray(rows).tolist() == [False, True, True, True]
    found = supervised_metrics(jnp.asarray(logits), jnp.asarray(tokens), model_config, rows)
    rest = supervised_metrics(jnp.asarray(logits[1:]), jnp.asarray(tokens[1:]), model_config)
    assert float(mean(found["loss"])) == pytest.approx(float(mean(rest["loss"])), rel=1e-5)
    assert float(mean(found["unalignable"])) == pytest.approx(1 / 3)


@pytest.mark.parametrize("options", [dict(annealing="cos"), dict(annealing="log")])
def test_annealing_that_cannot_be(options):
    with pytest.raises(InputError, match="config.objective.annealing"):
        make_objective(METHODS["uda"] | options, Toy(), CTC)
