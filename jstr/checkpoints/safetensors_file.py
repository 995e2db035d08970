"""Parameters of a recogniser as a safetensors file, which can be given wherever a workdir is read.

Tensors are float32, named by their path (`params/model/decoder/classifier_kernel`); the entry `jstr` of the metadata is
JSON: config, step and, where known, origin and licence.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from flax import traverse_util

from jstr.core import ModelState, Params
from jstr.text import self_contained
from jstr.text.messages import InputError

SUFFIX = ".safetensors"
KEY = "jstr"


def is_safetensors(path: str | os.PathLike) -> bool:
    return str(path).endswith(SUFFIX)


def save(path: str | os.PathLike, params: Params, model_state: ModelState, meta: dict) -> None:
    """Writes params, model_state and meta. Raises InputError: the package safetensors is not installed."""
    config = meta["config"]
    if "charset" in config:
        meta = meta | {"config": config | {"charset": self_contained(config["charset"])}}
    flat = traverse_util.flatten_dict({"params": params, "model_state": model_state}, sep="/")
    tensors = {name: np.ascontiguousarray(x, np.float32) for name, x in flat.items()}
    data = _package().numpy.save(tensors, metadata={KEY: json.dumps(meta, ensure_ascii=False)})
    Path(path).write_bytes(data)  # save_file gives the file to its owner alone


def load(path: str | os.PathLike) -> tuple[dict, dict]:
    """(meta, {"params", "model_state"}), float32.

    Raises:
      InputError: the package safetensors is not installed, or the file is missing, damaged or not one of jstr.
    """
    package = _package()
    try:
        with package.safe_open(os.fspath(path), "numpy") as file:
            meta = _meta(path, file.metadata() or {})
            flat = {name: file.get_tensor(name).astype(np.float32) for name in file.keys()}  # noqa: SIM118
        tree = traverse_util.unflatten_dict(flat, sep="/")
    except FileNotFoundError:
        raise InputError(f"{path} does not exist; check the path") from None
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from error
    except InputError:
        raise
    except Exception as error:  # the package's own kinds for damaged files
        reason = f"{error}".splitlines() or [type(error).__name__]
        raise InputError(f"{path} is damaged or not a safetensors file: {reason[0][:120]}") from error
    return meta, {"params": tree.get("params", {}), "model_state": tree.get("model_state", {})}


def _meta(path: str | os.PathLike, metadata: dict[str, str]) -> dict:
    if KEY not in metadata:
        raise InputError(f"{path} has no metadata {KEY!r}: jstr export --to=safetensors did not write it")
    try:
        meta = json.loads(metadata[KEY])
        meta["config"]
    except (ValueError, KeyError, TypeError):
        raise InputError(f"{path}: its metadata {KEY!r} are damaged") from None
    return meta


def _package() -> Any:
    try:
        import safetensors
        import safetensors.numpy
    except ImportError:
        raise InputError(f"{SUFFIX} files need the package safetensors: pip install 'jstr[safetensors]'") from None
    return safetensors
