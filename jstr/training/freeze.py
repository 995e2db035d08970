"""Parts of a model that do not learn: their parameters get no gradient, and they run as in evaluation."""

from __future__ import annotations

from collections.abc import Iterable

import jax
from flax import linen as nn
from flax import traverse_util

from jstr.core import Objective


def freeze(objective: Objective, prefixes: Iterable[str]) -> Objective:
    """The objective with the parameters under `prefixes` ("model/extractor") held fixed.

    Nothing is computed for a gradient that would not be used. A frozen part of the model also runs with train=False:
    its batch norm neither uses nor moves the statistics of the batch, and it drops nothing out.
    """
    prefixes = tuple(p.rstrip("/") for p in prefixes)
    if not prefixes:
        return objective

    def frozen(name: str) -> bool:
        return any(name == p or name.startswith(p + "/") for p in prefixes)

    def evaluate(call, args, kwargs, context):
        if "train" in kwargs and frozen("/".join(("model", *context.module.path))):
            kwargs = kwargs | {"train": False}
        return call(*args, **kwargs)

    def loss(params, *rest):
        flat = traverse_util.flatten_dict(params, sep="/")
        flat = {name: jax.lax.stop_gradient(x) if frozen(name) else x for name, x in flat.items()}
        with nn.intercept_methods(evaluate):
            return objective.loss(traverse_util.unflatten_dict(flat, sep="/"), *rest)

    return objective._replace(loss=loss)
