"""Recognisers, one per file: jstr.models.NAME holds `Model(model_config: ModelConfig, **fields)`, a Linen module.

What every Model offers besides its `__call__` is the protocol `jstr.core.Recognizer`.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from jstr.core import ModelConfig, Recognizer
from jstr.text import Charset
from jstr.text.messages import InputError, check_choice, check_known


def example_input(model: Recognizer) -> jax.ShapeDtypeStruct:
    """The shape of what `model.init` takes: one image [1, H, W, C], or the ids [1, max_length + 1] of a word."""
    model_config = model.model_config
    if model.reads_text:
        return jax.ShapeDtypeStruct((1, model_config.max_length + 1), jnp.int32)
    return jax.ShapeDtypeStruct((1, *model_config.image_size, model_config.channels), jnp.float32)


def make_model(
    config: Mapping[str, Any], charset: Charset, image_size: tuple[int, int], channels: int
) -> tuple[Recognizer, ModelConfig]:
    """The module that config.model names, and the ModelConfig it was built for.

    Raises:
      InputError: no such model, a field it does not have, or a value that a field cannot take.
    """
    fields = dict(config)
    name = fields.pop("name")
    check_choice("config.model.name", name, sorted(m.name for m in pkgutil.iter_modules(__path__)))
    layout, size = vars(charset.layout), tuple(image_size)
    model_config = ModelConfig(size, channels, charset.max_length, charset.num_classes, **layout)
    model_class = importlib.import_module(f"jstr.models.{name}").Model
    if fields.get("space_as_blank") and " " in charset.characters:
        raise InputError("config.model.space_as_blank=True, but the charset has the space; set it to False")
    known = [field for field in model_class.__dataclass_fields__ if field not in ("model_config", "parent", "name")]
    check_known(f"config.model: {name}", fields, known)
    try:
        return model_class(model_config=model_config, **fields), model_config
    except InputError as error:
        raise InputError(f"config.model: {error}") from error
