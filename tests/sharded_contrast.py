"""Loss and gradient of seqclr with its batch on one device and split over all; prints the largest differences as JSON.

Started by test_seqclr.py with several fake devices.
"""

import json
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parent)]

import jax
import numpy as np
from toy import FACTS, Toy, toy_views

from jstr.objectives import seqclr
from jstr.parallel import sharding

joint = sys.argv[1] == "joint"
objective, batch = seqclr.Method(Toy(), FACTS, joint=joint).objective(), toy_views(8, joint)
(rows,) = batch.values()
rows["view0_filled"] = rows["view1_filled"] = np.linspace(0.3, 1, len(rows["view0"]), dtype=np.float32)
params, model_state = jax.jit(objective.init)(jax.random.PRNGKey(0), batch)


def value(params, batch):
    return objective.loss(params, model_state, None, batch, jax.random.PRNGKey(1), 0)


step = jax.jit(jax.value_and_grad(value, has_aux=True))
(one, (_, alone)), gradient = step(params, jax.device_put(batch, jax.devices()[0]))
mesh = sharding.make_mesh()
split = sharding.put_batch(batch, mesh)
(many, (_, together)), gradients = step(jax.device_put(params, sharding.replicated(mesh)), split)


def difference(a, b):
    """The largest difference of two trees, relative to the largest value of each leaf."""
    pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    return max(float(np.abs(x - y).max() / (np.abs(x).max() + 1e-8)) for x, y in map(jax.device_get, pairs))


shards = len({s.device for s in jax.tree.leaves(split)[0].addressable_shards})
differences = {"loss": abs(float(one) - float(many)), "metrics": difference(alone, together)}
print(json.dumps({"devices": shards, "size": float(one)} | differences | {"gradient": difference(gradient, gradients)}))
