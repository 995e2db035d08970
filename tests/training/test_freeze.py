"""Parts of a model that do not learn."""

import jax
import numpy as np
import pytest
from testing import quick_jit
from toy import CTC, Toy, toy_views

from jstr.core import ModelConfig
from jstr.models.ppocr import Model
from jstr.objectives import supervised
from jstr.objectives.parts.supervised_loss import supervised_metrics
from jstr.training.freeze import freeze

KEY = jax.random.PRNGKey(0)
FROZEN = {"frozen": True}


def value(objective, params, model_state, batch):
    """(loss, model state, gradient)."""
    step = jax.jit(jax.value_and_grad(lambda p, b: objective.loss(p, model_state, None, b, KEY, 0), has_aux=True))
    (loss, (state, _)), gradient = step(params, batch)
    return float(loss), state, gradient


def moving(tree) -> bool:
    return any(np.any(np.asarray(x)) for x in jax.tree.leaves(tree))


def test_frozen_parts_neither_learn_nor_use_batch_statistics():
    objective = supervised.Method(Toy(), CTC).objective()
    rows = toy_views(joint=True)["mixed"]
    batch = {"labelled": {"image": rows["view0"], "tokens": rows["tokens"]}}
    params, state = quick_jit(objective.init)(KEY, batch)
    loss, after, gradient = value(freeze(objective, {"model/extractor": FROZEN}), params, state, batch)
    assert {name: moving(g) for name, g in gradient["model"].items()} == {
        "extractor": False,
        "sequence": True,
        "decoder": True,
    }
    jax.tree.map(np.testing.assert_array_equal, after, state)
    variables = {"params": params["model"], **state}
    logits = Toy().apply(variables, rows["view0"], train=False)["logits"]
    still = supervised_metrics(logits, rows["tokens"], CTC)["loss"]
    assert loss == pytest.approx(float(still[0] / still[1]), rel=1e-5)
    moved = value(freeze(objective, {"model/decoder": FROZEN}), params, state, batch)
    assert moved[0] != pytest.approx(loss, rel=1e-3) and not moving(moved[2]["model"]["decoder"])
    assert moving(jax.tree.map(lambda a, b: a - b, moved[1], state))


def test_parts_that_learn_with_the_statistics_of_their_start():
    objective = supervised.Method(Toy(), CTC).objective()
    rows = toy_views(joint=True)["mixed"]
    batch = {"labelled": {"image": rows["view0"], "tokens": rows["tokens"]}}
    params, state = quick_jit(objective.init)(KEY, batch)
    loss, after, gradient = value(freeze(objective, {"model": {"fixed_statistics": True}}), params, state, batch)
    assert all(moving(g) for g in gradient["model"].values())
    jax.tree.map(np.testing.assert_array_equal, after, state)
    assert loss != pytest.approx(value(objective, params, state, batch)[0], rel=1e-3)


@pytest.mark.parametrize("rule", [{"frozen": False}, {"lr": 2.0}, {}])
def test_a_part_of_a_frozen_one_learns(rule):
    """As in the optimiser, the longest prefix wins, and that part runs as in training."""
    objective = supervised.Method(Toy(), CTC).objective()
    rows = toy_views(joint=True)["mixed"]
    batch = {"labelled": {"image": rows["view0"], "tokens": rows["tokens"]}}
    params, state = quick_jit(objective.init)(KEY, batch)
    rules = {"model": FROZEN, "model/extractor": rule}
    _, after, gradient = value(freeze(objective, rules), params, state, batch)
    assert {name: moving(g) for name, g in gradient["model"].items()} == {
        "extractor": True,
        "sequence": False,
        "decoder": False,
    }
    assert moving(jax.tree.map(lambda a, b: a - b, after, state))


@pytest.mark.parametrize("rule", [FROZEN, {"fixed_statistics": True}])
def test_a_rule_may_name_a_batch_norm(rule):
    objective = supervised.Method(Toy(), CTC).objective()
    rows = toy_views(joint=True)["mixed"]
    batch = {"labelled": {"image": rows["view0"], "tokens": rows["tokens"]}}
    params, state = quick_jit(objective.init)(KEY, batch)
    (name,) = state["batch_stats"]["extractor"]
    _, after, gradient = value(freeze(objective, {f"model/extractor/{name}": rule}), params, state, batch)
    jax.tree.map(np.testing.assert_array_equal, after, state)
    assert moving(gradient["model"]["extractor"])
    learns = freeze(objective, {"model": FROZEN, f"model/extractor/{name}": {"lr": 1.0}})
    _, after, _ = value(learns, params, state, batch)
    assert moving(jax.tree.map(lambda a, b: a - b, after, state)), "the one part that is not frozen"


def test_a_part_of_a_ppocr_that_is_held_still_learns():
    """Its images are then not taken one by one, as in reading on a CPU: statistics of a batch are those of all."""
    config = ModelConfig((48, 64), channels=3, max_length=10, num_classes=7, first_id=1, pad_id=0)
    objective = supervised.Method(Model(config, network="v6_tiny"), config).objective()
    rows = dict(image=np.zeros((2, 48, 64, 3), np.uint8), tokens=np.ones((2, 10), np.int32))
    params, state = jax.eval_shape(objective.init, KEY, {"labelled": rows})
    held = freeze(objective, {"model": {"fixed_statistics": True}, "model/neck": {"lr": 2.0}})
    _, (after, _) = jax.eval_shape(lambda p, s: held.loss(p, s, None, {"labelled": rows}, KEY, 0), params, state)
    assert jax.tree.structure(after) == jax.tree.structure(state)
