"""Losses between the logits of teacher and student, and their reductions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scripted import STUDENT, TEACHER

from jstr.losses import consistency, supervised
from jstr.objectives.parts import pseudo_labels, schedules

LAYOUT = dict(first_id=5, eos_id=3, pad_id=0)


def summed(values, mask):
    return jnp.where(mask, values, 0).sum(axis=1), mask.sum(axis=1)


def soft(reduction, threshold, temperature=0.4, confidence="product", teacher=TEACHER):
    reading = pseudo_labels.read_steps(teacher, **LAYOUT)
    keep = pseudo_labels.CONFIDENCES[confidence](reading) >= threshold
    values = consistency.kl_divergence(teacher, STUDENT, temperature)
    return float(consistency.REDUCTIONS[reduction](*summed(values, reading.mask), keep))


def hard(reduction, threshold, confidence="minimum"):
    reading = pseudo_labels.read_steps(TEACHER, **LAYOUT)
    keep = pseudo_labels.CONFIDENCES[confidence](reading) >= threshold
    return float(
        consistency.REDUCTIONS[reduction](*supervised.sequence_cross_entropy(STUDENT, reading.tokens, 0), keep)
    )


def test_consistency_oracles():
    """The worked example of tests/scripted.py."""
    kl = consistency.kl_divergence(TEACHER, STUDENT, 0.4)[0, :3]
    np.testing.assert_allclose(kl, [0.819118, 0.444549, 0.540378], atol=1e-6)
    for reduction in ("character", "sample"):
        assert soft(reduction, 0.5) == pytest.approx(0.300674, abs=1e-6)
        assert soft(reduction, 0.5, temperature=1.0) == pytest.approx(0.134203, abs=1e-6)
        assert soft(reduction, 0.8) == 0
        for threshold in (0.5, 0.7, 0.8):
            assert hard(reduction, threshold) == pytest.approx(0.303572, abs=1e-6)
        assert hard(reduction, 0.95) == 0
    assert hard("kept", 0.0) == pytest.approx(1.043215, abs=1e-6)
    reading = pseudo_labels.read_steps(TEACHER, **LAYOUT)
    total, count = summed(consistency.soft_cross_entropy(TEACHER, STUDENT), reading.mask)
    assert float(total.sum() / count.sum()) == pytest.approx(1.378251, abs=1e-6)


def test_mean_teacher_oracles():
    squares = consistency.squared_difference(TEACHER, STUDENT)
    assert float(squares.mean()) == pytest.approx(0.021558, abs=1e-6)
    assert float(squares[:, :3].mean()) == pytest.approx(0.011492, abs=1e-6)
    for t, value in [(0, 0.006738), (0.25, 0.060055), (0.5, 0.286505), (0.75, 0.731616), (1, 1), (2, 1)]:
        assert float(schedules.sigmoid_ramp(t * 400, 400)) == pytest.approx(value, abs=1e-6)
    assert float(schedules.sigmoid_ramp(0, 0)) == 1


@pytest.mark.parametrize("reduction", sorted(consistency.REDUCTIONS))
def test_words_that_do_not_count(reduction):
    """Nothing of them is left in the value, however wild; a batch of nothing else is zero with a gradient of zero."""
    total, count = jnp.array([1.0, 1e30, 3.0]), jnp.array([2, 5, 4])
    keep = jnp.array([True, False, True])
    value = float(consistency.REDUCTIONS[reduction](total, count, keep))
    kept = float(consistency.REDUCTIONS[reduction](total[keep], count[keep], keep[keep]))
    assert value == pytest.approx(kept * {"character": 2 / 3, "sample": 2 / 3, "kept": 1}[reduction], rel=1e-6)
    gradient = jax.grad(lambda t: consistency.REDUCTIONS[reduction](t, count, jnp.zeros(3, bool)))(total)
    assert not np.any(gradient)
    assert float(consistency.REDUCTIONS[reduction](total, count, jnp.zeros(3, bool))) == 0


def test_what_follows_the_end_does_not_matter():
    changed = TEACHER.copy()
    changed[:, 3] = np.random.default_rng(0).normal(size=(2, 7)) * 9
    assert soft("character", 0.5, teacher=changed) == soft("character", 0.5)


def test_the_teacher_gets_no_gradient_and_equal_readings_none_at_all():
    for loss in (
        consistency.kl_divergence,
        consistency.soft_cross_entropy,
        lambda t, s, _: consistency.squared_difference(t, s),
    ):
        taught, learned = jax.grad(lambda t, s, f=loss: f(t, s, 0.4).sum(), argnums=(0, 1))(TEACHER, STUDENT)
        assert not np.any(taught) and np.any(learned)
    value, gradient = jax.value_and_grad(lambda s: consistency.kl_divergence(TEACHER, s, 1.0).sum())(TEACHER)
    assert float(value) == pytest.approx(0, abs=1e-5) and np.abs(gradient).max() < 1e-6
    huge = jnp.array([[[1e4, -1e4, 0.0]]])
    assert np.isfinite(float(consistency.kl_divergence(huge, -huge, 0.4).sum()))


def test_masked_positions_equal_deleted_ones():
    rng = np.random.default_rng(0)
    teacher, student = rng.normal(size=(2, 3, 4, 5)).astype(np.float32)
    mask = np.arange(4) < np.array([[1], [3], [4]])
    options = dict(one_hot=False, kl=True, threshold=0.3)
    total, count = consistency.thresholded_divergence(teacher, student, mask, **options)
    kept = [x[mask][None] for x in (teacher, student)]
    expected = consistency.thresholded_divergence(*kept, np.ones((1, mask.sum()), bool), **options)
    np.testing.assert_allclose([total, count], expected, rtol=1e-5)
