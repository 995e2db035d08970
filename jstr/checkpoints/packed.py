"""A recogniser in one small file: variables in half precision beside the config that made them.

The package brings one, BUNDLED. It can be given wherever a workdir is read: evaluate, predict, `jstr.load` and
config.init_from.
"""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path

import numpy as np
from flax import traverse_util

from jstr.checkpoints import safetensors_file
from jstr.core import ModelState, Params
from jstr.text import self_contained
from jstr.text.messages import InputError

BUNDLED = Path(__file__).parents[1] / "bundled" / "reader.npz"
SUFFIX = ".npz"
MAX_BYTES = 1 << 30  # unpacked


def is_packed(path: str | os.PathLike) -> bool:
    """Whether it is a file of this kind, or of jstr.checkpoints.safetensors_file, by its name."""
    return str(path).endswith(SUFFIX) or safetensors_file.is_safetensors(path)


def save(path: str | os.PathLike, params: Params, model_state: ModelState, meta: dict) -> None:
    """Writes params, model_state and meta. Matrices and kernels become float16, vectors stay float32."""
    if "charset" in meta["config"]:
        meta = meta | {"config": meta["config"] | {"charset": self_contained(meta["config"]["charset"])}}
    flat = traverse_util.flatten_dict({"params": params, "model_state": model_state}, sep="/")
    flat = {name: _small(np.asarray(x)) for name, x in flat.items()}
    with open(path, "wb") as file:  # np.savez would add a suffix of its own
        np.savez_compressed(file, meta=np.array(json.dumps(meta)), **flat)


def _small(x: np.ndarray) -> np.ndarray:
    half = x.astype(np.float16)
    return half if x.ndim > 1 and np.isfinite(half).all() else x.astype(np.float32)


def load(path: str | os.PathLike) -> tuple[dict, dict]:
    """(meta, {"params", "model_state"}), float32.

    Raises:
      InputError: the file is missing or not a packed recogniser.
    """
    if safetensors_file.is_safetensors(path):
        return safetensors_file.load(path)
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(info.file_size for info in archive.infolist()) > MAX_BYTES:
                raise ValueError("too large")
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        meta = json.loads(str(arrays.pop("meta")))
        tree = traverse_util.unflatten_dict({n: x.astype(np.float32) for n, x in arrays.items()}, sep="/")
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from error
    except Exception as error:  # NumPy and zipfile raise many kinds for damaged files
        raise InputError(f"{path} is not a packed recogniser; make one with tools/pack.py") from error
    return meta, {"params": tree.get("params", {}), "model_state": tree.get("model_state", {})}
