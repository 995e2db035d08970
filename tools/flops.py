"""Floating-point operations of a program, counted in its trace layer by layer, and published peaks of chips.

XLA's own count (`compiled.cost_analysis()`) takes the body of a loop once, however often it runs, and describes the
program after fusion. Here loops count with their lengths, and every product is listed under the name of its layer.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

# Dense bfloat16 TFLOP/s of one device, by jax's device_kind (or its beginning), from the makers' data sheets.
PEAK_TFLOPS = {
    "TPU v3": 61.5,  # a device is one of the two cores of a chip
    "TPU v4": 275.0,
    "TPU v5 lite": 197.0,
    "TPU v5e": 197.0,
    "TPU v5": 459.0,
    "TPU v5p": 459.0,
    "TPU v6 lite": 918.0,
    "TPU v6e": 918.0,
    "TPU7x": 1153.5,  # as v3
    "NVIDIA A100": 312.0,
    "NVIDIA H100 PCIe": 756.0,
    "NVIDIA H100": 989.0,
    "NVIDIA H200": 989.0,
    "NVIDIA L4": 121.0,
    "NVIDIA L40S": 362.0,
    "NVIDIA B200": 2250.0,
    "Tesla V100": 125.0,  # float16
    "Tesla T4": 65.0,  # float16
}


def peak_tflops(device_kind: str) -> float | None:
    """The peak of the longest name in PEAK_TFLOPS that device_kind starts with, whole words; None: unknown."""
    fits = [name for name in PEAK_TFLOPS if re.match(rf"{name}(?![\w.])", device_kind)]
    return PEAK_TFLOPS[max(fits, key=len)] if fits else None


class Product(NamedTuple):
    """A convolution or matrix product of a trace. layer: module names, "a/b/c"; unknown: it is in a `while` loop."""

    layer: str
    backward: bool
    flops: float
    unknown: bool


def products(jaxpr, times: float = 1.0, outside: str = "", unknown: bool = False) -> Iterator[Product]:
    """All products of a jaxpr. A multiplication and an addition are two operations.

    The body of a scan counts `length` times, the most expensive branch of a `cond` once. The number of iterations of a
    `while` loop is unknown: its body counts once and is marked. Zeros from padding or dilation are not counted.
    """
    for equation in jaxpr.eqns:
        name, params = equation.primitive.name, equation.params
        scope = f"{outside}/{equation.source_info.name_stack}"
        if name in ("dot_general", "conv_general_dilated"):
            count = _dot(equation) if name == "dot_general" else _convolution(equation)
            yield Product(_layer(scope), "transpose(" in scope, times * count, unknown)
        elif name == "cond":
            branches = [list(products(b.jaxpr, times, scope, unknown)) for b in params["branches"]]
            yield from max(branches, key=lambda found: sum(p.flops for p in found))
        else:
            inner = times * params["length"] if name == "scan" else times
            for body in _bodies(params):
                yield from products(body, inner, scope, unknown or name == "while")


def layer_table(found: list[Product], depth: int = 2) -> dict[str, tuple[float, float]]:
    """Layer (the first `depth` names) -> FLOPs (forward, backward). Recomputation counts as backward."""
    table: dict[str, tuple[float, float]] = {}
    for product in found:
        name = "/".join(product.layer.split("/")[:depth]) or "(none)"
        forward, backward = table.get(name, (0.0, 0.0))
        table[name] = (forward, backward + product.flops) if product.backward else (forward + product.flops, backward)
    return table


def as_markdown(table: Mapping[str, tuple[float, float]]) -> str:
    """The table in Markdown, most expensive layer first, with a total."""
    rows = sorted(table.items(), key=lambda row: -sum(row[1]))
    total = tuple(map(sum, zip(*table.values(), strict=True))) if table else (0.0, 0.0)
    lines = ["| layer | forward GFLOP | backward GFLOP |", "| --- | ---: | ---: |"]
    lines += [f"| {n} | {a / 1e9:,.3f} | {b / 1e9:,.3f} |" for n, (a, b) in [*rows, ("all", total)]]
    return "\n".join(lines)


def _bodies(params: Mapping) -> Iterator:
    """The jaxprs among the parameters of an equation."""
    for value in params.values():
        for item in value if isinstance(value, tuple | list) else (value,):
            item = getattr(item, "jaxpr", item)
            if hasattr(item, "eqns"):
                yield item


def _layer(scope: str) -> str:
    """The modules of a name stack such as jvp(Model)/extractor/conv_0, without jax's own marks."""
    scope = re.sub(r"\b(jvp|transpose|vmap|jit|pjit|rematted_computation|checkpoint|remat)\b", "", scope)
    names = [name for name in re.split(r"[/()]+", scope) if name and "->" not in name]
    outer = {"while", "body", "cond", "scan", "closed_call", "core_call"}
    names = [name for i, name in enumerate(names) if name not in outer and (i == 0 or name != names[i - 1])]
    return "/".join(names[1:] if len(names) > 1 and names[0][:1].isupper() else names)


def _dot(equation) -> float:
    (contracted, _), _ = equation.params["dimension_numbers"]
    shape = equation.invars[0].aval.shape
    return 2.0 * equation.outvars[0].aval.size * math.prod(shape[axis] for axis in contracted)


def _convolution(equation) -> float:
    params, numbers = equation.params, equation.params["dimension_numbers"]
    image, kernel, out = (v.aval.shape for v in (*equation.invars, *equation.outvars))
    taps = 1.0
    for i in range(len(image) - 2):  # pairs of output position and kernel position that meet a pixel, by axis
        size, reach = image[numbers.lhs_spec[2 + i]], kernel[numbers.rhs_spec[2 + i]]
        at = np.arange(out[numbers.out_spec[2 + i]])[:, None] * params["window_strides"][i] - params["padding"][i][0]
        at = at + np.arange(reach) * params["rhs_dilation"][i]
        step = params["lhs_dilation"][i]
        taps *= np.count_nonzero((at >= 0) & (at <= (size - 1) * step) & (at % step == 0))
    rows, features = out[numbers.out_spec[0]], out[numbers.out_spec[1]]
    return float(2.0 * rows * features * kernel[numbers.rhs_spec[1]] * taps)
