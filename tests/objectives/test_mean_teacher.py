"""Mean Teacher: its loss step by step, and the ramp of its weight."""

import jax
import numpy as np
import pytest
from scripted import STUDENT, TEACHER, scripted_step
from toy import CTC, Toy, toy_words

from jstr.objectives import mean_teacher
from jstr.objectives.parts.supervised_loss import mean

KEY = jax.random.PRNGKey(0)


@pytest.mark.parametrize(("step", "weight"), [(0, 0.006738), (50, 0.286505), (100, 1.0), (200, 1.0)])
def test_ramp(step, weight):
    total, metrics, _ = scripted_step("mean_teacher", step=step, ramp_steps=100, cons_weight=2.0)
    rest = total - metrics["supervised"]
    assert rest == pytest.approx(2 * weight * metrics["consistency"], rel=1e-3, abs=1e-6)


def test_labelled_words_are_compared_too_and_the_teacher_uses_its_own_batch():
    """All 12 words count alike, whatever the teacher's running statistics say."""
    objective, words = mean_teacher.Method(Toy(), CTC).objective(), toy_words(CTC, labelled=8, unlabelled=4)
    images, others = words["labelled"]["image"], words["unlabelled"]
    batch = {
        "labelled": {"view0": images, "view1": images[::-1], "tokens": words["labelled"]["tokens"]},
        "unlabelled": {"view0": others["weak"], "view1": others["strong"]},
    }
    params, state = objective.init(KEY, batch)
    teacher = jax.tree.map(lambda x: 1.5 * x + 0.1, (params, state))
    after, metrics = objective.loss(params, state, teacher, batch, KEY, 0)[1]
    squares, moved = [], state
    for rows in batch.values():
        probabilities = []
        for weights, statistics, view in ((*teacher, "view1"), (params, moved, "view0")):
            variables = {"params": weights["model"], **statistics}
            outputs, moved = Toy().apply(variables, rows[view], train=True, mutable=["batch_stats"])
            probabilities.append(np.asarray(jax.nn.softmax(outputs["logits"])))
        squares.append(np.square(probabilities[0] - probabilities[1]))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), after, moved)  # labelled words first
    expected = np.concatenate(squares).mean()
    assert float(mean(metrics["consistency"])) == pytest.approx(expected, rel=1e-4)
    assert expected != pytest.approx(squares[1].mean(), rel=1e-2)


def test_the_teacher_says_where_a_word_ends():
    """With `masked`, only the steps up to its end count: here two of the first word, three of the second."""
    teacher = TEACHER.copy()
    teacher[0, 1, 3] = 9
    _, metrics, _ = scripted_step("mean_teacher", teacher, masked=True)
    squares = np.square(jax.nn.softmax(teacher) - jax.nn.softmax(STUDENT)).mean(axis=-1)
    assert metrics["consistency"] == pytest.approx(np.mean([*squares[0, :2], *squares[1, :3]]), rel=1e-4)
