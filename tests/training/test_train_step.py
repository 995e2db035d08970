"""The step: parts of a batch, what is computed again, several steps at once, and that nothing is compiled twice."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from testing import interrupted, metric_rows, quick_jit, tiny_config

from configs import common
from jstr.checkpoints import checkpoint
from jstr.core import Objective, TrainState
from jstr.data.pipeline import example_batch
from jstr.nn import platform
from jstr.parallel import sharding
from jstr.text.messages import InputError
from jstr.training import loop, setup
from jstr.training.train_step import make_train_step, rematerialised

FLOAT32 = dict(rtol=2e-6, atol=1e-7)


def line(params, model_state, teacher, batch, key, step):
    """Least squares, with a running mean like that of batch norm, and noise that only the key decides."""
    x, y = batch["points"]["x"], batch["points"]["y"]
    error = (x @ params["w"] - y + jax.random.normal(key)) ** 2
    count = jnp.asarray(len(x), jnp.float32)
    return error.mean(), ({"mean": 0.9 * model_state["mean"] + 0.1 * x.mean()}, {"error": (error.sum(), count)})


def points(seed, rows=6):
    rng = np.random.default_rng(seed)
    return {"points": {"x": rng.normal(size=(rows, 3)).astype(np.float32), "y": np.ones(rows, np.float32)}}


def step_of(**options):
    """(step of `line`, a fresh state, the mesh's batch)."""
    tx, mesh = optax.sgd(0.1), sharding.make_mesh()
    params = {"w": jnp.arange(3.0)}
    state = TrainState(
        jnp.zeros((), jnp.int32), params, {"mean": jnp.zeros(())}, tx.init(params), None, jax.random.PRNGKey(4)
    )
    objective = Objective({"points": ("x", "y")}, (), None, line)
    return make_train_step(objective, tx, mesh, **options), jax.device_put(state, sharding.layout(state, mesh)), mesh


def test_steps_in_one_dispatch_are_those_steps():
    step, state, mesh = step_of()
    batches = [sharding.put_batch(points(seed), mesh) for seed in range(3)]
    losses = []
    for batch in batches:
        state, metrics = step(state, batch)
        losses.append(metrics["error"])
    step, other, _ = step_of()
    other, metrics = step(other, *batches)
    assert int(other.step) == 3 and metrics["error"][0].shape == (3,)
    np.testing.assert_allclose(np.stack(metrics["error"]).T, losses, **FLOAT32)
    for a, b in zip(jax.tree.leaves(state), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(a, b, **FLOAT32)


def test_accumulation_averages_over_parts_that_lie_together():
    step, state, mesh = step_of(accumulate=3)
    batch, w, mean = points(0), np.arange(3.0), 0.0
    key = jax.random.fold_in(state.key, 0)
    losses, grads = [], []
    for part in range(3):
        x, y = (batch["points"][name][2 * part : 2 * part + 2] for name in "xy")
        error = x @ w - y + float(jax.random.normal(jax.random.fold_in(key, part)))
        losses.append((error**2).mean())
        grads.append(2 * (error[:, None] * x).mean(axis=0))
        mean = 0.9 * mean + 0.1 * x.mean()
    state, metrics = step(state, sharding.put_batch(batch, mesh))
    np.testing.assert_allclose(metrics["loss"][0], np.mean(losses), rtol=1e-5)
    np.testing.assert_allclose(metrics["error"], (2 * np.sum(losses), 6), rtol=1e-5)
    np.testing.assert_allclose(metrics["grad_norm"][0], np.linalg.norm(np.mean(grads, axis=0)), rtol=1e-5)
    np.testing.assert_allclose(state.params["w"], w - 0.1 * np.mean(grads, axis=0), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(state.model_state["mean"], mean, rtol=1e-5)


def test_the_state_is_donated():
    step, state, mesh = step_of()
    before = jax.tree.leaves(state)
    step(state, sharding.put_batch(points(0), mesh))
    assert all(x.is_deleted() for x in before)


@pytest.fixture(scope="module")
def attention():
    """A recogniser with every kind of layer that matters for memory: its loss, variables and batch."""
    config = tiny_config()
    config.model = common.trba(width=0.0625) | dict(transformation="none", features="vgg")
    config.charset.update(layout="cr_attention", max_length=5)
    prepared = setup.prepare(config)
    batch = example_batch(config, prepared.objective.streams, prepared.reader.spec, prepared.reader.charset)
    params, model_state = quick_jit(prepared.objective.init)(jax.random.PRNGKey(0), batch)

    def loss(params):
        return prepared.objective.loss(params, model_state, None, batch, jax.random.PRNGKey(1), 0)[0]

    return loss, params


def test_rematerialisation_changes_no_gradient(attention):
    loss, params = attention
    found = [quick_jit(jax.value_and_grad(f))(params) for f in (loss, rematerialised(loss))]
    for a, b in zip(*map(jax.tree.leaves, found), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def test_what_is_kept_for_the_backward_pass(attention):
    loss, params = attention

    def kept(f):
        leaves = jax.tree.leaves(jax.eval_shape(lambda p: jax.vjp(f, p)[1], params))
        return sum(x.size * x.dtype.itemsize for x in leaves)

    with platform.tracing_for("gpu"):
        # Convolutions and products alone. Without it, pooling keeps bits instead of its inputs (2.9 MB before), LSTMs
        # their gates and cells instead of the results of nonlinearities (2.3 MB before).
        assert kept(rematerialised(loss)) <= 1_211_268
        assert kept(loss) <= 2_073_684


def run_config(steps_per_dispatch=1):
    config = tiny_config()
    config.evals.rendered = common.rendered(seed=2, size=67) | dict(protocol="alnum36")  # two batches, one of them odd
    config.held_back.labelled = common.stream(8, dict(rendered=common.rendered(seed=8))) | dict(batches=2)
    config.steps, config.steps_per_dispatch = 8, steps_per_dispatch
    return config


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """An unbroken run: its workdir, the order of dispatches and compilations, and the programs of its step."""
    workdir, events, steps = tmp_path_factory.mktemp("whole"), [], []
    make = setup.make_train_step

    def listen(name, seconds, **about):
        if name == "/jax/core/compile/backend_compile_duration":
            events.append("compile")

    def watched(*args, **options):
        steps.append(make(*args, **options))

        def step(*args):
            events.append("step")
            return steps[0](*args)

        return step

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(setup, "make_train_step", watched)
        jax.monitoring.register_event_duration_secs_listener(listen)
        try:
            loop.run(run_config(), str(workdir))
        finally:
            jax.monitoring.unregister_event_duration_listener(listen)
    return workdir, events, steps[0]._cache_size()


def test_nothing_is_compiled_after_the_first_evaluation(whole):
    """Eight steps, four evaluations of two batches, the last of them odd, held-back batches and four checkpoints."""
    _, events, programs = whole
    assert programs == 1 and events.count("step") == 8 and "compile" in events
    third = [i for i, event in enumerate(events) if event == "step"][2]
    assert "compile" not in events[third:], events


def test_dispatches_of_two_steps_continue_a_run_stopped_at_an_odd_one(whole, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(setup, "make_train_step", interrupted(setup.make_train_step, call=3))
        loop.run(run_config(), str(tmp_path))
    assert checkpoint.Checkpoints(tmp_path).steps[-1] == 3
    loop.run(run_config(steps_per_dispatch=2), str(tmp_path))
    rows, expected = metric_rows(tmp_path), metric_rows(whole[0])
    assert [(row["step"], set(row)) for row in rows] == [(row["step"], set(row)) for row in expected]
    for row, wanted in zip(rows, expected, strict=True):
        np.testing.assert_allclose([row[k] for k in wanted], list(wanted.values()), rtol=1e-3, atol=1e-4)
    assert checkpoint.Checkpoints(tmp_path).steps == [6, 8]
    states = [jax.tree.leaves(checkpoint.load_variables(w)) for w in (tmp_path, whole[0])]
    for a, b in zip(*states, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    "change, says",
    [
        (dict(steps_per_dispatch=0), "config.steps_per_dispatch=0 must be a whole number, 1 or more"),
        (dict(steps_per_dispatch=2, log_every=3), "config.log_every=3 must be a multiple of steps_per_dispatch=2"),
        (dict(steps_per_dispatch=4, save_every=2), "config.eval_every=2 must be a multiple of steps_per_dispatch=4"),
        (dict(accumulate=0), "config.accumulate=0 must be a whole number, 1 or more"),
        (dict(accumulate=3), "labelled.batch_size=8 must be a multiple of accumulate=3 times the 1 device"),
    ],
)
def test_what_does_not_divide_is_one_line(tmp_path, change, says):
    config = tiny_config()
    config.log_every = 4
    config.update(change)
    with pytest.raises(InputError, match=says):
        loop.run(config, str(tmp_path))
