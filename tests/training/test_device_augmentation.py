"""Views made within the training step: for which streams, with which keys, on how many devices."""

import cv2
import jax
import numpy as np
import pytest
from testing import REAL_WORDS, call, contrastive_config, quick_jit
from views_testing import SIZE, base_of, off

from jstr.augment.host import registry
from jstr.core import Objective
from jstr.data.images import ImageSpec
from jstr.text.messages import InputError
from jstr.training import setup
from jstr.training.device_augmentation import OPS, base_fields, draw_views, on_device

KEY = jax.random.PRNGKey(0)


@pytest.mark.parametrize("name", sorted(OPS))
def test_whole_views_change_real_words_as_much_as_the_hosts(name):
    """Mean change of 64 words, over 4 views of each and over 16 that the host makes before the resize; within 15 %."""
    images = [cv2.imread(str(path), cv2.IMREAD_COLOR_RGB) for path in sorted(REAL_WORDS.glob("*.*g"))][:64]
    assert len(images) == 64
    spec, start = ImageSpec(SIZE, 3), base_of(images)
    device = quick_jit(OPS[name])
    found = [np.asarray(device(start, jax.random.PRNGKey(seed))) for seed in range(4)]
    rng = np.random.default_rng(0)
    views = [[spec.fit(registry.OPS[name](image, rng)) for image in images] for _ in range(16)]
    change, expected = (np.mean([off(view, start.images) for view in some]) for some in (found, views))
    assert abs(change / expected - 1) < 0.15, (change, expected)
    np.testing.assert_array_equal(device(start, jax.random.PRNGKey(0)), found[0])
    assert (off(found[0], found[1]) > 0).mean() > 0.8


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


@pytest.mark.parametrize("view", [dict(seqclr={}), dict(cr_weak={}), dict(cr_strong={})])
def test_grey_padding_stays_grey(view):
    config = contrastive_config()
    config.image.update(size=(16, 64), keep_ratio=True, pad="grey")
    spec = ImageSpec.make(config.image)
    base = np.stack([spec.fit(np.full((16, 20, 1), 250, np.uint8))] * 8)
    rows = {"base": base, "base_size": np.float32([[16, 20]] * 8)}
    for seed in range(4):
        found = quick_jit(lambda key: draw_views(rows, {"view": view}, (), spec, key)["view"])(jax.random.PRNGKey(seed))
        assert found.dtype == np.uint8 and (found[:, :, 20:] == 128).all() and (found[:, :, :20] != 128).any()


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
        (dict(crop={}), "'crop' does not run on the device"),
        (dict(seqclr=dict(lo=1)), "has no lo .*it takes low, high"),
        (dict(swirl={}), "unknown operation 'swirl'"),
    ):
        config.streams.unlabelled.views = dict(view0=view)
        with pytest.raises(InputError, match=message):
            setup.prepare(config)
    config.augment.where = "gpu"
    with pytest.raises(InputError, match="choose one of host, device"):
        setup.prepare(config)


def test_four_devices_equal_one():
    """Views of a batch split over devices, and rows kept split over them."""
    status, out, err = call("tests/training/sharded_views.py", JAX_NUM_CPU_DEVICES="4")
    assert status == 0, err
    assert out.split() == ["devices", "4", "views", "equal", "rows", "equal"]
