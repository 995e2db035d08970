"""3x3 convolutions on a CPU: python tools/bench_convolution.py [--batches=1,4,16,64] [--gradients] [--json=FILE]

GFLOP/s of TRBA's layers, each form counted with the operations of the direct one: XLA's own (direct), one product, and
Winograd's method. The choice in jstr/nn/winograd.py rests on this. A product of large matrices is the upper bound; for
Winograd's method, whose products are a quarter of the operations, four times that. --gradients: of inputs and kernels.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import measuring
import numpy as np

from jstr.cli import Parser, cli, path

LAYERS = ((4, 26, 512), (8, 25, 256), (16, 50, 128))  # height, width and channels, in and out
SIZE = 2048  # of the large matrices


def forms() -> dict[str, Callable[..., Any]]:
    """Name -> a function of images [B, H, W, C] and a kernel [3, 3, C, C]."""
    from jax import lax

    from jstr.nn import winograd

    def direct(x: Any, kernel: Any) -> Any:
        layout = ("NHWC", "HWIO", "NHWC")
        return lax.conv_general_dilated(x, kernel, (1, 1), ((1, 1), (1, 1)), dimension_numbers=layout)

    return {"direct": direct, "product": winograd.as_product, "winograd": winograd.conv3x3}


def gradients(form: Callable[..., Any]) -> Callable[..., Any]:
    """A function of x, kernel and the gradient of what `form` returns -> the gradients of x and kernel."""
    import jax

    return lambda x, kernel, g: jax.vjp(form, x, kernel)[1](g)


def rate(function: Callable[..., Any], operations: float, seconds: float, *inputs: np.ndarray) -> float:
    """Billions of operations a second."""
    import jax

    from jstr.parallel.compiling import jit

    compiled, arrays = jit(function), [jax.device_put(x) for x in inputs]
    return operations / measuring.median_ms(lambda: compiled(*arrays), seconds) / 1e6


def run(argv: list[str] | None = None) -> None:
    """Prints a line for each layer and batch size."""
    parser = Parser("python tools/bench_convolution.py", __doc__)
    parser.add_argument("--batches", default="1,4,16,64")
    parser.add_argument("--gradients", action="store_true", help="backward instead of forward")
    parser.add_argument("--seconds", type=float, default=1.0, help="for each figure")
    parser.add_argument("--json", type=path, metavar="FILE")
    args = parser.parse_args(argv)
    square = np.ones((SIZE, SIZE), np.float32)
    found: dict[str, Any] = {"matrices": rate(lambda a, b: a @ b, 2.0 * SIZE**3, args.seconds, square, square)}
    print(f"product of {SIZE} x {SIZE} matrices: {found['matrices']:.0f} GFLOP/s", flush=True)
    for batch in measuring.numbers("batches", args.batches.split(","), "1,16"):
        for height, width, channels in LAYERS:
            x = np.ones((batch, height, width, channels), np.float32)
            kernel = np.ones((3, 3, channels, channels), np.float32)
            operations = 2.0 * x.size * 9 * channels
            inputs, passes = (x, kernel), forms()
            if args.gradients:  # twice the operations: of inputs and of kernels
                inputs, passes = (x, kernel, x), {name: gradients(form) for name, form in forms().items()}
                operations *= 2
            row = {name: rate(f, operations, args.seconds, *inputs) for name, f in passes.items()}
            found[f"{batch} x {height} x {width} x {channels}"] = row
            figures = "  ".join(f"{name} {value:5.0f}" for name, value in row.items())
            print(f"batch {batch:3}, {height:2} x {width} x {channels}: {figures} GFLOP/s", flush=True)
    if args.json:
        Path(args.json).write_text(json.dumps(measuring.record() | {"gflops": found}, indent=2) + "\n")


if __name__ == "__main__":
    cli(run)
