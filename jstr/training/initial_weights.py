"""Weights of other runs and the teacher, where the config names them: at step 0, and averaged at the end."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util
from jax.sharding import Mesh

from jstr.checkpoints.init_from import OtherClasses, Row, init_from
from jstr.core import Array, Config, ModelState, Params, TrainState, Variables
from jstr.inference.reader import Reader, make_charset
from jstr.interop import weights
from jstr.models import example_input
from jstr.parallel import distributed, sharding
from jstr.text import Charset, literal
from jstr.text.messages import InputError
from jstr.training import ema_teacher

START = "start.npz"


def with_other_weights(config: Config, state: TrainState) -> tuple[TrainState, list[str]]:
    """The state with the weights that config.init_from names and with its teacher, and lines that say so.

    Raises:
      InputError: weights that do not fit.
    """
    lines = []
    if config.init_from:
        (params, model_state), lines = _from_others(config, state.params, state.model_state)
        state = state.replace(params=params, model_state=model_state)
    if config.teacher:
        rows = (("model", config.teacher.workdir, "model"),) if config.teacher.get("workdir") else ()
        state, more = ema_teacher.start(config, state, other_characters(config, rows))
        lines += more
    return state, lines


def share_of_start(config: Config, images: int, sure: float) -> float:
    """The share of the start's weights in the average, from config.average_with_start.

    images: how many were learned. With config.average_below the share falls with them, to 0 at that many: few images
      are soon known by heart, and what the start knew of others would be lost.
    sure: the share of them that the start reads with confidence. With config.average_as_sure the share is multiplied by
      it: of images that it hardly reads the start knows little.
    """
    most = config.average_below
    few = max(0.0, 1 - images / most) if most else 1.0
    return config.average_with_start * few * (sure if config.average_as_sure else 1.0)


def keep_start(config: Config, state: TrainState, workdir: str) -> None:
    """Writes workdir/start.npz, what config.init_from gives, for `average_with_start`: it may be gone by then."""
    if config.average_with_start and distributed.is_lead_host():
        start = _start_alone(config, (state.params, state.model_state))
        leaves = jax.tree_util.tree_leaves_with_path(start)
        named: dict[str, Any] = {jax.tree_util.keystr(path): np.asarray(x) for path, x in leaves}
        np.savez(Path(workdir) / START, **named)


def average_with_start(
    config: Config, state: TrainState, workdir: str, mesh: Mesh, images: int, sure: float
) -> TrainState:
    """The state with config.average_with_start of the weights that the run began with and the rest of its own.

    A teacher that is a moving average is averaged as well: it reads the texts of rounds, and draws the student.
    images, sure: how many were learned, and the share that was read surely, see share_of_start. What started fresh
    stays as it is. Between two solutions that share a start, the average is often better than both and keeps more of
    what the start knew: WiSE-FT (Wortsman et al. 2022), equation 1.
    """
    share = share_of_start(config, images, sure)
    if not share:
        return state
    why = f", {images:,} images learned" * bool(config.average_below)
    why += f", {sure:.0%} of the images read surely" * bool(config.average_as_sure)
    print(f"{share:.0%} of the weights are those of the start{why}", flush=True)
    here = sharding.to_local_device((state.params, state.model_state), mesh)

    def average(own: Array, first: Array) -> Array:
        return jnp.where(jnp.isnan(first), own, (1 - share) * own + share * first)

    start = _start_of(config, here, workdir)
    params, model_state = jax.tree.map(average, here, start)
    new = state.replace(params=params, model_state=model_state)
    if ema_teacher.is_moving(config):
        teacher = sharding.to_local_device(state.teacher, mesh)
        first = {name: start[0][name] for name in teacher[0]}, start[1]
        new = new.replace(teacher=jax.tree.map(average, teacher, first))
    return jax.device_put(new, sharding.layout(new, mesh))


def _start_of(config: Config, variables: Variables, workdir: str) -> Variables:
    """What a run began with, laid out like `variables`; NaN where it started fresh."""
    file = Path(workdir) / START
    if not file.is_file():  # the run began without averaging
        return _start_alone(config, variables)
    with np.load(file) as kept:
        return jax.tree_util.tree_map_with_path(lambda path, _: kept[jax.tree_util.keystr(path)], variables)


def _start_alone(config: Config, variables: Variables) -> Variables:
    """What config.init_from gives, laid out like `variables`; NaN where it gives nothing."""
    return _from_others(config, *jax.tree.map(lambda x: np.full(x.shape, np.nan, x.dtype), variables))[0]


def _from_others(config: Config, params: Params, model_state: ModelState) -> tuple[Variables, list[str]]:
    """(params, model_state) with the weights that config.init_from names, and lines that say so."""
    foreign = other_characters(config, config.init_from, functools.partial(weights.read_meta, whole=True))
    load = functools.partial(weights.load_reading, whole=True)
    params, model_state, lines = init_from(
        params, model_state, config.init_from, config.init_allow_missing, foreign, load
    )
    return (params, model_state), lines


def other_characters(
    config: Config, rows: Iterable[Row], read_meta: Callable[..., dict] | None = None
) -> dict[str, OtherClasses]:
    """workdir -> what belongs to characters, of the runs that have other characters.

    A charset of as many other characters gives a head of the same shape, which would read them wrongly.
    read_meta: of a workdir, if classes that both runs have may be used; None: nothing of such heads may.
    """
    own, found = make_charset(config.charset), {}
    for _, workdir, _ in rows:
        try:
            theirs = (read_meta or weights.read_meta)(workdir)["config"]
            other = make_charset(theirs["charset"])
        except InputError:  # an old run, whose file of characters is gone: shapes must do
            continue
        sides = _classes(own, config.model), _classes(other, theirs.get("model") or {})
        if (sides[0], own.layout) != (sides[1], other.layout):
            use = read_meta is not None and own.layout == other.layout
            found[str(workdir)] = OtherClasses(_sized_by_characters(config), *(sides if use else ()))
    return found


def _classes(charset: Charset, model: Mapping[str, Any]) -> list[int | str]:
    """What the classes of a recogniser stand for: special tokens by number, characters; the space that is a blank."""
    space = [" "] * bool(model.get("space_as_blank"))
    return [*range(charset.layout.first_id), *charset.characters, *space]


def _sized_by_characters(config: Config) -> dict[str, int]:
    """The parameters whose shapes depend on the number of characters, and the axis that does."""
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
    pairs = {name: (shape, shapes[1].get(name, ())) for name, shape in shapes[0].items()}
    return {
        name: next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), 0)
        for name, (a, b) in pairs.items()
        if a != b
    }
