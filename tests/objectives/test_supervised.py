"""The supervised objective with both kinds of recognisers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scripted import SCRIPTED, STUDENT, Scripted

from jstr.core import ModelConfig
from jstr.losses import supervised as supervised_losses
from jstr.models.four_stage import Model
from jstr.objectives import supervised
from jstr.objectives.parts.pseudo_labels import read
from jstr.objectives.parts.reading_metrics import reading_accuracy

ATTENTION = ModelConfig((32, 16), 1, 3, 8, first_id=5, pad_id=0, bos_id=2, eos_id=3)
CTC = ModelConfig((32, 16), 1, 3, 7, first_id=4, pad_id=1)


def objective(config):
    prediction = "ctc" if config.is_ctc else "attention"
    model = Model(config, prediction=prediction, width=1 / 32)
    tokens = [[2, 5, 6, 3, 0], [2, 7, 3, 0, 0]] if config.bos_id else [[4, 5, 1], [6, 6, 6]]
    images = np.random.default_rng(0).integers(0, 256, (2, 32, 16, 1), np.uint8)
    batch = {"labelled": {"image": jnp.asarray(images), "tokens": jnp.asarray(tokens)}}
    return model, supervised.Method(model, config).objective(), batch


@pytest.mark.parametrize("config", [ATTENTION, CTC], ids=["attention", "ctc"])
def test_supervised_objective(config):
    model, method, batch = objective(config)
    params, state = jax.jit(method.init)(jax.random.key(0), batch)
    assert params.keys() == {"model"} and state.keys() == {"batch_stats"}
    loss = jax.jit(method.loss)
    value, (new_state, metrics) = loss(params, state, None, batch, jax.random.key(1), 0)
    forward = jax.jit(lambda variables, *inputs: model.apply(variables, *inputs, train=True, mutable=["batch_stats"]))
    out, moved = forward({"params": params["model"], **state}, batch["labelled"]["image"], batch["labelled"]["tokens"])
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), new_state, dict(moved))
    assert any(np.any(a != b) for a, b in zip(jax.tree.leaves(new_state), jax.tree.leaves(state), strict=True))
    total, count = metrics["loss"]
    assert float(value) == pytest.approx(float(total / count), rel=1e-5)
    measured = jax.jit(method.measure)(params, state, None, batch)["right"]
    assert tuple(map(int, measured)) == (0, 2)
    if config.is_ctc:  # three times the same character does not fit three frames
        assert (int(metrics["unalignable"][0]), int(metrics["unalignable"][1])) == (1, 2)
        assert float(value) == pytest.approx(
            float(supervised_losses.ctc(out["logits"], batch["labelled"]["tokens"], 1)[0][0]) / 2
        )
    else:
        targets = batch["labelled"]["tokens"][:, 1:]
        assert int(count) == 5 == int(metrics["accuracy"][1])
        assert int(metrics["accuracy"][0]) == int(((out["logits"].argmax(-1) == targets) & (targets != 0)).sum())


def test_supervised_objective_takes_scaled_images_too():
    _, method, batch = objective(ATTENTION)
    params, state = jax.jit(method.init)(jax.random.key(0), batch)
    scaled = {"labelled": {**batch["labelled"], "image": batch["labelled"]["image"] / jnp.float32(127.5) - 1}}
    key = jax.random.key(1)
    a, b = (jax.jit(method.loss)(params, state, None, x, key, None)[0] for x in (batch, scaled))
    assert float(a) == pytest.approx(float(b), rel=1e-5)


def test_weights_of_labels():
    """A word of weight 0 is as good as deleted."""
    model = Scripted()
    method = supervised.Method(model, SCRIPTED, weighted=True).objective()
    assert method.streams == {"labelled": ("image", "tokens", "weight")}
    params = {"model": {"student": jnp.asarray(STUDENT)}}
    tokens = np.array([[2, 5, 6, 3, 0], [2, 6, 3, 0, 0]])
    rows = {"image": np.zeros((2, 1, 1, 1), np.float32), "tokens": tokens, "weight": np.array([0.0, 0.5], np.float32)}
    loss = method.loss(params, {}, None, {"labelled": rows}, None, 0)[0]
    total, count = supervised_losses.sequence_cross_entropy(jnp.asarray(STUDENT[1:]), jnp.asarray(tokens[1:, 1:]), 0)
    assert float(loss) == pytest.approx(float(total[0] / count[0]), rel=1e-5)


def test_words_that_are_read_exactly():
    """A recogniser that reads everything as 4, 5."""
    reading = read(jax.nn.one_hot(jnp.array([[4, 4, 0, 5], [4, 4, 0, 5]]), 7), CTC)
    metrics = reading_accuracy(reading, jnp.array([[4, 5, 1], [4, 4, 5]]), CTC)
    assert tuple(map(int, metrics["right"])) == (1, 2)
