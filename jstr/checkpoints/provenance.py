"""What produced a result: the commit of the code and the machine."""

from __future__ import annotations

import contextlib
import functools
import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path

import jax

_ROOT = Path(__file__).resolve().parents[2]


@functools.cache  # the code that runs is the one of the start, whatever is committed meanwhile
def commit() -> str:
    """The commit of the code that runs, `+` behind it for changes since, those of results aside.

    That of an installed package is its version: a repository around it is somebody else's.
    """
    if not (_ROOT / ".git").exists():
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            return f"v{importlib.metadata.version('jstr')}"
        return "unknown"
    git = ["git", "-C", str(_ROOT)]
    status = [*git, "status", "--porcelain", "-uno", ":(top,exclude)configs/results"]
    try:
        name = subprocess.run([*git, "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True, check=True)
        changed = subprocess.run(status, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return name.stdout.strip() + ("+" if changed.stdout.strip() else "")


def machine() -> str:
    """Devices, cores, processor and versions, for results."""
    model = platform.processor() or platform.machine()
    with contextlib.suppress(OSError, StopIteration):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    devices = f"{jax.device_count()} x {jax.devices()[0].device_kind}"
    return f"{devices}; {os.cpu_count()} cores {model}; Python {platform.python_version()}, jax {jax.__version__}"
