"""Config to optimiser: schedules, global-norm clipping, and rules by parameter prefix."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import traverse_util

from jstr.core import Config, Params, is_under
from jstr.text.messages import InputError, check_at_least, check_choice


def _check_share(name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise InputError(f"{name}={value} is a share of all steps; give a number from 0 to 1")


def one_cycle(
    peak: float, steps: int, *, warmup: float = 0.3, start_div: float = 20.0, end_div: float = 20_000.0
) -> optax.Schedule:
    """Cosine up to `peak` at step `warmup * steps - 1`, cosine down to peak / end_div at the last step.

    Smith and Topin 2019, as torch.optim.lr_scheduler.OneCycleLR has it with the defaults of STR-Fewer-Labels.
    """
    _check_share("warmup", warmup)
    start, end = peak / start_div, peak / end_div
    top, last = max(warmup * steps - 1, 1e-9), max(steps - 1, 1)

    def cosine(a, b, fraction):
        return b + (a - b) / 2 * (1 + jnp.cos(jnp.pi * jnp.clip(fraction, 0, 1)))

    def schedule(step):
        up = cosine(start, peak, step / top)
        down = cosine(peak, end, (step - top) / max(last - top, 1e-9))
        return jnp.where(step <= top, up, down)

    return schedule


def warmup_cosine(peak: float, steps: int, *, warmup: float = 0.05) -> optax.Schedule:
    """Linear from 0 to `peak` over `warmup * steps` steps, then cosine to 0."""
    _check_share("warmup", warmup)
    return optax.warmup_cosine_decay_schedule(0.0, peak, max(int(warmup * steps), 1), steps)


def warmup_stable_decay(peak: float, steps: int, *, warmup_steps: int = 500, decay: float = 0.3) -> optax.Schedule:
    """Linear from 0 to `peak` over `warmup_steps`, then `peak`, then linear to 0 over the last `decay * steps` steps.

    Before the decay it does not depend on `steps`, so a checkpoint from there may continue as part of a longer run
    (Hägele et al. 2024).
    """
    check_at_least("warmup_steps", warmup_steps, 0)
    _check_share("decay", decay)
    start = max(round((1 - decay) * steps), warmup_steps)
    first = peak if warmup_steps == 0 else 0.0
    parts = [(first, peak, max(warmup_steps, 1)), (peak, 0.0, max(steps - start, 1))]
    return optax.join_schedules([optax.linear_schedule(*part) for part in parts], [start])


def constant(peak: float, steps: int) -> optax.Schedule:
    """`peak` at every step."""
    return lambda step: jnp.full_like(jnp.asarray(step, jnp.float32), peak)


def multi_step(
    peak: float, steps: int, *, drops: tuple[float, ...] = (0.6, 0.8), factor: float = 0.1
) -> optax.Schedule:
    """`peak`, multiplied by `factor` at each of these shares of the steps (ABINet, SemiMTR)."""
    return optax.piecewise_constant_schedule(peak, {round(drop * steps): factor for drop in drops})


SCHEDULES = {
    "one_cycle": one_cycle,
    "warmup_cosine": warmup_cosine,
    "warmup_stable_decay": warmup_stable_decay,
    "constant": constant,
    "multi_step": multi_step,
}
RULES = ("lr", "weight_decay", "frozen", "fixed_statistics")
# Each turns the gradient into a direction; learning rate and weight decay are applied afterwards.
OPTIMIZERS = {"adam": optax.scale_by_adam, "adamw": optax.scale_by_adam, "adadelta": optax.scale_by_adadelta}


def make_schedule(config: Config, steps: int) -> optax.Schedule:
    """Learning rate by step. config: name, peak and the keyword arguments of that schedule.

    Raises:
      InputError: an unknown name or option, or an option with an invalid value.
    """
    options = dict(config)
    name = options.pop("name")
    check_choice("config.optimizer.schedule.name", name, SCHEDULES)
    return _call(SCHEDULES[name], "config.optimizer.schedule", options.pop("peak"), steps, **options)


def make_optimizer(config: Config, steps: int, params: Params) -> tuple[optax.GradientTransformation, optax.Schedule]:
    """(optax transformation, learning-rate schedule) from config.optimizer.

    `rules` maps a parameter prefix ("model/extractor") to any of: `lr` (multiplier), `weight_decay` (instead of the
    global one), `frozen`, `fixed_statistics` (see freeze). `l2` is a penalty within the gradient, as torch's Adam has
    it, on all parameters but biases and scales. The longest matching prefix wins.

    Raises:
      InputError: an unknown name or option, or a prefix that matches no parameter.
    """
    check_choice("config.optimizer.name", config.name, OPTIMIZERS)
    schedule = make_schedule(config.schedule, steps)
    rules = _rules_by_leaf(config.get("rules", {}), params)
    scale = jax.tree.map(lambda r: 0.0 if r.get("frozen") else r.get("lr", 1.0), rules, is_leaf=_is_rule)
    decay = jax.tree.map(lambda r: r.get("weight_decay", config.weight_decay), rules, is_leaf=_is_rule)
    direction = _call(OPTIMIZERS[config.name], "config.optimizer.options", **dict(config.get("options", {})))
    chain = [
        _by_leaf(jax.tree.map(lambda s: float(s != 0), scale)),  # a frozen gradient takes no part in the norm
        optax.clip_by_global_norm(config.clip_norm) if config.clip_norm else optax.identity(),
        _add_decay(_l2(params, config.get("l2", 0.0))),
        direction,
        _add_decay(decay),
        _by_leaf(scale),
        optax.scale_by_learning_rate(schedule),
    ]
    return optax.chain(*chain), schedule


def _l2(params: Params, amount: float):
    """`amount` at every leaf but biases ("bias", "classifier_bias") and the scales of norms, where it is 0."""
    flat = traverse_util.flatten_dict(params)
    return traverse_util.unflatten_dict({k: 0.0 if k[-1].endswith(("bias", "scale")) else amount for k in flat})


def rule_of(path: str, rules: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Any]:
    """The rule of a parameter or a part of the model ("model/decoder"): that of the longest prefix; {} without one."""
    matching = [prefix for prefix in rules if is_under(path, [prefix])]
    return rules[max(matching, key=len)] if matching else {}


def _call(function, where: str, *args, **options):
    try:
        return function(*args, **options)
    except (TypeError, ValueError) as error:
        raise InputError(f"{where}: {error}") from error


def _is_rule(x) -> bool:
    return isinstance(x, dict) and "_rule" in x


def _rules_by_leaf(rules, params: Params):
    """The tree of params with a dict (the winning rule) at every leaf."""
    flat = traverse_util.flatten_dict(params, sep="/")
    rules = {prefix: dict(rule) for prefix, rule in dict(rules).items()}
    for prefix, rule in rules.items():
        unknown = set(rule) - set(RULES)
        if unknown:
            raise InputError(f"optimizer rule {prefix!r}: unknown {sorted(unknown)}; use {', '.join(RULES)}")
        if not any(is_under(name, [prefix]) for name in flat):
            groups = sorted({"/".join(name.split("/")[:2]) for name in flat})
            raise InputError(f"optimizer rule {prefix!r} matches no parameter; there are {', '.join(groups)}")
    return traverse_util.unflatten_dict({name: {"_rule": True, **rule_of(name, rules)} for name in flat}, sep="/")


def _by_leaf(scale) -> optax.GradientTransformation:
    if all(s == 1.0 for s in jax.tree.leaves(scale)):
        return optax.identity()
    return optax.stateless(lambda updates, _: jax.tree.map(lambda u, s: u * s, updates, scale))


def _add_decay(decay) -> optax.GradientTransformation:
    if not any(jax.tree.leaves(decay)):
        return optax.identity()
    return optax.stateless(lambda updates, params: jax.tree.map(lambda u, p, d: u + d * p, updates, params, decay))
