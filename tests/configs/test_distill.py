"""configs/distill.py: of real words no human label is learned; a deeper network goes on from a shallower one."""

import jax
import jax.numpy as jnp
import pytest

from configs import common, reader
from configs.distill import get_config
from jstr.checkpoints.init_from import init_from
from jstr.inference.reader import Reader
from jstr.interop import weights
from jstr.models import example_input


@pytest.mark.parametrize("arguments", ["", "finish,deeper", "teacher=a,start=a,every=750", "images=b"])
def test_real_words_have_the_labels_of_the_teacher(arguments):
    config = get_config(arguments)
    sources = config.streams.labelled.sources
    real = {name: row for name, row in sources.items() if "rendered" not in row}
    teacher = "a" if "teacher" in arguments else "ppocrv6-small"
    assert real and all(row.read_by.workdir == teacher for row in real.values())
    assert all(row.read_by.language_model == "english" for row in real.values())
    assert sum(row.weight for row in sources.values()) == pytest.approx(1.0)
    rendered = {name: row for name, row in reader.get_config("").streams.labelled.sources.items() if "rendered" in row}
    assert {name: sources[name].weight for name in rendered} == {name: row.weight for name, row in rendered.items()}


def test_rounds():
    assert not get_config("").self_training
    assert get_config("every=750").self_training.every == 750


def test_a_deeper_network_starts_from_the_bundled_one():
    """Every parameter but those of the new blocks comes from the start."""
    config = get_config(f"start={common.BUNDLED},deeper")
    assert get_config(f"start={common.BUNDLED}").model.features == "compact"
    model = Reader(config.to_dict()).model
    blank = jax.eval_shape(lambda x: model.init(jax.random.key(0), x, train=False), example_input(model))
    blank = jax.tree.map(lambda x: jnp.full(x.shape, jnp.nan, x.dtype), blank)
    rows, missing = config.init_from, config.init_allow_missing
    params, _, lines = init_from(
        {"model": blank["params"]}, {"batch_stats": blank["batch_stats"]}, rows, missing, load=weights.load_variables
    )
    extractor = params["model"]["extractor"]
    fresh = {name for name, block in extractor.items() if any(jnp.isnan(x).any() for x in jax.tree.leaves(block))}
    assert fresh == {"level0_1", "level1_2", "level2_2"}
    rest = {name: part for name, part in params["model"].items() if name != "extractor"}
    assert rest and not any(jnp.isnan(x).any() for x in jax.tree.leaves(rest))
    assert lines[-1].startswith("not loaded, starts fresh: model/extractor/level0_1")
