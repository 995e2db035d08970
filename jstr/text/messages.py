"""Errors of the user, the checks that raise them, and small pieces of messages. No jax here: commands start with it."""

from __future__ import annotations

import contextlib
import difflib
import errno
import math
import os
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
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


def first_line(error: BaseException) -> str:
    """The first line of what an exception of a library says, of at most 200 characters; without one, its type."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]


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


FULL_OR_READ_ONLY = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


def disk_problem(error: BaseException | None) -> str | None:
    """What an exception says about a disk that is full or read-only, whichever library raised it; None for others."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        for number in FULL_OR_READ_ONLY:
            if getattr(error, "errno", None) == number or os.strerror(number) in str(error):
                return os.strerror(number)
        error = error.__cause__ or error.__context__
    return None


@contextlib.contextmanager
def writing(what: str, folder: str | os.PathLike) -> Iterator[None]:
    """A context in which an error of the disk becomes an InputError: full, read-only, or a file of `folder` refused.

    what: how the user named the place ("--workdir=DIR").
    """
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        problem = disk_problem(error)
        if isinstance(error, OSError) and str(error.filename).startswith(os.fspath(folder)):
            problem = error.strerror
        if problem is None:
            raise
        raise InputError(f"{what} cannot be written: {problem}; fix that and run the same command again") from error


def is_number(value: Any) -> bool:
    """Whether `value` is a finite int or float; booleans are none."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def are_numbers(values: Any, count: int | None = None) -> bool:
    """Whether `values` is a sequence of finite numbers, `count` of them."""
    fits = isinstance(values, Sequence) and not isinstance(values, str) and len(values) == (count or len(values))
    return fits and all(map(is_number, values))


def escape(field: str) -> str:
    """`field` without what would break a line of a tab-separated UTF-8 file; `unescape` is the inverse.

    Backslashes, control characters, Unicode's line ends and surrogates (bytes of file names that are not UTF-8) become
    Python's escapes, such as \\t.
    """
    return _BREAKS_LINES.sub(lambda match: match[0].encode("unicode_escape").decode(), field)


def unescape(field: str) -> str:
    """What `escape` was given. Any other backslash is left alone."""
    return _ESCAPES.sub(lambda match: match[0].encode().decode("unicode_escape"), field)


_BREAKS_LINES = re.compile(r"[\\\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_ESCAPES = re.compile(r"\\(?:[\\tnr]|x[0-9a-f]{2}|u[0-9a-f]{4})")
