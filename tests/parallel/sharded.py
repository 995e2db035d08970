"""Three steps on all devices there are; prints losses and batch statistics as JSON.

python tests/parallel/sharded.py ctc|attention [FSDP WORKDIR]: with the state split over FSDP devices, saved after the
first step and restored with other splits. Started by test_sharding.py.
"""

import json
import sys

import jax
import numpy as np
from testing import tiny_config

from configs import common
from jstr.checkpoints import checkpoint
from jstr.data.pipeline import example_batch
from jstr.parallel import sharding
from jstr.training import setup
from jstr.training.train_step import make_train_step


def layouts(state, shardings=None) -> list[str]:
    shardings = jax.tree.map(lambda x: x.sharding, state) if shardings is None else shardings
    return [str(s.spec) for s in jax.tree.leaves(shardings)]


def restored(state) -> dict:
    """How many arrays are split, and with which other splits a checkpoint of `state` gives its very numbers."""
    checkpoints = checkpoint.Checkpoints(sys.argv[3])
    checkpoints.save(state, {"config": {}})
    same = []
    for shape in (dict(fsdp=1), dict(fsdp=2), dict(data=1, fsdp=8)):
        other = sharding.make_mesh(shape)
        zeros = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), state)
        again, _ = checkpoints.restore(jax.device_put(zeros, sharding.layout(zeros, other)))
        pairs = zip(jax.tree.leaves(again), jax.tree.leaves(state), strict=True)
        if all(np.array_equal(a, b) for a, b in pairs) and layouts(again) == layouts(
            again, sharding.layout(again, other)
        ):
            same.append(shape["fsdp"])
    parts = [x.addressable_shards[0].data.size / x.size for x in jax.tree.leaves(state)]
    return {"split": sum(part < 1 for part in parts), "least": min(parts), "restored": same}


config = tiny_config()
if sys.argv[1] == "attention":
    config.model = common.trba(width=0.0625) | dict(features="vgg", sequence="none")
    config.charset.layout = "cr_attention"
    config.charset.max_length = 5
fsdp = int(sys.argv[2]) if sys.argv[2:] else 1
sharding.SMALL = 1000  # of a tiny model something is to be split
mesh = sharding.make_mesh(dict(data=-1, fsdp=fsdp))
prepared = setup.prepare(config)
batch = example_batch(config, prepared.objective.streams, prepared.reader.spec, prepared.reader.charset)
state, tx, _ = setup.make_state(config, prepared.objective, batch, mesh)
if jax.config.jax_enable_x64:  # set by JAX_ENABLE_X64
    state = jax.tree.map(lambda x: x.astype(np.float64) if x.dtype == np.float32 else x, state)
step = make_train_step(prepared.objective, tx, mesh)
losses, norms, found = [], [], {}
for number in range(3):
    if number == 1 and fsdp > 1:
        found = restored(state)
    state, metrics = step(state, sharding.put_batch(batch, mesh))
    losses.append(float(metrics["loss"][0]))
    norms.append(float(metrics["grad_norm"][0]))
if fsdp > 1:
    found["layout_kept"] = layouts(state) == layouts(state, sharding.layout(state, mesh))
    found["programs"] = step._cache_size()
statistics = [float(x.mean()) for x in jax.tree.leaves(state.model_state)]
about = {"devices": mesh.size, "losses": losses, "grad_norm": norms[0], "statistics": statistics}
print(json.dumps(about | found))
