"""Batches held back from training."""

import contextlib
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from testing import contrastive_config, tiny_config

from configs import common
from jstr.core import Objective, TrainState
from jstr.data.pipeline import TrainData
from jstr.parallel import sharding
from jstr.text import Charset
from jstr.text.messages import InputError
from jstr.training import loop
from jstr.training.validation import Validation


def test_held_back_rows_are_checked(tmp_path):
    config = contrastive_config()
    config.held_back.labelled = config.streams.unlabelled
    with pytest.raises(InputError, match="config.held_back has \\['labelled'\\]; this objective reads"):
        loop.run(config, str(tmp_path))


def test_metrics_are_means_over_all_batches():
    """Sums over counts, with the same batches and random choices at every step; what counts nothing is left out."""

    def loss(params, model_state, teacher, batch, key, step):
        level, one = jnp.asarray(batch["labelled"]["image"], jnp.float32).mean(), jnp.ones(())
        count = jnp.where(level > 0, jnp.floor(level), 1)
        metrics = {"level": (level * count, count), "drawn": (jax.random.uniform(key), one), "none": (0 * one, 0 * one)}
        return level, (model_state, metrics | {"twice": (2 * one, one)})

    config = tiny_config()
    config.held_back.labelled = common.stream(4, dict(rendered=common.rendered(seed=8))) | dict(batches=3)
    charset, streams = Charset.make(**config.charset), {"labelled": ("image", "tokens")}
    objective = Objective(streams, (), None, loss, measure=lambda *_: {"twice": (jnp.ones(()) * 3, jnp.ones(()))})
    held_back = Validation(config, objective, charset, None, sharding.make_mesh())
    states = [TrainState(jnp.asarray(n), {}, {}, (), None, jax.random.PRNGKey(n)) for n in (0, 7)]
    first, later = map(held_back.measure, states)
    with contextlib.closing(TrainData(config, charset, streams, part="held_back").batches(0)) as batches:
        images = [batch["arrays"]["labelled"]["image"] for batch in itertools.islice(batches, 3)]
    levels = np.array([x.astype(np.float64).mean() for x in images])
    keys = [jax.random.fold_in(jax.random.PRNGKey(0), number) for number in range(3)]
    expected = dict(loss=levels.mean(), level=np.average(levels, weights=np.floor(levels)), twice=3.0)
    expected["drawn"] = np.mean([jax.random.uniform(key) for key in keys])
    assert first == later == pytest.approx(expected, rel=1e-5)
