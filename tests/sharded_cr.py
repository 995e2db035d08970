"""Loss and gradient of cr_str with its batch on one device and split over all; prints the largest differences as JSON.

Started by test_cr.py with several fake devices.
"""

import json
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parent)]

import jax
import numpy as np
from testing import quick_jit
from toy import ATTENTION, FACTS, Toy, ToyAttention, toy_words

from jstr.objectives import cr_str
from jstr.parallel import sharding

model, facts = (ToyAttention(), ATTENTION) if sys.argv[1] == "attention" else (Toy(), FACTS)
batch = toy_words(facts, labelled=16, unlabelled=8)
# Thresholds amid what words reach in untrained networks of twice the usual weights, so that some count and some do not.
threshold = 0.1 if sys.argv[1] == "attention" else 1e-7
objective = cr_str.Method(model, facts, threshold=threshold, coral_threshold=threshold / 100).objective()
init = quick_jit(objective.init)
(params, model_state), teacher = (jax.tree.map(lambda x: 2 * x, init(jax.random.PRNGKey(s), batch)) for s in (8, 58))


def value(params, batch):
    return objective.loss(params, model_state, teacher, batch, jax.random.PRNGKey(1), 0)


step = quick_jit(jax.value_and_grad(value, has_aux=True))
(one, (_, alone)), gradient = step(params, jax.device_put(batch, jax.devices()[0]))
mesh = sharding.make_mesh()
split = sharding.put_batch(batch, mesh)
(many, (_, together)), gradients = step(jax.device_put(params, sharding.replicated(mesh)), split)


def difference(a, b):
    """The largest difference of two trees, relative to the largest value of each leaf, if that is above 1e-6."""
    pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    return max(float(np.abs(x - y).max() / (np.abs(x).max() + 1e-6)) for x, y in map(jax.device_get, pairs))


shards = len({s.device for s in jax.tree.leaves(split)[0].addressable_shards})
found = {name: float(alone[name][0]) for name in ("confident", "consistency", "coral", "confidence")}
differences = {"loss": abs(float(one) - float(many)), "metrics": difference(alone, together)}
print(json.dumps({"devices": shards} | found | differences | {"gradient": difference(gradient, gradients)}))
