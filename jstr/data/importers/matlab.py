"""MATLAB files, in which several sets were published."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from jstr.text.messages import InputError

# scipy crashes on some damaged files, and a compressed file of 1 MB may hold 1 GB. So another process reads it first.
_TRIAL = """
import contextlib, resource, sys
from scipy.io import loadmat
with contextlib.suppress(OSError, ValueError):  # not on every system
    resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[1]),) * 2)
try:
    loadmat(sys.argv[2], variable_names=sys.argv[3:])
except Exception as error:
    sys.exit(type(error).__name__)
"""
_MEMORY, _MEMORY_PER_BYTE = 900 << 20, 40  # bytes of address space, and more for each byte of the file


def load_mat(path: Path, names: list[str]) -> dict[str, np.ndarray]:
    """The variables `names` of a MATLAB file. Raises InputError: damaged, of version 7.3, or without one of them."""
    import scipy.io

    problem = _try(path, names)
    if problem == "NotImplementedError":
        raise InputError(f"{path} is of MATLAB version 7.3; save it as version 7 (save -v7) or older")
    if problem == "MemoryError":
        raise InputError(f"{path} holds far more than a file of its size should; check that it is the published file")
    if problem:
        raise InputError(f"{path} is not a readable .mat file ({problem}); get it again")
    found = scipy.io.loadmat(path, variable_names=names)
    missing = [name for name in names if name not in found]
    if missing:
        raise InputError(f"{path} has no variable {', '.join(missing)}; check that it is the published file")
    return found


def _try(path: Path, names: list[str]) -> str:
    """What goes wrong when scipy reads a file, the name of an exception or a signal; "" for nothing."""
    limit = _MEMORY + _MEMORY_PER_BYTE * path.stat().st_size
    command = [sys.executable, "-c", _TRIAL, str(limit), str(path), *names]
    single = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}  # each thread takes address space
    done = subprocess.run(command, env=single, capture_output=True, text=True, errors="replace")
    if done.returncode == 0:
        return ""
    return "scipy crashes" if done.returncode < 0 else (done.stderr.split() or ["unknown error"])[-1]


def mat_text(value: Any) -> str:
    """A char array of MATLAB, which may be empty, as text."""
    return "".join(str(part) for part in np.ravel(value))
