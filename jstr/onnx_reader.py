"""Reads words with an exported ONNX network, without JAX: NumPy, OpenCV and onnxruntime are all that it imports.

from jstr import onnx_reader

reader = onnx_reader.load("exported")  # a folder that `jstr export --to=onnx` wrote
texts, confidences = reader.read(["a.png", "b.jpg"])
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jstr.inference.exported_reader import ExportedReader, Run, read_about, read_prior
from jstr.messages import InputError

SUFFIX = ".onnx"


def load(
    folder: str | os.PathLike, threads: int | None = None, providers: Sequence[str] = ("CPUExecutionProvider",)
) -> ExportedReader:
    """The reader of an exported folder.

    threads: of onnxruntime within an operation; None: one for each core. providers: of onnxruntime, best first.

    Raises:
      InputError: onnxruntime is not installed, or a folder that is no export to ONNX, damaged, or of another version.
    """
    about = read_about(folder)
    if about["kind"] != "onnx":
        raise InputError(f"{folder} is an export to {about['kind']}, not to onnx")
    files = [name for name in about["files"] if name.endswith(SUFFIX)]
    networks = {Path(n).stem: open_session(Path(os.path.expanduser(folder)) / n, threads, providers) for n in files}
    return ExportedReader(about, networks, read_prior(folder, about))


def open_session(path: Path, threads: int | None, providers: Sequence[str]) -> Run:
    """Runs a graph on arrays by name."""
    try:
        import onnxruntime
    except ImportError:
        raise InputError("reading ONNX needs the package onnxruntime: pip install 'jstr[onnx]'") from None
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    if threads is not None:
        options.intra_op_num_threads = threads
    try:
        session = onnxruntime.InferenceSession(os.fspath(path), options, providers=list(providers))
    except Exception as error:  # onnxruntime's own kinds have no common base
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{path}: onnxruntime {onnxruntime.__version__} cannot run it: {reason}") from error

    def run(**inputs: Any) -> list[Any]:
        return session.run(None, inputs)

    return run
