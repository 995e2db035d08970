"""The image operations that a config can name, and the views made of them.

A view names operations in order, each with its parameters: `views.image = {"affine": {"rotate": 5.0}, "blur": {}}`.
Operations are functions (image uint8 [h, w, c], rng, **parameters) -> image uint8, c = 1 or 3. They run before the
resize, at the resolution of the sample.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
from numpy.random import Generator

from jstr.augment.host import abinet, basic, cr, photometric, seqclr
from jstr.augment.host.checks import check_operations
from jstr.augment.host.pixels import Operation, with_channels

# With their default parameters these keep characters in order and each within 15 % of the width of its place, as two
# views whose instances are compared must; cr_strong and abinet do not.
_KEEP_SEQUENCE = (*basic.OPERATIONS, *seqclr.OPERATIONS, *photometric.OPERATIONS, cr.cr_weak)
OPS: dict[str, Operation] = {op.__name__: op for op in (*_KEEP_SEQUENCE, cr.cr_strong, abinet.abinet)}
LONGEST = 4096  # pixels: OpenCV warps up to 32,767, and geometry enlarges the canvas


def check_view(name: str, view: Mapping[str, Any]) -> None:
    """Raises InputError when a view names an unknown operation or parameter, or gives one a value it cannot take."""
    image = np.arange(32 * 48 * 3, dtype=np.uint16).astype(np.uint8).reshape(32, 48, 3)

    def run(op: str, parameters: Mapping[str, Any]) -> None:
        for seed in range(4):
            OPS[op](image, np.random.default_rng(seed), **parameters)

    check_operations(f"view {name!r}", "operation", view, OPS, ("image", "rng"), run)


def apply_view(image: np.ndarray, rng: Generator, view: Mapping[str, Mapping[str, Any]]) -> np.ndarray:
    """Runs the operations of a view in order. image and result: uint8 [h, w, c].

    An image with a longer side than LONGEST is made smaller first.
    """
    image = _bounded(image)
    for op, parameters in view.items():
        image = with_channels(OPS[op](image, rng, **parameters))
    return image


def _bounded(image: np.ndarray) -> np.ndarray:
    h, w = image.shape[:2]
    if max(h, w) <= LONGEST:
        return image
    scale = LONGEST / max(h, w)
    size = max(1, round(w * scale)), max(1, round(h * scale))
    return with_channels(cv2.resize(image, size, interpolation=cv2.INTER_AREA))
