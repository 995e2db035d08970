"""ONNX files in onnxruntime, which is optional and not imported before it is needed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jstr.text.messages import InputError

CPU = ("CPUExecutionProvider",)
FATAL = 4  # onnxruntime's severity: what fails is raised
NOISE = re.compile(
    r"^\[ONNXRuntimeError\] : \d+ : \w+ : |Load model from .*? failed: ?|/onnxruntime_src/\S+ .*?\) (?=[A-Z])"
)


def open_session(
    file: Path,
    threads: int | None,
    providers: Sequence[str] = CPU,
    *,
    needs: str,
    keeps_memory: bool = True,
    spins: bool = True,
) -> Any:
    """The onnxruntime.InferenceSession of a file.

    threads: within an operation; None: one for each core. needs: what is said where onnxruntime is missing, with how to
    install it. keeps_memory: False where inputs are of ever new sizes, for all of which memory would be kept. spins:
    threads that have nothing to do keep their cores busy, which saves microseconds.

    Raises:
      InputError: onnxruntime or one of the providers is not installed, or it cannot run the file.
    """
    try:
        import onnxruntime
    except ImportError:
        raise InputError(needs) from None
    known = onnxruntime.get_available_providers()
    if missing := [name for name in providers if name not in known]:
        raise InputError(f"this onnxruntime has no {', '.join(missing)}; it has {', '.join(known)}")
    options = onnxruntime.SessionOptions()
    options.log_severity_level, options.enable_cpu_mem_arena = FATAL, keeps_memory
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", str(int(spins)))
    if threads is not None:
        options.intra_op_num_threads = threads
    try:
        return onnxruntime.InferenceSession(str(file), options, providers=list(providers))
    except Exception as error:  # onnxruntime's own kinds have no common base
        raise InputError(f"{file}: onnxruntime {onnxruntime.__version__} cannot run it: {reason(error)}") from error


def reason(error: Exception) -> str:
    """What onnxruntime says, in one line."""
    return NOISE.sub("", " ".join(str(error).split()))[:200]
