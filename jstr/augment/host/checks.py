"""The check of operations and parameters that a config names."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from jstr.text.messages import InputError, are_numbers, check_known, is_number

# Parameters that are probabilities or shares, whatever operation has them.
SHARES = frozenset(
    "probability invert share per_channel geometry deterioration colour cutout clean insert delete alpha".split()
)


def check_operations(
    where: str,
    kind: str,
    chosen: Mapping[str, Any],
    operations: Mapping[str, Callable],
    given: tuple[str, ...],
    run: Callable[[str, Mapping[str, Any]], Any],
) -> None:
    """Raises InputError when `chosen` names an unknown operation or parameter, or gives one a value it cannot take.

    given: arguments of every operation that are no parameters. run: tries an operation with parameters.
    """
    if not hasattr(chosen, "items"):
        raise InputError(f"{where}={chosen!r}: give each {kind} with its parameters, such as {{'NAME': {{}}}}")
    for op, parameters in chosen.items():
        if op not in operations:
            raise InputError(f"{where}: unknown {kind} {op!r}; choose from {', '.join(operations)}")
        if not hasattr(parameters, "items"):
            raise InputError(f"{where}: {op}={parameters!r}; give its parameters, such as {{}} for the defaults")
        defaults = {n: p.default for n, p in inspect.signature(operations[op]).parameters.items() if n not in given}
        check_known(f"{where}: {op}", parameters, list(defaults))
        for name, value in parameters.items():
            _check_value(f"{where}: {op}.{name}", name, value, defaults[name])
        try:
            run(op, parameters)
        except Exception as error:  # whatever NumPy and OpenCV raise
            line = " ".join(str(error).split())
            raise InputError(f"{where}: {op} does not run with {dict(parameters)}: {line[:200]}") from error


def _check_value(where: str, name: str, value: Any, default: Any) -> None:
    """Raises InputError unless the value is of the kind of the default: a number, a whole one, a range or several."""
    if isinstance(default, tuple):
        count = 2 if len(default) == 2 else None
        good = are_numbers(value, count) and len(value) > 0 and (count is None or value[0] <= value[1])
        wanted = "(lowest, highest)" if count else "numbers"
        numbers = value
    else:
        good, wanted, numbers = is_number(value), "a number", (value,)
        if isinstance(default, int):
            good, wanted = good and value == int(value), "a whole number"
    if good and name in SHARES:
        good, wanted = min(numbers) >= 0 and max(numbers) <= 1, f"{wanted} from 0 to 1"
    elif good and min(default if isinstance(default, tuple) else (default,)) >= 0:
        good, wanted = min(numbers) >= 0, f"{wanted}, 0 or more"
    if not good:
        raise InputError(f"{where}={value!r}; give {wanted}")
