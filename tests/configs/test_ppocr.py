"""Methods that go on from PP-OCR, traced at full size and not compiled: its network takes long to."""

import importlib

import jax
import jax.numpy as jnp

from jstr.data.pipeline import example_batch
from jstr.parallel import sharding
from jstr.training import setup


def traced(config):
    """(shapes of the state after a step, metrics)."""
    prepared = setup.prepare(config)
    batch = example_batch(config, prepared.objective.streams, prepared.reader.spec, prepared.reader.charset)
    begin, tx, _ = setup.plan_state(config, prepared.objective, batch)
    state = jax.eval_shape(begin, jax.random.PRNGKey(0))
    step = setup.make_step(config, prepared.objective, tx, sharding.make_mesh(config.mesh, jax.devices()[:1]))
    after, metrics = jax.eval_shape(step, state, jax.eval_shape(lambda: batch))
    assert jax.tree.map(jnp.shape, after) == jax.tree.map(jnp.shape, state)
    assert {leaf.dtype for leaf in jax.tree.leaves(after.params)} == {jnp.dtype("float32")}
    return after, metrics


def test_consistency_with_a_moving_average_in_bfloat16():
    config = importlib.import_module("configs.adapt").get_config("start=ppocrv6-small,consistency")
    config.model.dtype = "bfloat16"
    after, metrics = traced(config)
    assert after.teacher is not None and {"consistency", "supervised", "trust"} <= set(metrics)


def test_contrast_of_its_frames():
    config = importlib.import_module("configs.seqclr").get_config("compact,start=ppocrv6-small")
    _, metrics = traced(config)
    assert {"contrast", "picked"} <= set(metrics)
