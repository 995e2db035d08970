"""The supervised loss: rows that do not count are as good as deleted, and a recogniser of several heads."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from toy import ATTENTION, CTC

from jstr.objectives.parts.supervised_loss import mean, supervised_metrics, supervised_outputs

HAS_LABEL = np.array([True, False, True, False])


def logits_and_tokens(model_config):
    """Logits [4, 3, C] and labels, of which CTC can align neither the second, without a label, nor the third."""
    logits = np.random.default_rng(0).normal(size=(4, 3, model_config.num_classes)).astype(np.float32)
    if model_config.is_ctc:
        return logits, np.array([[5, 6, 1], [6, 6, 6], [7, 7, 7], [8, 1, 1]], np.int32)
    return logits, np.array([[2, 5, 6, 3], [2, 7, 3, 0], [2, 3, 0, 0], [2, 8, 9, 3]], np.int32)


@pytest.mark.parametrize("model_config", [ATTENTION, CTC], ids=["attention", "ctc"])
def test_rows_without_a_label_are_as_good_as_deleted(model_config):
    logits, tokens = logits_and_tokens(model_config)
    found = supervised_metrics(jnp.asarray(logits), jnp.asarray(tokens), model_config, jnp.asarray(HAS_LABEL))
    fewer = supervised_metrics(jnp.asarray(logits[HAS_LABEL]), jnp.asarray(tokens[HAS_LABEL]), model_config)
    assert set(found) == {"loss", "unalignable" if model_config.is_ctc else "accuracy"}
    for name in found:
        np.testing.assert_allclose(found[name], fewer[name], rtol=1e-6, err_msg=name)
    if model_config.is_ctc:
        assert found["unalignable"] == (1, 2)


@pytest.mark.parametrize("model_config", [ATTENTION, CTC], ids=["attention", "ctc"])
def test_weights(model_config):
    """Weight 0 is as good as left out, equal weights change nothing, and weight 2 is that of two such words."""
    logits, tokens = map(jnp.asarray, logits_and_tokens(model_config))

    def loss(rows, weight=None):
        weight = None if weight is None else jnp.asarray(weight, jnp.float32)
        return float(mean(supervised_metrics(logits[rows], tokens[rows], model_config, weight=weight)["loss"]))

    rows = np.arange(4)
    assert loss(rows, [0.5, 0, 0.5, 0]) == pytest.approx(loss(rows[[0, 2]]), rel=1e-6)
    assert loss(rows, [0.1] * 4) == pytest.approx(loss(rows), rel=1e-6)
    assert loss(rows[[0, 3]], [2, 1]) == pytest.approx(loss(rows[[0, 0, 3]]), rel=1e-6)
    assert loss(rows[[0, 3]], [2, 1]) != pytest.approx(loss(rows[[0, 3]]), rel=1e-3)
    assert loss(rows, [0] * 4) == 0
    options = model_config, None, jnp.array([1.0, 0, 0, 0])
    gradient = jax.grad(lambda x: mean(supervised_metrics(x, tokens, *options)["loss"]))(logits)
    assert np.any(gradient[0]) and not np.any(gradient[1:]) and np.all(np.isfinite(gradient))


def test_a_head_is_averaged_over_its_iterations_and_judged_by_the_last():
    logits, tokens = logits_and_tokens(ATTENTION)
    first, last = jnp.asarray(logits), jnp.asarray(logits[:, ::-1])
    outputs = {"logits": last, "iterations": {"vision": (first,), "fusion": (first, last)}}
    found = supervised_outputs(outputs, jnp.asarray(tokens), ATTENTION)
    alone = [supervised_metrics(x, jnp.asarray(tokens), ATTENTION) for x in (first, last)]
    expected = mean(alone[0]["loss"]) + (mean(alone[0]["loss"]) + mean(alone[1]["loss"])) / 2
    np.testing.assert_allclose(mean(found["loss"]), expected, rtol=1e-6)
    assert found["vision/accuracy"] == alone[0]["accuracy"] != alone[1]["accuracy"] == found["fusion/accuracy"]
    assert found["accuracy"] == alone[1]["accuracy"]
