"""Weights of other runs as a start: config.init_from and the teachers of other runs."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from typing import NamedTuple

import jax
import numpy as np
from flax import traverse_util

from jstr.checkpoints.checkpoint import load_variables
from jstr.core import ModelState, Params, is_under
from jstr.text.messages import InputError, first_few

Row = tuple[str, str | os.PathLike, str]  # (to prefix, workdir or packed file, from prefix)


class OtherClasses(NamedTuple):
    """What is known of a run with other characters, whose head cannot be used as a whole.

    axes: parameter of this run's model -> its axis of classes. here, there: what the classes stand for, by number, in
    this run and in that one; () where nothing of such a parameter can be used.
    """

    axes: Mapping[str, int]
    here: Sequence[Hashable] = ()
    there: Sequence[Hashable] = ()

    @property
    def known(self) -> tuple[np.ndarray, np.ndarray]:
        """Numbers here and there of the classes that both have."""
        place = {what: number for number, what in enumerate(self.there)}
        both = [(number, place[what]) for number, what in enumerate(self.here) if what in place]
        return tuple(np.array(both, int).reshape(-1, 2).T)

    def line(self, workdir: str) -> str:
        """How many characters keep what was learned of them."""
        kept = sum(isinstance(self.here[number], str) for number in self.known[0])
        counts = [sum(isinstance(what, str) for what in side) for side in (self.here, self.there)]
        return (
            f"characters: {kept:,} of {workdir} keep what it learned of them, {counts[0] - kept:,} start fresh, "
            f"{counts[1] - kept:,} are left out"
        )


def init_from(
    params: Params,
    model_state: ModelState,
    rows: Iterable[Row],
    allow_missing: Collection[str] = (),
    other_characters: Mapping[str, OtherClasses] | None = None,
    load: Callable[[str | os.PathLike], dict] = load_variables,
) -> tuple[Params, ModelState, list[str]]:
    """Replaces parameters by those of other runs.

    rows: (to prefix, workdir, from prefix), such as ("model", "runs/a", "model"). Batch statistics follow the
    parameters of "model". Every parameter must be found in a row, with its shape; under the prefixes of
    `allow_missing` what cannot be used starts fresh.
    other_characters: of workdirs whose characters are not those of this run: their heads cannot be used as a whole,
    whatever their shape, but classes that both runs have keep their weights. load: returns {"params", "model_state"} of
    a workdir.

    Returns:
      params, model_state, and lines that say what was loaded and what was not.

    Raises:
      InputError: lists the parameters that are missing on either side, differ in shape, or have no row; or nothing of
        a row can be used.
    """
    flat = traverse_util.flatten_dict({"params": params, "model_state": model_state}, sep="/")
    excused = [prefix for p in allow_missing for prefix in (f"params/{p}", _statistics(p))]
    fresh, lines = set(flat), []
    for to, workdir, source in rows:
        saved = traverse_util.flatten_dict(load(workdir), sep="/")
        foreign = (other_characters or {}).get(str(workdir), OtherClasses({}))
        filled = set()
        for a, b in ((f"params/{to}", f"params/{source}"), (_statistics(to), _statistics(source))):
            filled |= _copy(flat, saved, a, b, str(workdir), excused, foreign)
        fresh -= filled
        lines.append(f"{to} starts from {source} of {workdir}")
        if any(f"params/{name}" in filled for name in foreign.axes):
            lines.append(foreign.line(str(workdir)))
    fresh = {name.removeprefix("params/") for name in fresh if name.startswith("params/")}
    unnamed = sorted(name for name in fresh if not is_under(name, allow_missing))
    if unnamed:
        raise InputError(
            f"init_from has no row for {first_few(unnamed, 8, '; ')}; add one, or name the prefix in init_allow_missing"
        )
    if fresh:
        names = [name.removeprefix("params/") for name in flat if name.startswith("params/")]
        lines.append(f"not loaded, starts fresh: {', '.join(_modules(fresh, names))}")
    new = traverse_util.unflatten_dict(flat, sep="/")
    return new["params"], new.get("model_state", {}), lines


def _statistics(prefix: str) -> str:
    return "model_state/batch_stats" + prefix.removeprefix("model")


def _copy(
    flat: dict, saved: dict, to: str, source: str, workdir: str, excused: list[str], foreign: OtherClasses
) -> set[str]:
    """Copies what lies under a prefix into `flat`; returns the names that it filled."""
    wanted = [name for name in flat if is_under(name, [to])]
    problems, refused, filled = [], [], set()
    for name in wanted:
        other = source + name.removeprefix(to)
        if other not in saved:
            problem = "is not there"
        elif (axis := foreign.axes.get(name.removeprefix("params/"))) is not None:
            grown = _grown(flat[name], saved[other], axis, foreign)
            if grown is not None:
                flat[name] = grown
                filled.add(name)
                continue
            problem = "belongs to other characters there"
        elif saved[other].shape != flat[name].shape:
            problem = f"has shape {flat[name].shape}, there {saved[other].shape}"
        else:
            flat[name] = jax.numpy.asarray(saved[other], flat[name].dtype)
            filled.add(name)
            continue
        if not is_under(name, excused):
            problems.append(f"{name.removeprefix('params/')} {problem}")
            refused.append(name.removeprefix("params/"))
    for name in saved:
        here = to + name.removeprefix(source)
        if name.startswith(source + "/") and here not in flat and not is_under(here, excused):
            problems.append(f"{name.removeprefix('params/')} has no place here")
    if problems:
        raise InputError(f"init_from {workdir}: {first_few(problems, 8, '; ')}{_advice(refused)}")
    if not wanted and not to.startswith("model_state"):
        raise InputError(f"init_from {workdir}: no parameter is called {to.removeprefix('params/')}")
    if not filled and not to.startswith("model_state"):
        names = source.removeprefix("params/"), to.removeprefix("params/")
        raise InputError(
            f"init_from {workdir}: nothing under {names[0]} fits {names[1]}; give a run of the same network"
        )
    return filled


def _grown(own: jax.Array, saved: jax.Array, axis: int, classes: OtherClasses) -> jax.Array | None:
    """`own` with what `saved` has of the classes that both know; None where they know none in common, or do not fit."""
    lengths = own.shape[axis], saved.shape[axis]
    rest = [shape[:axis] + shape[axis + 1 :] for shape in (own.shape, saved.shape)]
    here, there = classes.known
    if lengths != (len(classes.here), len(classes.there)) or rest[0] != rest[1]:
        return None
    if not any(isinstance(classes.here[number], str) for number in here):
        return None
    result = np.moveaxis(np.array(own), axis, 0)
    result[here] = np.moveaxis(np.asarray(saved), axis, 0)[there]
    return jax.numpy.asarray(np.moveaxis(result, 0, axis), own.dtype)


def _advice(refused: list[str]) -> str:
    """How to go on without parameters that cannot be used, such as the head of another charset."""
    parts = sorted({"/".join(name.split("/")[:2]) for name in refused if name.startswith("model/")})
    if not parts:
        return ""
    quoted = ",".join(f"'{part}'" for part in parts)
    return f"; to start them fresh and load the rest: --config.init_allow_missing=({quoted},)"


def _modules(chosen: set[str], names: list[str]) -> list[str]:
    """`chosen` of all parameter `names`, where all below a module are chosen as that module: "model/decoder"."""
    found = set()
    for name in chosen:
        parts = name.split("/")
        prefixes = ("/".join(parts[:depth]) for depth in range(2, len(parts) + 1))
        found.add(next(p for p in prefixes if all(n in chosen for n in names if is_under(n, [p]))))
    return sorted(found)
