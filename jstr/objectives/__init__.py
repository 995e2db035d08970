"""Training methods, one per file: jstr.objectives.NAME holds `Method(model, model_config, **options)`, a dataclass.

Its fields are the options, `Method.objective()` is the jstr.core.Objective. What methods share lies in parts/.
"""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from jstr.core import InputError, ModelConfig, Objective, Recognizer


def find_objective(name: str) -> ModuleType:
    """The module of a training method. Raises InputError when there is none of that name."""
    names = sorted(m.name for m in pkgutil.iter_modules(__path__) if not m.ispkg)
    if name not in names:
        raise InputError(f"unknown objective {name!r}; choose one of {', '.join(names)}")
    return importlib.import_module(f"jstr.objectives.{name}")


def make_objective(config: Mapping[str, Any], model: Recognizer, model_config: ModelConfig) -> Objective:
    """The objective that config.objective names, with the options given beside the name.

    Raises:
      InputError: no such objective, or an option that it does not have or cannot use.
    """
    options = {key: value for key, value in config.items() if key != "name"}
    method = find_objective(config["name"]).Method
    known = [f.name for f in dataclasses.fields(method) if f.init and f.name not in ("model", "model_config")]
    unknown = sorted(set(options) - set(known))
    if unknown:
        takes = f"it takes {', '.join(known)}" if known else "it takes none"
        raise InputError(f"config.objective: {config['name']} has no option {', '.join(unknown)}; {takes}")
    try:
        return method(model, model_config, **options).objective()
    except InputError as error:
        raise InputError(f"config.objective.{error}") from error
