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

from jstr.core import ModelConfig, Objective, Recognizer
from jstr.text.messages import InputError, check_choice, check_known

# Annotations of options: the types of their values, and what to tell the user.
TYPES = {
    "float": ((int, float), "a number"),
    "int": ((int,), "a whole number"),
    "bool": ((bool,), "True or False"),
    "str": ((str,), "a text"),
}


def find_objective(name: str | None) -> ModuleType:
    """The module of a training method. Raises InputError when there is none of that name."""
    names = sorted(m.name for m in pkgutil.iter_modules(__path__) if not m.ispkg)
    check_choice("config.objective.name", name, names)
    return importlib.import_module(f"jstr.objectives.{name}")


def make_objective(config: Mapping[str, Any], model: Recognizer, model_config: ModelConfig) -> Objective:
    """The objective that config.objective names, with the options given beside the name.

    Raises:
      InputError: no such objective, or an option that it does not have or cannot use.
    """
    options = {key: value for key, value in config.items() if key != "name"}
    name = config.get("name")
    method = find_objective(name).Method
    fields = {f.name: f.type for f in dataclasses.fields(method) if f.init and f.name not in ("model", "model_config")}
    check_known(f"config.objective: {name}", options, list(fields))
    for key, value in options.items():
        _check_type(f"config.objective.{key}", value, fields[key])
    try:
        return method(model, model_config, **options).objective()
    except InputError as error:
        raise InputError(f"config.objective.{error}") from error


def _check_type(name: str, value: Any, annotation: Any) -> None:
    """Raises InputError when a value is not of the type that a field is annotated with. True is no number.

    annotation: a type of TYPES or its name; values of other types are left to the method.
    """
    kinds, words = TYPES.get(getattr(annotation, "__name__", annotation), ((object,), ""))
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
        raise InputError(f"{name}={value!r}: give {words}")
