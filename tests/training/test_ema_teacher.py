"""Teachers: moving averages and frozen ones, in a step and in a run."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from testing import assert_same_weights, consistency_config, interrupted, metric_rows, quick_jit
from toy import ATTENTION, ToyAttention, toy_words

import jstr
from jstr.checkpoints import checkpoint
from jstr.core import TrainState
from jstr.objectives import cr_str
from jstr.parallel import sharding
from jstr.text.messages import InputError
from jstr.training import loop, setup
from jstr.training.ema_teacher import decay_at, updated
from jstr.training.train_step import make_train_step


def differ(a, b) -> bool:
    return any(np.any(x != y) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True))


def toy_run():
    """(objective, params, model_state, batch): cr_str on the toy recogniser."""
    objective, batch = cr_str.Method(ToyAttention(), ATTENTION, threshold=0.0).objective(), toy_words(ATTENTION)
    return objective, *quick_jit(objective.init)(jax.random.PRNGKey(0), batch), batch


def test_moving_average_oracles():
    """By hand: 1 moves to 3 by a thousandth; with warm-up the first decays are 1 - 1 / (step + 1)."""
    teacher, student = ({"model": {"w": jnp.ones(())}}, {}), {"model": {"w": jnp.full((), 3.0)}}
    statistics = {"batch_stats": {"m": jnp.full((), 7.0)}}
    seen = []
    for step in range(1, 11):
        teacher = updated(teacher, student, statistics, step, 0.999)
        seen.append(float(teacher[0]["model"]["w"]))
    assert seen[0] == pytest.approx(1.002, abs=1e-6) and seen[9] == pytest.approx(1.019910, abs=1e-6)
    assert teacher[1] == statistics, "batch statistics are copied"
    frozen = ({"model": {"w": jnp.ones(())}}, {"batch_stats": {"m": jnp.zeros(())}})
    assert updated(frozen, student, statistics, 1, 1.0) is frozen
    for step, alpha in [(1, 0.5), (2, 0.666667), (10, 0.909091), (998, 0.998999), (5000, 0.999)]:
        assert float(decay_at(step, 0.999, warmup=True)) == pytest.approx(alpha, abs=1e-6)


def test_resume_with_a_teacher_is_exact(trained_with_teacher, tmp_path, monkeypatch):
    config = consistency_config(watched=True)
    with monkeypatch.context() as patch:
        patch.setattr(setup, "make_train_step", interrupted(setup.make_train_step, call=3))
        loop.run(config, str(tmp_path))
    assert checkpoint.Checkpoints(tmp_path).steps[-1] == 3
    loop.run(config, str(tmp_path))
    assert metric_rows(tmp_path) == metric_rows(trained_with_teacher)
    for weights in ("student", "teacher"):
        assert_same_weights(tmp_path, trained_with_teacher, weights)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"teacher": {}}, "objective cr_str needs a teacher: set config.teacher = dict"),
        ({"teacher": dict(decay=2.0)}, "config.teacher.decay=2.0: give a number from 0 to 1"),
        ({"teacher": dict(decay=0.9, update="later")}, "config.teacher.update='later': choose one of after, before"),
        ({"teacher": dict(decay=0.9, warm=True)}, "has no warm .did you mean warmup.*it takes decay"),
        ({"eval_weights": "master"}, "config.eval_weights='master': give student"),
        ({"keep_best": "held_back/trust"}, "config.keep_best='held_back/trust': give SET/METRIC"),
        ({"keep_best_noise": -0.1}, "config.keep_best_noise=-0.1 must be a number, 0 or more"),
    ],
)
def test_bad_teachers(change, message, tmp_path):
    config = consistency_config()
    with config.unlocked():
        for name, setting in change.items():
            config[name] = setting
    with pytest.raises(InputError, match=message):
        loop.run(config, str(tmp_path))


def test_a_figure_of_the_student_does_not_choose_weights_of_the_teacher(tmp_path):
    config = consistency_config(watched=True)
    config.eval_weights, config.keep_best = "teacher", "held_back/consistency"
    with pytest.raises(InputError, match="config.keep_best=held_back/consistency is a figure of the student"):
        loop.run(config, str(tmp_path))


def test_update_before_or_after_is_the_same_average():
    """Every step sees the same teacher; the one that is left in the state lags by one step."""
    objective, params, state, batch = toy_run()
    mesh, tx = sharding.make_mesh(), optax.sgd(0.1)
    seen = {}
    for update in ("after", "before"):
        step = make_train_step(objective, tx, mesh, dict(decay=0.5, update=update))
        copies = jax.tree.map(jnp.copy, (params, state, ({"model": params["model"]}, state)))
        now = TrainState(
            jnp.zeros((), jnp.int32), copies[0], copies[1], tx.init(params), copies[2], jax.random.PRNGKey(0)
        )
        losses, teachers = [], []
        for _ in range(3):
            now, metrics = step(now, batch)
            losses.append(float(metrics["consistency"][0]))
            teachers.append(jax.device_get(now.teacher))
        seen[update] = losses, teachers
    assert seen["after"][0] == pytest.approx(seen["before"][0], rel=1e-6)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7), seen["after"][1][1], seen["before"][1][2]
    )
    assert differ(seen["after"][1][2], seen["before"][1][2])


def test_frozen_teacher_of_another_run(trained_with_teacher, tmp_path, capsys):
    """It keeps the weights it came with, the student starts fresh, and the reader reads with the weights it is told."""
    config = consistency_config()
    config.teacher = dict(decay=1.0, workdir=str(trained_with_teacher))
    config.eval_weights, config.steps = "teacher", 2
    loop.run(config, str(tmp_path))
    assert f"teacher: frozen; model starts from model of {trained_with_teacher}" in capsys.readouterr().out
    before, after = checkpoint.load_variables(trained_with_teacher), checkpoint.load_variables(tmp_path, "teacher")
    jax.tree.map(np.testing.assert_array_equal, before, after)
    student = checkpoint.load_variables(tmp_path)
    assert differ(student["params"], after["params"])
    picture = np.random.default_rng(0).integers(0, 256, (32, 64), np.uint8)
    np.testing.assert_array_equal(
        jstr.load(tmp_path).logits([picture]), jstr.load(trained_with_teacher).logits([picture])
    )
