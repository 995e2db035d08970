"""The check of operations that a config names."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from jstr.core import InputError
from jstr.messages import check_known


def check_operations(
    where: str, kind: str, chosen: Mapping[str, Any], operations: Mapping[str, Callable], given: tuple[str, ...]
) -> None:
    """Raises InputError when `chosen` names an unknown operation or parameter.

    given: arguments of every operation that are no parameters.
    """
    for op, parameters in chosen.items():
        if op not in operations:
            raise InputError(f"{where}: unknown {kind} {op!r}; choose from {', '.join(operations)}")
        known = [name for name in inspect.signature(operations[op]).parameters if name not in given]
        check_known(f"{where}: {op}", parameters, known)
