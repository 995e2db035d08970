"""Recognisers, one per file: jstr.models.NAME holds `Model(model_config: ModelConfig, **fields)`, a Linen module.

What every Model offers besides its `__call__` is the protocol `jstr.core.Recognizer`.
"""

from __future__ import annotations

import importlib
import pkgutil

import jax
import jax.numpy as jnp

from jstr.core import InputError, ModelConfig, Recognizer
from jstr.text import Charset


def example_input(model: Recognizer) -> jax.ShapeDtypeStruct:
    """What model.init takes: an image, or for a model with `reads_text` a word, ids [1, max_length + 1] without BOS."""
    model_config = model.model_config
    if model.reads_text:
        return jax.ShapeDtypeStruct((1, model_config.max_length + 1), jnp.int32)
    return jax.ShapeDtypeStruct((1, *model_config.image_size, model_config.channels), jnp.float32)


def make_model(config, charset: Charset, image_size: tuple[int, int], channels: int) -> tuple[Recognizer, ModelConfig]:
    """The module that config.model names, and the model_config it was built for.

    Raises:
      InputError: no such model, or a field it does not have.
    """
    fields = dict(config)
    name = fields.pop("name")
    names = sorted(m.name for m in pkgutil.iter_modules(__path__))
    if name not in names:
        raise InputError(f"unknown model {name!r}; choose one of {', '.join(names)}")
    model_config = ModelConfig(
        image_size=tuple(image_size),
        channels=channels,
        max_length=charset.max_length,
        num_classes=charset.num_classes,
        first_id=charset.layout.first_id,
        pad_id=charset.layout.pad_id,
        bos_id=charset.layout.bos_id,
        eos_id=charset.layout.eos_id,
    )
    model_class = importlib.import_module(f"jstr.models.{name}").Model
    unknown = set(fields) - set(model_class.__dataclass_fields__)
    if unknown:
        raise InputError(f"config.model: {name} has no field {', '.join(sorted(unknown))}")
    return model_class(model_config=model_config, **fields), model_config
