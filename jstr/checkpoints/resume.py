"""What may change in the config of a run that is continued."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Collection, Mapping
from typing import Any

from flax import traverse_util

from jstr.text import read_characters
from jstr.text.messages import InputError

# The saved state depends on these. Everything else may change between restarts and is only reported.
FIXED = ("charset", "image", "model", "objective", "optimizer.name", "streams", "teacher", "seed")
CHARACTERS, NONE = "charset.characters", "(none)"


def check_resume(saved: Mapping[str, Any], config: Mapping[str, Any], free: Collection[str] = ()) -> list[str]:
    """Lines that name what changed since the checkpoint and may change.

    free: keys that may change although they lie below one of FIXED.

    Raises:
      InputError: something changed that the saved state depends on (FIXED).
    """
    old, new = (traverse_util.flatten_dict(json.loads(json.dumps(c)), sep=".") for c in (saved, config))
    changed = {k: (old.get(k, NONE), new.get(k, NONE)) for k in old | new if old.get(k) != new.get(k)}
    if _same_characters(*changed.get(CHARACTERS, (NONE, NONE))):
        changed.pop(CHARACTERS, None)
    fixed = [_describe(k, *pair) for k, pair in changed.items() if _is_fixed(k) and k not in free]
    if fixed:
        raise InputError(
            f"the workdir holds a run with another config ({'; '.join(fixed)}); "
            "use another --workdir, or start from its weights with config.init_from"
        )
    return [f"changed since the checkpoint: config.{k}: {a} -> {b}" for k, (a, b) in changed.items()]


def _is_fixed(key: str) -> bool:
    return any(f"{key}.".startswith(f"{part}.") for part in FIXED)


def _same_characters(old: str, new: str) -> bool:
    """Whether two charsets hold the same characters, whether they are named, listed or in a file."""
    try:
        return read_characters(old) == read_characters(new)
    except InputError:  # the file is gone: it was stored by name before characters were stored
        return False


def _describe(key: str, old: Any, new: Any) -> str:
    if key == CHARACTERS:
        with contextlib.suppress(InputError):
            old, new = read_characters(old), read_characters(new)
    if key != CHARACTERS or max(len(old), len(new)) < 40:
        return f"{key}: {old} -> {new}"
    place = next((i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new)))
    first = " and ".join(repr(c[place : place + 1]) if c[place:] else "the end" for c in (old, new))
    return f"{key}: {len(old)} -> {len(new)} characters, which differ from number {place + 1} on: {first}"
