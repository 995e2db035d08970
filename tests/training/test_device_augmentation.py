"""Views drawn within the training step: which streams, with which keys, on how many devices."""

import jax
import numpy as np
import pytest
from testing import call, contrastive_config, quick_jit

from jstr.core import InputError, Objective
from jstr.training import setup
from jstr.training.device_augmentation import base_fields, on_device

KEY = jax.random.PRNGKey(0)


def off(images, others) -> np.ndarray:
    """Mean difference in grey levels, by image."""
    return np.abs(np.asarray(images, float) - np.asarray(others, float)).mean(axis=(1, 2, 3))


def echo(*fields) -> Objective:
    """An objective whose state is the batch that its loss saw."""
    return Objective({"words": fields}, (), lambda key, batch: (batch, {}), lambda *a: (0.0, (a[3], {})))


def test_a_step_draws_the_views_from_its_key():
    config = contrastive_config()
    both = dict(view0=dict(seqclr={}), view1=dict(cr_strong=dict(spatial=0), cr_weak={}), plain={})
    config.streams = {"words": dict(batch_size=4, views=both)}
    config.augment.where, config.image.size = "device", (16, 32)
    objective = on_device(echo("view0", "view1", "plain", "view0_filled", "tokens"), config)
    assert objective.streams["words"] == ("base", "base_size", "tokens")
    base = np.random.default_rng(0).integers(0, 256, (4, 16, 32, 1), np.uint8)
    batch = {"words": dict(base=base, base_size=np.float32([[30, 90]] * 4), tokens=np.arange(4))}
    loss = quick_jit(lambda key, batch: objective.loss(None, None, None, batch, key, 0)[1][0]["words"])
    seen = loss(KEY, batch)
    assert set(seen) == {"view0", "view1", "plain", "view0_filled", "tokens"}
    np.testing.assert_array_equal(seen["plain"], base)
    np.testing.assert_array_equal(seen["view0_filled"], np.ones(4))
    assert seen["view0"].dtype == seen["view1"].dtype == np.uint8 and off(seen["view0"], seen["view1"]).min() > 0
    for name, again in loss(KEY, batch).items():
        np.testing.assert_array_equal(again, seen[name])
    assert off(loss(jax.random.PRNGKey(1), batch)["view0"], seen["view0"]).max() > 0
    params, _ = quick_jit(objective.init)(KEY, batch)
    np.testing.assert_array_equal(params["words"]["view1"], base, err_msg="init reads shapes only")


def test_only_streams_with_operations_change_and_unknown_ones_are_refused():
    config = contrastive_config()
    assert setup.prepare(config).objective.streams["unlabelled"][:2] == ("view0", "view1")
    config.augment.where = "device"
    prepared = setup.prepare(config)
    assert prepared.objective.streams["unlabelled"] == base_fields(prepared.validation_objective.streams["unlabelled"])
    assert prepared.validation_objective.streams["unlabelled"][:2] == ("view0", "view1"), "batches held back"
    config.streams.unlabelled.views = dict(view0={}, view1={})
    assert setup.prepare(config).objective.streams["unlabelled"][:2] == ("view0", "view1")
    for view, message in (
        (dict(crop={}), "'crop' has no form for the device"),
        (dict(seqclr=dict(lo=1)), "no 'lo'"),
        (dict(swirl={}), "unknown operation 'swirl'"),
    ):
        config.streams.unlabelled.views = dict(view0=view)
        with pytest.raises(InputError, match=message):
            setup.prepare(config)
    config.augment.where = "gpu"
    with pytest.raises(InputError, match="choose host or device"):
        setup.prepare(config)


def test_four_devices_equal_one():
    """Views of a batch split over devices, and rows kept split over them."""
    flags = "--xla_force_host_platform_device_count=4 --xla_backend_optimization_level=0"
    status, out, err = call("tests/training/sharded_views.py", XLA_FLAGS=flags)
    assert status == 0, err
    assert out.split() == ["devices", "4", "views", "equal", "rows", "equal"]
