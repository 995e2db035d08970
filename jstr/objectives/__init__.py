"""Training methods, one per file: jstr.objectives.NAME holds `make(model, *, model_config, **options) -> Objective`.

A module whose objective shows something also holds `draw`, see jstr.core.Objective.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from types import ModuleType

from jstr.core import InputError, ModelConfig, Objective


def find_objective(name: str) -> ModuleType:
    """The module of an objective. Raises InputError when there is none of that name."""
    names = sorted(m.name for m in pkgutil.iter_modules(__path__))
    if name not in names:
        raise InputError(f"unknown objective {name!r}; choose one of {', '.join(names)}")
    return importlib.import_module(f"jstr.objectives.{name}")


def make_objective(config, model, model_config: ModelConfig) -> Objective:
    """The objective that config.objective names, with the options that stand beside the name.

    Raises:
      InputError: no such objective, or an option it does not have or cannot use.
    """
    options = {k: v for k, v in config.items() if k != "name"}
    make = find_objective(config["name"]).make
    known = [name for name in inspect.signature(make).parameters if name not in ("model", "model_config")]
    unknown = sorted(set(options) - set(known))
    if unknown:
        takes = f"it takes {', '.join(known)}" if known else "it takes none"
        raise InputError(f"config.objective: {config['name']} has no option {', '.join(unknown)}; {takes}")
    return make(model, model_config=model_config, **options)
