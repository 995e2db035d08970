"""Loss and gradient of an objective with its batch on one device and split over all; prints the differences as JSON.

python tests/sharded_objectives.py seqclr|seqclr_joint|byol|cr_str|cr_str_ctc|semimtr: started by
tests/objectives/test_sharded.py with several fake devices.
"""

import json
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parent)]

import jax
import numpy as np
from testing import quick_jit
from toy import ATTENTION, CTC, HEADED, Headed, Toy, ToyAttention, toy_views, toy_words

from jstr.objectives import byol, cr_str, semimtr, seqclr
from jstr.parallel import sharding


def padded_views(joint: bool = False):
    batch = toy_views(8, joint)
    (rows,) = batch.values()
    rows["view0_filled"] = rows["view1_filled"] = np.linspace(0.3, 1, len(rows["view0"]), dtype=np.float32)
    return batch


def consistent(model, model_config, threshold: float):
    """The threshold is amid what words reach in untrained networks of twice the usual weights: some words count."""
    options = dict(threshold=threshold, coral_threshold=threshold / 100)
    return cr_str.Method(model, model_config, **options), toy_words(model_config, labelled=16, unlabelled=8)


def variables_of(objective, batch):
    """(params, model state, teacher): twice the usual weights where there is a teacher, so that it is sure of words."""
    init, size = quick_jit(objective.init), 2 if objective.needs_teacher else 1
    student, teacher = (jax.tree.map(lambda x: size * x, init(jax.random.PRNGKey(s), batch)) for s in (8, 58))
    return *student, teacher if objective.needs_teacher else None


def difference(a, b) -> float:
    """The largest difference of two trees, relative to the largest value of all."""
    pairs = [(np.asarray(x), np.asarray(y)) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)]
    return max(float(np.abs(x - y).max()) for x, y in pairs) / max(float(np.abs(x).max()) for x, _ in pairs)


made = {
    "seqclr": lambda: (seqclr.Method(Toy(), CTC), padded_views()),
    "seqclr_joint": lambda: (seqclr.Method(Toy(), CTC, joint=True), padded_views(joint=True)),
    "byol": lambda: (byol.Method(Toy(), CTC, mapping="frame", hidden=7), padded_views()),
    "cr_str": lambda: consistent(ToyAttention(), ATTENTION, 0.1),
    "cr_str_ctc": lambda: consistent(Toy(), CTC, 1e-7),
    "semimtr": lambda: (
        semimtr.Method(Headed(dropout=0.2), HEADED),
        {"mixed": toy_words(HEADED, unlabelled=8, hidden=True)["unlabelled"]},
    ),
}
method, batch = made[sys.argv[1]]()
objective = method.objective()
params, model_state, teacher = variables_of(objective, batch)


def value(params, batch):
    return objective.loss(params, model_state, teacher, batch, jax.random.PRNGKey(1), 0)


step = quick_jit(jax.value_and_grad(value, has_aux=True))
(one, (_, alone)), gradient = step(params, jax.device_put(batch, jax.devices()[0]))
mesh = sharding.make_mesh()
split = sharding.put_batch(batch, mesh)
(many, (_, together)), gradients = step(jax.device_put(params, sharding.replicated(mesh)), split)
devices = len({s.device for s in jax.tree.leaves(split)[0].addressable_shards})
found = {
    "loss": abs(float(one) / float(many) - 1),
    "metrics": max(difference(alone[name][0], together[name][0]) for name in alone if alone[name][0]),
    "gradient": difference(gradient, gradients),
}
values = {name: float(total / count) for name, (total, count) in alone.items() if count}
print(json.dumps({"devices": devices, "differences": found, "values": values}))
