"""A run that starts from another one, and ends between both."""

import functools
import shutil

import jax
import numpy as np
import pytest
from testing import consistency_config, tiny_config

from configs import common
from jstr.checkpoints.checkpoint import load_variables
from jstr.checkpoints.init_from import OtherClasses
from jstr.core import TrainState
from jstr.interop.weights import load_reading
from jstr.parallel import sharding
from jstr.text.messages import InputError
from jstr.training import loop
from jstr.training.initial_weights import average_with_start, keep_start, other_characters, share_of_start


def test_parameters_that_belong_to_characters(trained):
    config = tiny_config()
    rows = (("model", str(trained), "model"),)
    assert other_characters(config, rows) == {}
    config.charset.characters = "abcdefghijklmnopqrstuvwxyz9876543210"
    head = {"model/decoder/classifier_kernel": 1, "model/decoder/classifier_bias": 0}
    assert other_characters(config, rows) == {str(trained): OtherClasses(head)}


def test_fine_tuning_with_another_charset(trained, tmp_path, capsys):
    """Characters that the start knows keep what it learned of them; in another layout, none does."""
    config = tiny_config()
    config.charset.update(characters="94", lower=False)
    config.init_from = (("model", str(trained), "model"),)
    config.steps, config.evals, config.optimizer.schedule.peak = 1, {}, 0.0
    loop.run(config, str(tmp_path / "grown"))
    line = f"characters: 36 of {trained} keep what it learned of them, 58 start fresh, 0 are left out"
    assert line in capsys.readouterr().out
    heads = [
        load_variables(w)["params"]["model"]["decoder"]["classifier_kernel"] for w in (trained, tmp_path / "grown")
    ]
    np.testing.assert_array_equal(heads[1][:, : heads[0].shape[1]], heads[0])
    config.charset.layout = "dtrb_ctc"
    with pytest.raises(InputError, match="other characters.*--config.init_allow_missing=\\('model/decoder',\\)"):
        loop.run(config, str(tmp_path / "other"))


def test_weights_averaged_with_those_of_the_start(trained, tmp_path):
    """A quarter of the way to the start, but for what has none: a character that it does not know."""
    config = tiny_config()
    config.init_from, config.average_with_start = (("model", str(trained), "model"),), 0.25
    saved = load_variables(trained)
    zero = jax.numpy.zeros(())
    state = TrainState(zero, *jax.tree.map(lambda x: x + 4, (saved["params"], saved["model_state"])), (), None, zero)
    mesh = sharding.make_mesh(config.mesh, jax.devices()[:1])
    found = average_with_start(config, state, str(tmp_path), mesh, images=10, sure=0.5)
    close = functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-5)
    jax.tree.map(lambda a, b: close(a, b + 3), found.params, saved["params"])
    jax.tree.map(lambda a, b: close(a, b + 3), found.model_state, saved["model_state"])
    config.charset.characters, config.init_allow_missing = "0123456789abcdefghijklmnopqrstuvwxyé", ("model/decoder",)
    grown = average_with_start(config, state, str(tmp_path), mesh, images=10, sure=0.5).params["model"]["decoder"][
        "classifier_bias"
    ]
    close(grown, saved["params"]["model"]["decoder"]["classifier_bias"] + np.array([3] * 39 + [4]))


def test_the_start_is_kept_for_averaging(trained, tmp_path):
    """The weights that a run begins with, whatever lies in that workdir when it ends."""
    config = tiny_config()
    config.init_from, config.average_with_start = (("model", str(trained), "model"),), 0.25
    saved, zero = load_variables(trained), jax.numpy.zeros(())
    state = TrainState(zero, saved["params"], saved["model_state"], (), None, zero)
    keep_start(config, state, str(tmp_path))
    config.init_from = (("model", "gone", "model"),)
    state = state.replace(params=jax.tree.map(lambda x: x + 4, saved["params"]))
    mesh = sharding.make_mesh(config.mesh, jax.devices()[:1])
    found = average_with_start(config, state, str(tmp_path), mesh, images=10, sure=0.5).params
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b + 3, rtol=1e-5, atol=1e-5), found, saved["params"])


def test_averaging_at_the_end_of_a_run(trained, tmp_path):
    """Once: a run that has ended is not averaged again when its command is repeated."""
    config = tiny_config()
    config.init_from = (("model", str(trained), "model"),)
    config.steps, config.evals = 1, {}
    loop.run(config, str(tmp_path / "plain"))
    config.average_with_start = 0.5
    for _ in range(2):
        loop.run(config, str(tmp_path / "averaged"))
    assert (tmp_path / "averaged" / "start.npz").is_file() and not (tmp_path / "plain" / "start.npz").exists()
    start, plain, half = (load_variables(w)["params"] for w in (trained, tmp_path / "plain", tmp_path / "averaged"))
    jax.tree.map(lambda s, p, h: np.testing.assert_allclose(h, (s + p) / 2, atol=1e-6), start, plain, half)


def test_averaging_where_few_images_were_learned(trained, tmp_path, capsys):
    """A quarter of the start with 50 images of 100, half of it for hardly any, nothing from 100 on."""
    config = tiny_config(few=common.rendered(seed=1, size=50))
    config.init_from = (("model", str(trained), "model"),)
    config.steps, config.evals = 1, {}
    loop.run(config, str(tmp_path / "plain"))
    config.average_with_start, config.average_below = 0.5, 100
    assert [share_of_start(config, n, 0.1) for n in (0, 50, 100, 1000)] == [0.5, 0.25, 0, 0]
    loop.run(config, str(tmp_path / "averaged"))
    assert "25% of the weights are those of the start, 50 images learned" in capsys.readouterr().out
    start, plain, found = (load_variables(w)["params"] for w in (trained, tmp_path / "plain", tmp_path / "averaged"))
    jax.tree.map(lambda s, p, f: np.testing.assert_allclose(f, (s + 3 * p) / 4, atol=1e-6), start, plain, found)


def test_averaging_as_the_start_reads_surely():
    config = tiny_config()
    config.average_with_start, config.average_as_sure = 0.5, True
    assert [share_of_start(config, 10, sure) for sure in (0.0, 0.5, 1.0)] == [0, 0.25, 0.5]


@pytest.mark.parametrize("share", [1.0, -0.1, 0.5])
def test_averaging_that_cannot_be(share, tmp_path):
    config = tiny_config()
    config.average_with_start = share
    with pytest.raises(InputError, match="config.average_with_start=.*"):
        loop.run(config, str(tmp_path))


def test_a_moving_teacher_is_averaged_as_the_student_is(trained, tmp_path):
    """It reads the texts of rounds; a frozen one stays."""
    config = tiny_config()
    config.init_from, config.average_with_start = (("model", str(trained), "model"),), 0.25
    saved, zero = load_variables(trained), jax.numpy.zeros(())
    start = saved["params"], saved["model_state"]
    four, eight = (jax.tree.map(lambda x, n=n: x + n, start) for n in (4, 8))
    mesh = sharding.make_mesh(config.mesh, jax.devices()[:1])
    for decay, left in ((0.9, 6), (1.0, 8)):
        config.teacher = dict(decay=decay)
        found = average_with_start(config, TrainState(zero, *four, (), eight, zero), str(tmp_path), mesh, 10, 0.5)
        jax.tree.map(
            lambda a, b, n=left: np.testing.assert_allclose(a, b + n, rtol=1e-5, atol=1e-5), found.teacher, start
        )


def test_a_run_goes_on_from_the_weights_that_it_reads_with(trained_with_teacher, tmp_path):
    workdir = shutil.copytree(trained_with_teacher, tmp_path / "run")
    config = consistency_config(watched=True)
    config.eval_weights, config.keep_best, config.evals, config.steps = "teacher", "", {}, 5
    loop.run(config, str(workdir))
    student, teacher = (load_variables(workdir, name)["params"]["model"] for name in ("student", "teacher"))
    assert any(np.any(a != b) for a, b in zip(jax.tree.leaves(student), jax.tree.leaves(teacher), strict=True))
    jax.tree.map(np.testing.assert_array_equal, load_reading(workdir)["params"]["model"], teacher)
    jax.tree.map(
        np.testing.assert_array_equal, load_reading(trained_with_teacher), load_variables(trained_with_teacher)
    )
