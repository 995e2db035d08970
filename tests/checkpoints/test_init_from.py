"""Weights of other runs as a start."""

import jax
import numpy as np
import pytest
from testing import tiny_config

from jstr.checkpoints import checkpoint
from jstr.checkpoints.init_from import OtherClasses, init_from
from jstr.text.messages import InputError
from jstr.training import loop


def test_init_from_another_run(trained, tmp_path):
    config = tiny_config()
    config.init_from = (("model", str(trained), "model"),)
    config.steps, config.optimizer.schedule.peak = 2, 0.0
    loop.run(config, str(tmp_path / "a"))
    params = [jax.tree.leaves(checkpoint.load_variables(w)["params"]) for w in (trained, tmp_path / "a")]
    for a, b in zip(*params, strict=True):
        np.testing.assert_array_equal(a, b)
    config.model.width = 0.125
    with pytest.raises(InputError, match="init_from .* has shape"):
        loop.run(config, str(tmp_path / "b"))


@pytest.fixture
def start(tmp_path):
    """A workdir of a body and a head for three characters, the second part of which no other head has."""
    body, head = {"kernel": np.ones((2, 2))}, {"kernel": np.ones((2, 3)), "bias": np.ones(3), "extra": np.ones(1)}
    state = {"batch_stats": {"body": {"mean": np.ones(2)}}}
    config = {"config": {"charset": dict(characters="abc")}}
    checkpoint.save_variables(tmp_path / "start", {"model": {"body": body, "head": head}}, state, config)
    return str(tmp_path / "start")


def own(classes=5):
    head = {"kernel": np.zeros((2, classes)), "bias": np.zeros(classes)}
    model = {"body": {"kernel": np.zeros((2, 2))}, "head": head}
    return {"model": model}, {"batch_stats": {"body": {"mean": np.zeros(2)}}}


def test_a_head_of_another_shape_starts_fresh_with_one_switch(start):
    rows = [("model", start, "model")]
    advice = r"head/kernel has shape .*head/extra has no place here.*--config.init_allow_missing=\('model/head',\)"
    with pytest.raises(InputError, match=advice):
        init_from(*own(), rows)
    params, state, lines = init_from(*own(), rows, ("model/head",))
    assert lines == [f"model starts from model of {start}", "not loaded, starts fresh: model/head"]
    assert params["model"]["body"]["kernel"].all() and not np.any(params["model"]["head"]["kernel"])
    assert state["batch_stats"]["body"]["mean"].all()


def test_a_row_of_which_nothing_can_be_used_is_an_error(start):
    """Though all of it may start fresh: it would be said to start from there."""
    rows = [("model", start, "model"), ("model/body", start, "model/head")]
    with pytest.raises(InputError, match="nothing under model/head fits model/body; give a run of the same network"):
        init_from(*own(), rows, ("model",))


def test_a_head_of_other_characters_is_not_loaded_though_it_fits(start):
    rows, foreign = [("model", start, "model")], {start: OtherClasses({"model/head/kernel": 1})}
    allowed = ("model/head/extra",)
    assert init_from(*own(3), rows, allowed)[2] == [f"model starts from model of {start}"]
    with pytest.raises(InputError, match="model/head/kernel belongs to other characters there"):
        init_from(*own(3), rows, allowed, foreign)
    params, _, lines = init_from(*own(3), rows, ("model/head",), foreign)
    assert lines[1] == "not loaded, starts fresh: model/head/kernel"
    assert params["model"]["head"]["bias"].all() and not np.any(params["model"]["head"]["kernel"])


def test_a_head_grows_to_other_characters(start):
    """Classes that both know keep their weights, whatever their order; the space may have been a blank there."""
    axes = {"model/head/kernel": 1, "model/head/bias": 0}
    classes = OtherClasses(axes, here=[0, "b", "é", "a", " "], there=[0, "a", " "])
    params, _, lines = init_from(*own(5), [("model", start, "model")], ("model/head/extra",), {start: classes})
    np.testing.assert_array_equal(params["model"]["head"]["kernel"], [[1, 0, 0, 1, 1]] * 2)
    np.testing.assert_array_equal(params["model"]["head"]["bias"], [1, 0, 0, 1, 1])
    assert lines[1] == f"characters: 2 of {start} keep what it learned of them, 2 start fresh, 0 are left out"
    for here, there in (([0, "x", "y", "z", "u"], [0, "a", "b"]), ([0, "a", "b", "c"], [0, "a", "b"])):
        with pytest.raises(InputError, match="belongs to other characters there"):
            unfit = OtherClasses(axes, here, there)
            init_from(*own(5), [("model", start, "model")], ("model/head/extra",), {start: unfit})
