"""Losses between teacher and student against the published numbers, and what they must not depend on."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jstr.losses import consistency, coral, supervised
from jstr.objectives.parts import pseudo_labels, schedules

LAYOUT = dict(first_id=5, eos_id=3, pad_id=0)


def written(words) -> np.ndarray:
    """Logits [2, 4, 7] from the entries that are not zero."""
    logits = np.zeros((2, 4, 7), np.float32)
    for b, steps in enumerate(words):
        for t, entries in enumerate(steps):
            for c, value in entries.items():
                logits[b, t, c] = value
    return logits


TEACHER = written(
    [
        [{5: 4, 6: 1}, {5: 0.5, 6: 3.5}, {3: 4.2}, {3: 1, 5: 2}],
        [{5: 1, 6: 0.8}, {5: 0.5, 6: 0.6}, {3: 1.2}, {3: 1, 5: 2}],
    ]
)
STUDENT = written(
    [
        [{5: 2, 6: 1.5}, {3: 0.3, 5: 0.5, 6: 2.5}, {3: 2.2, 5: 0.4}, {3: 3}],
        [{5: 1, 6: 0.2}, {5: 0.1, 6: 0.6}, {3: 0.2}, {3: 1}],
    ]
)


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


def test_pseudo_labels():
    """cr.md 11.3; the pseudo-label without BOS."""
    rows = [[5, 6, 3, 5], [5, 5, 5, 6], [4, 5, 5, 5], [3, 5, 5, 5]]
    reading = pseudo_labels.read_steps(jax.nn.one_hot(np.array(rows), 7), **LAYOUT)
    np.testing.assert_array_equal(reading.tokens, [[5, 6, 3, 0], [5, 5, 5, 3], [3, 0, 0, 0], [3, 0, 0, 0]])
    np.testing.assert_array_equal(reading.mask, [[1, 1, 1, 0], [1, 1, 1, 1], [1, 0, 0, 0], [1, 0, 0, 0]])
    np.testing.assert_array_equal(reading.whole, [True, False, False, True])


def test_confidences():
    """cr.md 11.4, baselines.md 8."""
    reading = pseudo_labels.read_steps(TEACHER, **LAYOUT)
    scores = [[0.876144, 0.832796, 0.917454, 1], [0.273364, 0.215105, 0.356231, 1]]
    np.testing.assert_allclose(np.exp(reading.log_scores), scores, atol=1e-6)
    for name, values in [
        ("product", [0.669419, 0.020947]),
        ("minimum", [0.832796, 0.215105]),
        ("geometric_mean", [0.874781, 0.275660]),
    ]:
        np.testing.assert_allclose(pseudo_labels.CONFIDENCES[name](reading), values, atol=1e-6)


def test_consistency_oracles():
    """cr.md 11.4, baselines.md 8."""
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


def test_coral_oracles():
    """cr.md 11.5."""
    source, target = np.array([[1, 2], [0, 1], [2, 0]], np.float32), np.array([[0.5, 0], [1.5, 1]], np.float32)
    yes3, yes2 = np.ones(3, bool), np.ones(2, bool)
    np.testing.assert_allclose(coral.scatter(source, yes3)[0], [[2, -1], [-1, 2]], atol=1e-6)
    np.testing.assert_allclose(coral.scatter(target, yes2)[0], [[0.5, 0.5], [0.5, 0.5]], atol=1e-6)
    assert float(coral.coral(source, yes3, target, yes2)) == pytest.approx(0.140625, abs=1e-6)
    assert float(coral.coral(source, yes3, target, yes2, normalise=True)) == pytest.approx(0.156250, abs=1e-6)


@pytest.mark.parametrize("normalise", [False, True])
def test_coral_mask_equals_deleting_rows(normalise):
    rng = np.random.default_rng(0)
    source, target = rng.normal(size=(9, 3)).astype(np.float32), rng.normal(size=(7, 3)).astype(np.float32)
    keep, kept = rng.random(9) < 0.6, rng.random(7) < 0.6
    call = jax.value_and_grad(lambda s, t, a, b: coral.coral(s, a, t, b, normalise), argnums=(0, 1))
    value, (gs, gt) = call(source, target, keep, kept)
    fewer, (fs, ft) = call(source[keep], target[kept], np.ones(keep.sum(), bool), np.ones(kept.sum(), bool))
    assert float(value) == pytest.approx(float(fewer), rel=1e-5) and float(value) > 0
    np.testing.assert_allclose(gs[keep], fs, atol=1e-7)
    np.testing.assert_allclose(gt[kept], ft, atol=1e-7)
    assert not np.any(gs[~keep]) and not np.any(gt[~kept])
    none, (ns, nt) = call(source * np.float32(1e19), target, np.zeros(9, bool), kept)
    assert float(none) == 0 and not np.any(ns) and not np.any(nt)


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
    """cr.md 11.7.3."""
    changed = TEACHER.copy()
    changed[:, 3] = np.random.default_rng(0).normal(size=(2, 7)) * 9
    assert soft("character", 0.5, teacher=changed) == soft("character", 0.5)


def test_the_teacher_gets_no_gradient_and_equal_readings_none_at_all():
    """cr.md 11.7.1 and 11.7.4."""
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


def test_ctc_paths():
    path = np.array([[0, 5, 5, 0, 5, 6], [0, 0, 0, 0, 0, 0], [4, 5, 6, 7, 8, 9], [1, 5, 0, 0, 2, 0]])
    ids, count = pseudo_labels.collapse(jnp.asarray(path), 4, first_id=4, pad_id=1)
    np.testing.assert_array_equal(ids, [[5, 5, 6, 1], [1, 1, 1, 1], [4, 5, 6, 7], [5, 1, 1, 1]])
    np.testing.assert_array_equal(count, [3, 0, 6, 1])
    reading = pseudo_labels.read_frames(jax.nn.one_hot(path, 10) * 3, first_id=4)
    np.testing.assert_array_equal(reading.whole, [True, True, True, False])
    np.testing.assert_array_equal(reading.tokens, path)
    p = np.exp(3) / (np.exp(3) + 9)
    np.testing.assert_allclose(pseudo_labels.product(reading), p**6, rtol=1e-5)
    np.testing.assert_allclose(pseudo_labels.geometric_mean(reading), p, rtol=1e-5)
