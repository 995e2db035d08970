"""Three steps on all devices there are; prints losses and batch statistics as JSON. Started by test_train.py."""

import json
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parent)]

import jax
from testing import tiny_config

from configs import common
from jstr import sharding, train
from jstr.data.pipeline import example_batch
from jstr.step import make_train_step

config = tiny_config()
if sys.argv[1] == "attention":
    config.model = common.trba(width=0.0625) | dict(features="vgg", sequence="none")
    config.charset.layout = "cr_attention"
    config.charset.max_length = 5
mesh = sharding.make_mesh()
prepared = train.prepare(config)
batch = example_batch(config, prepared.objective.streams, prepared.reader.spec, prepared.reader.charset)
state, tx, _ = train.make_state(config, prepared.objective, batch, mesh)
step = make_train_step(prepared.objective, tx, mesh)
losses, norms = [], []
for _ in range(3):
    state, metrics = step(state, sharding.put_batch(batch, mesh))
    losses.append(float(metrics["loss"][0]))
    norms.append(float(metrics["grad_norm"][0]))
statistics = [float(x.mean()) for x in jax.tree.leaves(state.model_state)]
print(json.dumps({"devices": mesh.size, "losses": losses, "grad_norm": norms[0], "statistics": statistics}))
