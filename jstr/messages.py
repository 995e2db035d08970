"""Errors of the user, the checks that raise them, and small pieces of messages. No jax here: commands start with it."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Sequence
from typing import Any


class InputError(ValueError):
    """Something the user gave is wrong. The message is one line: what, where, and what to do.

    The command-line tools print it on stderr, without a traceback, and exit with status 2.
    """


class NonFinite(RuntimeError):
    """Loss or gradient stopped being a number. The message names step, samples and last good checkpoint."""


def duration(seconds: float) -> str:
    """12 s, 3 min 20 s, 2 h 5 min; `?` when unknown."""
    if seconds != seconds or seconds == float("inf"):
        return "?"
    seconds = int(seconds)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60} min"


def first_few(items: Sequence[str], count: int = 5, separator: str = ", ") -> str:
    """The first `count` of `items`, and how many there are in all if that is not all of them."""
    more = f"{separator}... ({len(items):,} in all)" if len(items) > count else ""
    return separator.join(items[:count]) + more


def check_choice(name: str, value: Any, choices: Collection[Any]) -> None:
    """Raises InputError unless `value` is one of `choices`. name: where the user gave it, such as "config.seed"."""
    if value not in choices:
        raise InputError(f"{name}={value!r}: choose one of {', '.join(map(str, choices))}")


def check_known(name: str, given: Iterable[str], known: Collection[str]) -> None:
    """Raises InputError when `given` has a key that is not `known`. name: what has them ("config.teacher")."""
    unknown = sorted(set(given) - set(known))
    if unknown:
        near = difflib.get_close_matches(unknown[0], known, 1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        raise InputError(f"{name} has no {', '.join(unknown)}{hint}; it takes {', '.join(known) or 'nothing'}")


def check_probability(name: str, value: float) -> None:
    """Raises InputError unless `value` is in 0..1. name: as for `check_choice`."""
    if not 0 <= value <= 1:
        raise InputError(f"{name}={value} is a probability, from 0 to 1")


def check_at_least(name: str, value: float, least: float) -> None:
    """Raises InputError unless `value` is a number of at least `least`. name: as for `check_choice`."""
    if not value >= least:
        raise InputError(f"{name}={value} must be at least {least}")
