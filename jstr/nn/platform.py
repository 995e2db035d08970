"""The platform that a program is traced for, which need not be the one of this process.

Some layers have a separate form for CPUs. tools/compile_tpu.py compiles for TPUs on a machine that has only a CPU.
"""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Iterator

import jax

_CHOSEN: contextvars.ContextVar[str | None] = contextvars.ContextVar("platform", default=None)


def platform() -> str:
    """cpu, gpu, tpu or tflite. Call it while tracing, not before."""
    return _CHOSEN.get() or jax.default_backend()


@contextlib.contextmanager
def tracing_for(name: str) -> Iterator[None]:
    """A context in which programs are traced for platform `name`. Clears JAX's caches on entry and exit."""
    jax.clear_caches()
    token = _CHOSEN.set(name)
    try:
        yield
    finally:
        _CHOSEN.reset(token)
        jax.clear_caches()
