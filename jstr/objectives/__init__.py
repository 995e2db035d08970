"""Training methods, one per file: jstr.objectives.NAME holds STREAMS, REQUIRES and `make(...) -> Objective`."""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType

from jstr.core import InputError


def find_objective(name: str) -> ModuleType:
    """The module of an objective. Raises InputError when there is none of that name."""
    names = sorted(m.name for m in pkgutil.iter_modules(__path__))
    if name not in names:
        raise InputError(f"unknown objective {name!r}; choose one of {', '.join(names)}")
    return importlib.import_module(f"jstr.objectives.{name}")
