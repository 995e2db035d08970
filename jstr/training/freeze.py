"""Parts of a model that hold still: frozen ones, and those that run in evaluation mode while they learn."""

from __future__ import annotations

from collections.abc import Iterable

import jax
from flax import linen as nn
from flax import traverse_util

from jstr.core import Objective, is_under


def freeze(objective: Objective, prefixes: Iterable[str], still: Iterable[str] = ()) -> Objective:
    """The objective with the parameters under `prefixes` ("model/extractor") held fixed.

    Gradients of frozen parameters are not computed. A frozen part of the model also runs with train=False: its batch
    norm neither uses nor updates batch statistics, and it has no dropout. still: prefixes of parts that learn, but
    run with train=False, too.
    """
    prefixes, still = tuple(prefixes), (*prefixes, *still)
    if not still:
        return objective

    def evaluate(call, args, kwargs, context):
        if "train" in kwargs and is_under("/".join(("model", *context.module.path)), still):
            kwargs = kwargs | {"train": False}
        return call(*args, **kwargs)

    def loss(params, *rest):
        flat = traverse_util.flatten_dict(params, sep="/")
        flat = {name: jax.lax.stop_gradient(x) if is_under(name, prefixes) else x for name, x in flat.items()}
        with nn.intercept_methods(evaluate):
            return objective.loss(traverse_util.unflatten_dict(flat, sep="/"), *rest)

    return objective._replace(loss=loss)
