"""Cross-entropy and CTC against published numbers, brute force, and what must not change them."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jstr.losses import supervised as supervised_losses

CTC_LOGITS = jnp.array([[0.1, 1.2, -0.3], [0.8, 0.2, 0.5], [-0.5, 0.4, 1.5], [0.3, -0.2, 0.9]])
CE_LOGITS = jnp.array([[0.2, -0.1, 0.5, 0.0], [1.0, 0.3, -0.4, 0.2], [0.0, 0.9, 0.1, -0.2], [0.5, 0.5, 0.5, 0.5]])


def pad(labels, length, pad_id):
    out = np.full((len(labels), length), pad_id, np.int32)
    for row, label in zip(out, labels, strict=True):
        row[: len(label)] = label
    return jnp.asarray(out)


def ctc(labels, pad_id=0, length=3, logits=CTC_LOGITS):
    return supervised_losses.ctc(jnp.stack([logits] * len(labels)), pad(labels, length, pad_id), pad_id)


def test_cross_entropy_oracle():
    total, count = supervised_losses.sequence_cross_entropy(CE_LOGITS[None], jnp.array([[2, 3, 1, 0]]), pad_id=0)
    assert count[0] == 3
    np.testing.assert_allclose(total / count, 1.143924, atol=1e-6)


def test_cross_entropy_of_padding_is_zero_with_zero_gradient():
    targets = jnp.array([[2, 0, 0, 0], [0, 0, 0, 0]])
    logits = jnp.stack([CE_LOGITS, CE_LOGITS])
    total, count = supervised_losses.sequence_cross_entropy(logits, targets, pad_id=0)
    np.testing.assert_array_equal(count, [1, 0])
    assert total[1] == 0
    gradient = jax.grad(lambda x: supervised_losses.sequence_cross_entropy(x, targets, 0)[0].sum())(logits)
    assert not np.any(gradient[0, 1:]) and not np.any(gradient[1]) and np.any(gradient[0, 0])


def test_ctc_oracle():
    nll, alignable = ctc([[1, 2], [1, 1], [2]])
    np.testing.assert_allclose(nll * jnp.array([2, 2, 1]), [0.788703, 3.276953, 2.067005], atol=1e-5)
    assert alignable.all()
    assert float(ctc([[1, 2], [2]])[0].mean()) == pytest.approx(1.230678, abs=1e-5)


def collapse(path):
    return [k for k, _ in itertools.groupby(path) if k != 0]


@pytest.mark.parametrize("label", [[], [1], [2, 1], [1, 1], [1, 2, 1], [2, 2, 1], [1, 2, 2, 1]])
def test_ctc_equals_the_sum_over_all_paths(label):
    logits = jnp.asarray(np.random.default_rng(0).normal(size=(5, 3)), jnp.float32)
    prob = np.asarray(jax.nn.softmax(logits))
    paths = (p for p in itertools.product(range(3), repeat=5) if collapse(p) == label)
    brute = -np.log(sum(np.prod(prob[np.arange(5), p]) for p in paths))
    for pad_id in (0, 7):  # the padding is the blank, or a class of its own
        nll, alignable = ctc([label], pad_id, length=4, logits=logits)
        assert alignable[0] and float(nll[0]) == pytest.approx(brute / max(1, len(label)), abs=1e-5)


@pytest.mark.parametrize("pad_id", [0, 7])
def test_ctc_masks_labels_that_do_not_fit(pad_id):
    labels = pad([[1, 2], [1, 1, 1], [1, 2, 1, 2, 1], [2, 2, 1]], 5, pad_id)  # 3 + 2 repeats and 5 exceed 4 frames
    nll, alignable = supervised_losses.ctc(jnp.stack([CTC_LOGITS] * 4), labels, pad_id)
    np.testing.assert_array_equal(alignable, [True, False, False, True])
    np.testing.assert_array_equal(nll[1:3], 0)
    gradient = jax.grad(lambda x: supervised_losses.ctc(x, labels, pad_id)[0].sum())(jnp.stack([CTC_LOGITS] * 4))
    assert np.isfinite(gradient).all() and not np.any(gradient[1:3]) and np.any(gradient[0]) and np.any(gradient[3])


def test_ctc_gradient_is_finite_for_extreme_logits():
    logits = jnp.stack([1e4 * CTC_LOGITS, -1e4 * CTC_LOGITS])
    gradient = jax.grad(lambda x: supervised_losses.ctc(x, pad([[1, 2], [1, 1]], 3, 0), 0)[0].sum())(logits)
    assert np.isfinite(gradient).all()


def test_ctc_gradient_equals_differences():
    with jax.enable_x64(True):
        logits = jnp.asarray(np.random.default_rng(1).normal(size=(1, 5, 3)))

        def loss(x):
            return supervised_losses.ctc(x, pad([[1, 2]], 3, 0), 0)[0].sum()

        gradient = jax.grad(loss)(logits)
        for t, c in itertools.product(range(5), range(3)):
            step = 1e-5 * jnp.zeros_like(logits).at[0, t, c].set(1)
            assert float((loss(logits + step) - loss(logits - step)) / 2e-5) == pytest.approx(
                float(gradient[0, t, c]), abs=1e-6
            )
