"""The platform that a program is traced for: the one it will run on, which may not be the one we are on.

Some layers have a form of their own for CPUs. tools/compile_tpu.py compiles for TPUs on a machine that has only a CPU.
"""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Iterator

import jax

_CHOSEN: contextvars.ContextVar[str | None] = contextvars.ContextVar("platform", default=None)


def platform() -> str:
    """cpu, gpu or tpu. Ask while tracing, not before."""
    return _CHOSEN.get() or jax.default_backend()


@contextlib.contextmanager
def tracing_for(name: str) -> Iterator[None]:
    """Inside it, programs are traced for platform `name`. What jax has traced before is forgotten, here and after."""
    jax.clear_caches()
    token = _CHOSEN.set(name)
    try:
        yield
    finally:
        _CHOSEN.reset(token)
        jax.clear_caches()
