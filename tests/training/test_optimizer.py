import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from ml_collections import ConfigDict

from configs import common
from jstr.text.messages import InputError
from jstr.training.optimizer import (
    make_optimizer,
    make_schedule,
    multi_step,
    one_cycle,
    warmup_cosine,
    warmup_stable_decay,
)

PARAMS = {"model": {"features": {"w": jnp.ones(3)}, "head": {"w": jnp.ones(2), "b": jnp.ones(1)}}}


# torch's OneCycleLR with the numbers of STR-Fewer-Labels and of CR
@pytest.mark.parametrize(
    "peak, steps, rates",
    [
        (5e-4, 200_000, {0: 2.5e-5, 30_000: 2.625062e-4, 59_999: 5e-4, 100_000: 4.058728e-4, 199_999: 2.5e-8}),
        (
            1e-3,
            250_000,
            {0: 5e-5, 1000: 5.041667e-5, 37_500: 5.250099e-4, 74_999: 1e-3, 150_000: 6.112712e-4, 249_999: 5e-8},
        ),
    ],
)
def test_one_cycle_oracle(peak, steps, rates):
    schedule = one_cycle(peak, steps)
    for step, rate in rates.items():
        np.testing.assert_allclose(float(schedule(step)), rate, rtol=2e-3 if rate < 1e-6 else 1e-5)


def test_multi_step():
    schedule = multi_step(1e-4, 100, drops=(0.6, 0.8))
    np.testing.assert_allclose([schedule(i) for i in (0, 59, 60, 79, 80, 99)], [1e-4] * 2 + [1e-5] * 2 + [1e-6] * 2)


def test_warmup_cosine():
    schedule = warmup_cosine(2e-3, 100, warmup=0.1)
    rates = [schedule(i) for i in (0, 5, 10, 55, 100)]
    np.testing.assert_allclose(rates, [0, 1e-3, 2e-3, 1e-3, 0], atol=1e-9)


def test_warmup_stable_decay():
    schedule = warmup_stable_decay(2e-3, 100, warmup_steps=10, decay=0.25)
    rates = [schedule(i) for i in (0, 5, 10, 75, 80, 100)]
    np.testing.assert_allclose(rates, [0, 1e-3, 2e-3, 2e-3, 1.6e-3, 0], atol=1e-9)
    longer = warmup_stable_decay(2e-3, 1000, warmup_steps=10, decay=0.25)
    assert [schedule(i) for i in range(75)] == [longer(i) for i in range(75)]
    assert [warmup_stable_decay(2e-3, 100, warmup_steps=0)(i) for i in (0, 1, 69)] == [2e-3] * 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(name="warmup_stable_decay", warmup_steps=-5), "warmup_steps=-5 must be at least 0"),
        (
            dict(name="warmup_stable_decay", decay=2.0),
            "config.optimizer.schedule: decay=2.0 is a share of all steps; give a number from 0 to 1",
        ),
        (dict(name="warmup_cosine", warmup=1.0), "config.optimizer.schedule: "),
    ],
)
def test_schedules_that_cannot_be(options, message):
    with pytest.raises(InputError, match=message):
        make_schedule(dict(peak=1e-3) | options, 100)


def test_l2_is_part_of_the_gradient_and_spares_biases():
    """As torch's Adam: with a gradient of zero, the penalty alone makes a step of the learning rate."""
    spared = ("bias", "classifier_bias", "query_bias", "scale")
    params = {"model": {"kernel": jnp.full(2, 3.0)} | {name: jnp.ones(2) for name in spared}}
    tx, _ = make_optimizer(ConfigDict(common.adam(1e-2, "constant") | dict(l2=1e-4)), 100, params)
    updates, _ = tx.update(jax.tree.map(jnp.zeros_like, params), tx.init(params), params)
    np.testing.assert_allclose(updates["model"]["kernel"], -1e-2, rtol=1e-3)
    assert not any(updates["model"][name].any() for name in spared)


def test_the_gradient_is_clipped_before_the_penalty_is_added():
    """As with torch's clip_grad_norm_ before its Adam: here the penalty is larger than what clipping leaves."""
    params = {"model": {"kernel": jnp.full(2, -1.0)}}
    config = ConfigDict(common.adam(1e-2, "constant") | dict(l2=0.5, clip_norm=0.1))
    tx, _ = make_optimizer(config, 100, params)
    updates, _ = tx.update({"model": {"kernel": jnp.ones(2)}}, tx.init(params), params)
    np.testing.assert_allclose(updates["model"]["kernel"], 1e-2, rtol=1e-3)


def step_of(config, grads=None):
    tx, _ = make_optimizer(ConfigDict(config), 100, PARAMS)
    updates, _ = tx.update(grads or jax.tree.map(jnp.ones_like, PARAMS), tx.init(PARAMS), PARAMS)
    return updates["model"]


@pytest.mark.parametrize("make", [common.adam, common.adamw])
def test_adam_matches_optax(make):
    config = make(1e-2) | dict(clip_norm=None)
    ours = step_of(config)
    reference = optax.adamw(1e-2 / 20, weight_decay=config["weight_decay"])
    theirs, _ = reference.update(jax.tree.map(jnp.ones_like, PARAMS), reference.init(PARAMS), PARAMS)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), ours, theirs["model"])


def test_adadelta_matches_optax():
    ours = step_of(common.adadelta() | dict(clip_norm=None))
    reference = optax.adadelta(1.0, rho=0.95, eps=1e-8)
    theirs, _ = reference.update(jax.tree.map(jnp.ones_like, PARAMS), reference.init(PARAMS), PARAMS)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), ours, theirs["model"])


def test_rules_by_prefix():
    rules = {"model/features": {"frozen": True}, "model/head": {"lr": 0.5}, "model/head/b": {"lr": 2.0}}
    plain, ruled = step_of(common.adam(1e-2)), step_of(common.adam(1e-2) | dict(rules=rules))
    assert not np.any(ruled["features"]["w"])
    np.testing.assert_allclose(ruled["head"]["w"], 0.5 * plain["head"]["w"], rtol=1e-6)
    np.testing.assert_allclose(ruled["head"]["b"], 2 * plain["head"]["b"], rtol=1e-6)


def test_weight_decay_by_prefix():
    config = common.adamw(1e-2, weight_decay=0.1) | dict(rules={"model/head": {"weight_decay": 0.0}})
    zero = jax.tree.map(jnp.zeros_like, PARAMS)
    updates = step_of(config, zero)
    assert np.all(updates["features"]["w"] < 0) and not np.any(updates["head"]["w"])


def test_clipping_leaves_frozen_gradients_out_of_the_norm():
    config = common.adadelta() | dict(clip_norm=1.0, rules={"model/features": {"frozen": True}})
    grads = {"model": {"features": {"w": jnp.full(3, 1e6)}, "head": {"w": jnp.full(2, 0.1), "b": jnp.full(1, 0.1)}}}
    clipped = step_of(config, grads)
    free = step_of(config | dict(clip_norm=None), grads)
    np.testing.assert_allclose(clipped["head"]["w"], free["head"]["w"])


@pytest.mark.parametrize(
    "change, message",
    [
        (dict(name="sgdd"), "config.optimizer.name='sgdd': choose one of adam"),
        (dict(rules={"model/encoder": {"frozen": True}}), "'model/encoder' matches no parameter; there are"),
        (dict(rules={"model": {"lr_scale": 1}}), "unknown \\['lr_scale'\\]"),
        (dict(schedule=dict(name="cosine", peak=1.0)), "schedule.name='cosine': choose one of one_cycle"),
        (dict(options=dict(beta=1)), "unexpected keyword argument 'beta'"),
    ],
)
def test_bad_optimizer_configs(change, message):
    with pytest.raises(InputError, match=message):
        step_of(common.adam(1e-3) | change)


@pytest.mark.parametrize("schedule", [one_cycle, warmup_cosine])
@pytest.mark.parametrize("warmup", [500, -1])
def test_a_warmup_in_steps_is_refused(schedule, warmup):
    """It is a share; a rate that never reaches its peak would look like a poor method."""
    with pytest.raises(InputError, match=f"warmup={warmup} is a share of all steps"):
        schedule(1e-3, 100, warmup=warmup)
