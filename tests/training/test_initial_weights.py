"""A run that starts from another one, and ends between both."""

import functools

import jax
import numpy as np
import pytest
from testing import tiny_config

from jstr.checkpoints.checkpoint import load_variables
from jstr.core import TrainState
from jstr.messages import InputError
from jstr.parallel import sharding
from jstr.training import loop
from jstr.training.initial_weights import average_with_start, other_characters


def test_parameters_that_belong_to_characters(trained):
    config = tiny_config()
    rows = (("model", str(trained), "model"),)
    assert other_characters(config, rows) == {}
    config.charset.characters = "abcdefghijklmnopqrstuvwxyz9876543210"
    head = {"model/decoder/classifier_kernel", "model/decoder/classifier_bias"}
    assert other_characters(config, rows) == {str(trained): head}


def test_fine_tuning_with_another_charset(trained, tmp_path, capsys):
    config = tiny_config()
    config.charset.update(characters="94", lower=False)
    config.init_from = (("model", str(trained), "model"),)
    config.steps, config.evals = 1, {}
    with pytest.raises(InputError, match="other characters.*--config.init_allow_missing=\\('model/decoder',\\)"):
        loop.run(config, str(tmp_path))
    config.init_allow_missing = ("model/decoder",)
    loop.run(config, str(tmp_path))
    assert "not loaded, starts fresh: model/decoder\n" in capsys.readouterr().out


def test_weights_averaged_with_those_of_the_start(trained):
    """Half way between both, but for what has no start: the head of another charset."""
    config = tiny_config()
    config.init_from, config.average_with_start = (("model", str(trained), "model"),), 0.25
    saved = load_variables(trained)
    zero = jax.numpy.zeros(())
    state = TrainState(zero, *jax.tree.map(lambda x: x + 4, (saved["params"], saved["model_state"])), (), None, zero)
    mesh = sharding.make_mesh(config.mesh, jax.devices()[:1])
    found = average_with_start(config, state, mesh)
    close = functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-5)
    jax.tree.map(lambda a, b: close(a, b + 3), found.params, saved["params"])
    jax.tree.map(lambda a, b: close(a, b + 3), found.model_state, saved["model_state"])
    config.charset.characters, config.init_allow_missing = "0123456789zyxwvutsrqponmlkjihgfedcba", ("model/decoder",)
    decoder = average_with_start(config, state, mesh).params["model"]["decoder"]
    jax.tree.map(lambda a, b: close(a, b + 4), decoder, saved["params"]["model"]["decoder"])


def test_averaging_at_the_end_of_a_run(trained, tmp_path):
    """Once: a run that has ended is not averaged again when its command is repeated."""
    config = tiny_config()
    config.init_from = (("model", str(trained), "model"),)
    config.steps, config.evals = 1, {}
    loop.run(config, str(tmp_path / "plain"))
    config.average_with_start = 0.5
    for _ in range(2):
        loop.run(config, str(tmp_path / "averaged"))
    start, plain, half = (load_variables(w)["params"] for w in (trained, tmp_path / "plain", tmp_path / "averaged"))
    jax.tree.map(lambda s, p, h: np.testing.assert_allclose(h, (s + p) / 2, atol=1e-6), start, plain, half)


@pytest.mark.parametrize("share", [1.0, -0.1, 0.5])
def test_averaging_that_cannot_be(share, tmp_path):
    config = tiny_config()
    config.average_with_start = share
    with pytest.raises(InputError, match="config.average_with_start=.*"):
        loop.run(config, str(tmp_path))
