"""Step 0 of a run: weights of other runs and the teacher, where the config names them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import jax
from flax import traverse_util

from jstr.checkpoints.init_from import Row, init_from
from jstr.core import Config, TrainState
from jstr.inference.reader import Reader, make_charset
from jstr.interop import weights
from jstr.messages import InputError
from jstr.models import example_input
from jstr.text import literal
from jstr.training import ema_teacher


def with_other_weights(config: Config, state: TrainState) -> tuple[TrainState, list[str]]:
    """The state with the weights that config.init_from names and with its teacher, and lines that say so.

    Raises:
      InputError: weights that do not fit.
    """
    lines = []
    if config.init_from:
        foreign = other_characters(config, config.init_from)
        params, model_state, lines = init_from(
            state.params,
            state.model_state,
            config.init_from,
            config.init_allow_missing,
            foreign,
            weights.load_variables,
        )
        state = state.replace(params=params, model_state=model_state)
    if config.teacher:
        rows = (("model", config.teacher.workdir, "model"),) if config.teacher.get("workdir") else ()
        state, more = ema_teacher.start(config, state, other_characters(config, rows))
        lines += more
    return state, lines


def other_characters(config: Config, rows: Iterable[Row]) -> dict[str, set[str]]:
    """workdir -> parameters of this run's model that belong to characters, of the runs that have other characters.

    A charset of as many other characters gives a head of the same shape, which would read them wrongly.
    """
    own, found = make_charset(config.charset), {}
    for _, workdir, _ in rows:
        try:
            other = make_charset(weights.read_meta(workdir)["config"]["charset"])
        except InputError:  # an old run, whose file of characters is gone: shapes must do
            continue
        if (other.characters, other.layout) != (own.characters, own.layout):
            found[str(workdir)] = _sized_by_characters(config)
    return found


def _sized_by_characters(config: Config) -> set[str]:
    """The parameters whose shapes depend on the number of characters."""
    shapes, characters = [], make_charset(config.charset).characters
    another = next(chr(i) for i in range(0xE000, 0xF8FF) if chr(i) not in characters)  # for private use
    for some in (characters, characters + another):
        changed = config.to_dict()
        changed["charset"] = {**changed["charset"], "characters": literal(some)}
        changed.pop("language_model", None)
        model = Reader(changed).model
        init = jax.eval_shape(lambda x, m=model: m.init(jax.random.PRNGKey(0), x, train=False), example_input(model))
        flat: dict[str, Any] = traverse_util.flatten_dict({"model": init["params"]}, sep="/")
        shapes.append({name: leaf.shape for name, leaf in flat.items()})
    return {name for name, shape in shapes[0].items() if shapes[1].get(name) != shape}
