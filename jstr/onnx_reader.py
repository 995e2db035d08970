"""Reads words with an exported ONNX network, without JAX: NumPy, OpenCV and onnxruntime are all that it imports.

from jstr import onnx_reader

reader = onnx_reader.load("exported")  # a folder that `jstr export --to=onnx` wrote
texts, confidences = reader.read(["a.png", "b.jpg"])
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jstr.data import onnx_session
from jstr.inference.exported_reader import ExportedReader, Run, open_export
from jstr.text.messages import InputError

SUFFIX = ".onnx"


def load(
    folder: str | os.PathLike, threads: int | None = None, providers: Sequence[str] = onnx_session.CPU
) -> ExportedReader:
    """The reader of an exported folder.

    threads: of onnxruntime within an operation; None: one for each core. providers: of onnxruntime, best first.

    Raises:
      InputError: onnxruntime or a provider is not installed, or no export to ONNX, a damaged one or of another version.
    """

    def networks(path: Path, about: Mapping[str, Any]) -> dict[str, Run]:
        files = [name for name in about["files"] if name.endswith(SUFFIX)]
        return {Path(name).stem: open_session(path / name, threads, providers) for name in files}

    return open_export(folder, "onnx", networks)


def open_session(path: Path, threads: int | None, providers: Sequence[str]) -> Run:
    """Runs a graph on arrays by name. Raises InputError: it cannot be run."""
    needs = "reading ONNX needs the package onnxruntime: pip install 'jstr[onnx]'"
    session = onnx_session.open_session(path, threads, providers, needs=needs)

    def run(**inputs: Any) -> list[Any]:
        try:
            return session.run(None, inputs)
        except Exception as error:  # onnxruntime's own kinds have no common base
            raise InputError(f"{path}: onnxruntime cannot run it: {onnx_session.reason(error)}") from error

    return run
