"""Data in device memory: the same batches as from the host, wherever the run starts."""

import itertools
import shutil

import jax
import numpy as np
import pytest
from testing import REAL_WORDS, assert_same_weights, contrastive_config, metric_rows, tiny_config, write_folder

from configs import common
from jstr.checkpoints import checkpoint
from jstr.data.pipeline import TrainData
from jstr.parallel import sharding
from jstr.text.messages import InputError
from jstr.training import device_cache, loop, setup
from jstr.training.device_cache import DeviceData

WORDS = [f"w{i:03d}" for i in range(20)]


def data_of(config) -> TrainData:
    prepared = setup.prepare(config)
    return TrainData(config, prepared.reader.charset, prepared.objective.streams, prepared.frames)


def resident(config, stream="labelled") -> tuple[TrainData, DeviceData]:
    config.device_data = (stream,)
    data = data_of(config)
    return data, DeviceData(data, sharding.make_mesh())


def same(data, device: DeviceData, host: TrainData, start: int, count: int) -> None:
    for a, b in itertools.islice(zip(data.batches(start), host.batches(start), strict=True), count):
        assert {x.dtype for rows in a["arrays"].values() for x in rows.values()} == {np.dtype("int32")}
        put = jax.device_get(device.put(a["arrays"]))
        assert {n: set(rows) for n, rows in put.items()} == {n: set(rows) for n, rows in b["arrays"].items()}
        for name, rows in put.items():
            for field, array in rows.items():
                np.testing.assert_array_equal(array, b["arrays"][name][field], err_msg=field)
                assert array.dtype == b["arrays"][name][field].dtype


def test_batches_are_those_of_the_host_from_any_start(tmp_path):
    """Two sources, mixed, one of them with a share and labels that are left out; over several epochs."""
    rows = dict(a=dict(path=str(write_folder(tmp_path / "a", [*WORDS, "", "it's"])), weight=3.0, share=0.7))
    rows["b"] = dict(path=str(REAL_WORDS), weight=1.0)
    config = tiny_config(**rows)
    config.image.keep_ratio = True
    host = data_of(config)
    data, device = resident(config)
    same(data, device, host, 0, 8)
    same(data, device, host, 5, 2)
    assert [len(data.sources[key]) for key in data.sources] == [len(host.sources[key]) for key in host.sources]


def test_base_images_and_rows_without_labels(tmp_path):
    config = contrastive_config(joint=True)
    folder = str(write_folder(tmp_path / "a", WORDS))
    config.streams.mixed.sources = dict(a=dict(path=folder, labelled=False), b=dict(path=str(REAL_WORDS)))
    config.augment.where = "device"
    host = data_of(config)
    data, device = resident(config, "mixed")
    assert set(data.resident["mixed"][0]) >= {"base", "base_size", "tokens", "has_label"}
    assert list(data.resident["mixed"][0]["base_size"]) == [20, 60], "before the resize"
    same(data, device, host, 0, 4)


def test_broken_images_are_counted_and_replaced(tmp_path):
    folder = write_folder(tmp_path / "a", WORDS)
    for i in (3, 4, 11):
        (folder / f"{i:04d}.png").write_bytes(b"no picture")
    config = tiny_config(a=dict(path=str(folder)))
    host = data_of(config)
    data, device = resident(config)
    met = {key for batch in itertools.islice(host.batches(0), 5) for key in batch["broken"]}
    assert set(device.broken) == met == {f"a/{i:04d}.png" for i in (3, 4, 11)}
    same(data, device, host, 0, 5)
    config.evals = {}
    with pytest.raises(InputError, match="3 of 20 images of a are broken"):
        loop.run(config, str(tmp_path / "run"))


def test_what_does_not_fit_is_refused_before_it_is_decoded(monkeypatch):
    message = r"labelled has 1,000,000,000 images, [\d,.]+ GiB on each of \d+ device.*share="
    with pytest.raises(InputError, match=message):
        resident(tiny_config())
    monkeypatch.setattr(device_cache, "_free_bytes", lambda device: 100_000)
    with pytest.raises(InputError, match="labelled has 40 images, 0.0 GiB"):
        resident(tiny_config(a=common.rendered(seed=1, size=40)))
    resident(tiny_config(a=common.rendered(seed=1, size=30)))


def test_streams_that_cannot_stay_there(tmp_path):
    config = tiny_config()
    config.device_data = ("unlabelled",)
    with pytest.raises(InputError, match="names \\['unlabelled'\\]; the streams are \\['labelled'\\]"):
        data_of(config)
    config.device_data = ("labelled",)
    config.streams.labelled.views.image = dict(noise={})
    with pytest.raises(InputError, match="labelled has views from the host; use config.augment.where=device"):
        data_of(config)


def test_a_run_with_views_and_data_on_the_device_continues_exactly(tmp_path):
    config = contrastive_config()
    config.streams.unlabelled.sources = dict(real=dict(path=str(REAL_WORDS), labelled=False))
    config.augment.where, config.device_data = "device", ("unlabelled",)
    config.held_back.unlabelled = config.streams.unlabelled.to_dict() | dict(batches=1)
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    loop.run(config, str(whole))
    shutil.copytree(whole, cut)
    steps = checkpoint.Checkpoints(cut).steps
    assert steps == [2, 4]
    shutil.rmtree(next(path for path in cut.rglob("4") if path.is_dir()))
    (cut / "results.json").unlink()
    assert checkpoint.Checkpoints(cut).steps == [2]
    loop.run(config, str(cut))
    assert metric_rows(cut) == metric_rows(whole) and (cut / "results.json").exists()
    assert_same_weights(cut, whole)
