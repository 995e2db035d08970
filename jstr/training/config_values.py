"""Checks of the keys and values of a config, before anything is opened."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping
from typing import Any

from jstr.core import Config
from jstr.data.images import ImageSpec
from jstr.text.messages import InputError, check_known

# Keys without which a part of a config means nothing: `--config.optimizer={...}` replaces all of it.
_NEEDED = {
    "charset": ("characters", "layout", "max_length"),
    "image": ("size", "channels", "keep_ratio", "backend"),
    "model": ("name",),
    "objective": ("name",),
    "optimizer": ("name", "schedule", "clip_norm", "weight_decay"),
    "optimizer.schedule": ("name", "peak"),
    "streams.*": ("batch_size", "sources"),
    "held_back.*": ("batch_size", "sources"),
    "streams.*.sources.*": (),
    "held_back.*.sources.*": (),
    "streams.*.views.*": (),
    "held_back.*.views.*": (),
    "evals.*": (),
    "optimizer.rules.*": (),
    "teacher": (),
    "mesh": (),
    "augment": ("where",),
    "self_training": (),
}
# Values of another kind would be read as something else, or fail far from here.
_SEQUENCE, _TEXT = ((tuple, list), "a tuple"), ((str,), "a text")
_KINDS = {
    "charset.characters": _TEXT,
    "keep_best": _TEXT,
    "image.size": _SEQUENCE,
    "image.keep_ratio": ((bool,), "True or False"),
    "average_as_sure": ((bool,), "True or False"),
    "init_from": _SEQUENCE,
    "init_allow_missing": _SEQUENCE,
    "self_training.thresholds": _SEQUENCE,
    "self_training.shares": _SEQUENCE,
}
# The smallest value of a number, and whether it must be whole. NaN and infinity are never meant.
_NUMBERS = {
    **dict.fromkeys(("steps", "log_every", "eval_every", "save_every", "steps_per_dispatch"), (1, True)),
    **dict.fromkeys(("keep_checkpoints", "accumulate"), (1, True)),
    "keep_best_noise": (0, False),
    "seed": (0, True),
    "num_workers": (0, True),
    "outlook": (0, True),
    "charset.max_length": (1, True),
    "optimizer.schedule.peak": (0, False),
    "optimizer.clip_norm": (0, False),
    "optimizer.weight_decay": (0, False),
    "optimizer.l2": (0, False),
    "optimizer.rules.*.lr": (0, False),
    "optimizer.rules.*.weight_decay": (0, False),
    "teacher.decay": (0, False),
    "average_with_start": (0, False),
    "average_below": (0, True),
    "language_model.weight": (0, False),
    "language_model.width": (1, True),
    "streams.*.batch_size": (1, True),
    "held_back.*.batch_size": (1, True),
    "held_back.*.batches": (1, True),
}
_LARGEST = 2**63 - 1  # of a whole number, as the seed of jax


def check_values(config: Config) -> None:
    """Raises InputError for a part that lacks a key or has an unknown one, or for an invalid value."""
    for pattern, keys in _NEEDED.items():
        for place, part in _find(config, pattern.split("."), "config"):
            if not isinstance(part, Mapping) and not hasattr(part, "items"):
                raise InputError(f"{place}={part!r} must be a dict{' with ' * bool(keys)}{', '.join(keys)}")
            missing = [key for key in keys if key not in part]
            if missing:
                raise InputError(f"{place} lacks {', '.join(missing)}; it needs {', '.join(keys)}")
    for pattern, (kinds, words) in _KINDS.items():
        for place, value in _find(config, pattern.split("."), "config"):
            if not isinstance(value, kinds):
                raise InputError(f"{place}={value!r} must be {words}")
    for pattern, (smallest, whole) in _NUMBERS.items():
        for place, value in _find(config, pattern.split("."), "config"):
            if value is not None or pattern != "optimizer.clip_norm":  # None: gradients are not clipped
                _check_number(place, value, smallest, whole)
    check_known("config.image", config.image, [field.name for field in dataclasses.fields(ImageSpec)])
    ImageSpec.make(config.image)
    normalise = ("lower", "nfkc", "drop_outside")
    check_known("config.charset", config.charset, (*_NEEDED["charset"], *normalise))
    check_known("config.language_model", config.get("language_model", {}), ("words", "weight", "width"))
    for row in config.init_from:
        if not (isinstance(row, tuple) and len(row) == 3 and all(isinstance(part, str) for part in row)):
            raise InputError(f"config.init_from has {row!r}; its rows are ('TO_PREFIX', 'WORKDIR', 'FROM_PREFIX')")
    if not 0 <= config.average_with_start < 1 or (config.average_with_start and not config.init_from):
        raise InputError(
            f"config.average_with_start={config.average_with_start}: give a share from 0 to less than 1, and a start "
            "by config.init_from"
        )
    if not all(isinstance(prefix, str) for prefix in config.init_allow_missing):
        raise InputError(f"config.init_allow_missing={config.init_allow_missing} must be prefixes of parameters")


def _find(part: Any, keys: list[str], place: str) -> Iterator[tuple[str, Any]]:
    """(place, value) of what is there at `keys`, of which "*" is any."""
    if not keys:
        yield place, part
    elif hasattr(part, "items"):
        for key, value in part.items():
            if keys[0] in (key, "*"):
                yield from _find(value, keys[1:], f"{place}.{key}")


def _check_number(place: str, value: Any, smallest: int, whole: bool) -> None:
    kind = "a whole number" if whole else "a number"
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not is_number or (whole and (value != int(value) or value > _LARGEST)) or value < smallest:
        raise InputError(f"{place}={value!r} must be {kind}, {smallest} or more")
