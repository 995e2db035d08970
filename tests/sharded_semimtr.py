"""Loss and gradient of semimtr and three heads with the batch on one device and split over all, as JSON.

Prints the largest differences. Started by test_semimtr.py with several fake devices.
"""

import json
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parent)]

import jax
import numpy as np
from testing import quick_jit
from toy import HEADED, Headed, toy_words

from jstr.objectives import semimtr
from jstr.parallel import sharding

model = Headed(dropout=0.2)
rows = toy_words(HEADED, unlabelled=8, hidden=True)["unlabelled"]
objective = semimtr.Method(model, HEADED).objective()
params, model_state = quick_jit(objective.init)(jax.random.key(0), {"mixed": rows})


def value(params, batch):
    return objective.loss(params, model_state, None, batch, jax.random.key(1), 0)


step = quick_jit(jax.value_and_grad(value, has_aux=True))
(one, (_, alone)), gradient = step(params, jax.device_put({"mixed": rows}, jax.devices()[0]))
mesh = sharding.make_mesh()
split = sharding.put_batch({"mixed": rows}, mesh)
(many, (_, together)), gradients = step(jax.device_put(params, sharding.replicated(mesh)), split)


def difference(a, b):
    """The largest difference of two trees, relative to the largest value of all."""
    pairs = [(np.asarray(x), np.asarray(y)) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)]
    return max(float(np.abs(x - y).max()) for x, y in pairs) / max(float(np.abs(x).max()) for x, _ in pairs)


shards = len({s.device for s in jax.tree.leaves(split)[0].addressable_shards})
found = {"loss": abs(float(one) / float(many) - 1), "metrics": difference(alone, together)}
print(json.dumps({"devices": shards, **found, "gradient": difference(gradient, gradients)}))
