"""Parts of a model that are held still: frozen ones, and those that run in evaluation mode while they learn."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
from flax import linen as nn
from flax import traverse_util

from jstr.core import Objective
from jstr.training.optimizer import rule_of


def freeze(objective: Objective, rules: Mapping[str, Mapping[str, Any]]) -> Objective:
    """The objective with the parts held still that config.optimizer.rules name by their parameter prefix.

    `frozen`: gradients of these parameters are not computed, and that part of the model runs with train=False: its
    batch norm neither uses nor updates batch statistics, and it has no dropout. `fixed_statistics`: the part learns,
    but runs with train=False, too. The longest prefix wins, so that a part of a frozen one may learn.
    """
    if not any(_still(rule) for rule in rules.values()):
        return objective

    def loss(params, *rest):
        flat = traverse_util.flatten_dict(params, sep="/")
        frozen = {name: rule_of(name, rules).get("frozen") for name in flat}
        flat = {name: jax.lax.stop_gradient(x) if frozen[name] else x for name, x in flat.items()}
        with nn.intercept_methods(_evaluate(rules)):
            return objective.loss(traverse_util.unflatten_dict(flat, sep="/"), *rest)

    return objective._replace(loss=loss)


def _still(rule: Mapping[str, Any]) -> bool:
    return bool(rule.get("frozen") or rule.get("fixed_statistics"))


def _evaluate(rules: Mapping[str, Mapping[str, Any]]):
    """An interceptor of Linen's methods under which the parts that hold still run with train=False."""
    asked: list[bool] = []  # for each call that is under way and was changed: whether parts in it may train

    def call_still(call, args, kwargs, context):
        module = context.module
        if module.scope is None:  # while a module is made it has no place yet
            return call(*args, **kwargs)
        still = _still(rule_of("/".join(("model", *module.path)), rules))
        if isinstance(module, nn.BatchNorm) and (still or (asked and asked[-1])):  # told when it is made, by its parent
            object.__setattr__(module, "use_running_average", still)
        change = "train" in kwargs and (kwargs["train"] if still else bool(asked and asked[-1]))
        if not change:
            return call(*args, **kwargs)
        asked.append(still)
        try:
            return call(*args, **kwargs | {"train": not still})
        finally:
            asked.pop()

    return call_still
