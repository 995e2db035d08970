"""Views of a batch split over all devices, and rows in their memory: prints whether they are those of one device.

Started by test_device_augmentation.py.
"""

import sys

import jax
import numpy as np
from testing import REAL_WORDS, contrastive_config

from jstr.augment.device import cr, seqclr
from jstr.augment.device.base import Base
from jstr.data.pipeline import TrainData
from jstr.parallel import sharding
from jstr.training import setup
from jstr.training.device_cache import DeviceData

meshes = sharding.make_mesh(), sharding.make_mesh(devices=jax.devices()[:1])
print("devices", meshes[0].size)
base = np.random.default_rng(0).integers(0, 256, (8, 16, 40, 3), np.uint8)
arrays = {"base": base, "size": np.float32([[20, 60]] * 8)}


def views(rows, key):
    base = Base.make(rows["base"], rows["size"], keep_ratio=False)
    return [op(base, key) for op in (seqclr.seqclr, cr.cr_strong)]


found = [jax.jit(views)(sharding.put_batch(arrays, mesh), jax.random.PRNGKey(0)) for mesh in meshes]
far = max(np.abs(np.asarray(a, int) - np.asarray(b, int)).max() for a, b in zip(*found, strict=True))
split = all(view.sharding.is_equivalent_to(sharding.batch_sharding(meshes[0]), view.ndim) for view in found[0])
print("views", "equal" if far <= 1 and split else f"differ by {far}, split: {split}")  # 1: the order of sums

config = contrastive_config(joint=True)
config.streams.mixed.sources = dict(real=dict(path=str(REAL_WORDS)))
config.augment.where, config.device_data = "device", ("mixed",)
prepared = setup.prepare(config)
data = TrainData(config, prepared.reader.charset, prepared.objective.streams, prepared.frames)
sys.stdout = sys.stderr
puts = [DeviceData(data, mesh).put for mesh in meshes]
sys.stdout = sys.__stdout__
same = True
for _, batch in zip(range(3), data.batches(0), strict=False):
    a, b = (jax.device_get(put(batch["arrays"])["mixed"]) for put in puts)
    same &= set(a) == set(b) == {"base", "base_size", "tokens", "has_label"} and a["has_label"].all()
    same &= all((a[field] == b[field]).all() and a[field].dtype == b[field].dtype for field in a)
print("rows", "equal" if same else "differ")
