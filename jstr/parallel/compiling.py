"""How XLA compiles for CPUs what trains and reads.

XLA can leave parts of a program to its library YNN. For sums that pays: those over 64 x 32 x 100 pixels of 64 channels
take 4 ms instead of 89 on one core. For products and convolutions it does not: TRBA reads 16 words in 0.62 s instead of
0.50, and the gradients of convolutions take 1.6 times as long (library_for_sums in configs/results/bench_cpu.json).
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import Any

import jax

SUMS_BY_LIBRARY = ("xla_cpu_experimental_ynn_fusion_type", "LIBRARY_FUSION_TYPE_REDUCE")


def jit(function: Callable, platform: str | None = None, **options: Any) -> Callable:
    """`jax.jit`, with what is fastest on a CPU. platform: of the devices; None: the default one of this process."""
    chosen = cpu_option(platform or jax.default_backend(), *SUMS_BY_LIBRARY)
    return jax.jit(function, compiler_options=chosen, **options)


@functools.cache
def cpu_option(platform: str, name: str, value: int | str) -> dict[str, int | str] | None:
    """compiler_options of `jax.jit` that set an option of XLA on CPUs; None on other devices.

    An option that the user sets in XLA_FLAGS is left alone, and so is one that this XLA does not know.
    """
    if platform != "cpu" or name in os.environ.get("XLA_FLAGS", ""):
        return None
    options = {name: value}
    try:
        jax.jit(lambda x: x + 1, compiler_options=options)(0)
    except jax.errors.JaxRuntimeError:
        return None
    return options
