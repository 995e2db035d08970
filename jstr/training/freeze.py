"""Frozen parts of a model: their parameters get no gradient, and they run in evaluation mode."""

from __future__ import annotations

from collections.abc import Iterable

import jax
from flax import linen as nn
from flax import traverse_util

from jstr.core import Objective, is_under


def freeze(objective: Objective, prefixes: Iterable[str]) -> Objective:
    """The objective with the parameters under `prefixes` ("model/extractor") held fixed.

    Gradients of frozen parameters are not computed. A frozen part of the model also runs with train=False: its batch
    norm neither uses nor updates batch statistics, and it has no dropout.
    """
    prefixes = tuple(prefixes)
    if not prefixes:
        return objective

    def evaluate(call, args, kwargs, context):
        if "train" in kwargs and is_under("/".join(("model", *context.module.path)), prefixes):
            kwargs = kwargs | {"train": False}
        return call(*args, **kwargs)

    def loss(params, *rest):
        flat = traverse_util.flatten_dict(params, sep="/")
        flat = {name: jax.lax.stop_gradient(x) if is_under(name, prefixes) else x for name, x in flat.items()}
        with nn.intercept_methods(evaluate):
            return objective.loss(traverse_util.unflatten_dict(flat, sep="/"), *rest)

    return objective._replace(loss=loss)
