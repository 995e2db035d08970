"""Images of several widths, read in batches of one width each, with the answers in the order of the images."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

import numpy as np

from jstr.data.images import ImageSpec

WINDOW = 8  # batches of images from which those of one width are gathered
T = TypeVar("T")


def window(spec: ImageSpec, size: int) -> int:
    """How many images to give to `in_batches` at a time, for batches of `size`."""
    return size * (WINDOW if spec.widths else 1)


def in_batches(
    images: Sequence[np.ndarray | None],
    spec: ImageSpec,
    size: int,
    read: Callable[[np.ndarray], Iterable[T]],
    full: bool = False,
) -> list[T | None]:
    """The answers of `read` to images [H, W, C], None for None; `read` takes [B, H, W, C].

    Batches of the usual width have `size` images, wider ones as many fewer. `full`, and always for wider ones: the last
    batch of a width has rows of zeros after them, so that the model is compiled once for each width.
    """
    answers: list[T | None] = [None] * len(images)
    widths = [None if image is None else image.shape[1] for image in images]
    for width in sorted({w for w in widths if w is not None}):
        usual = width <= spec.size[1]
        rows = size if usual else 1 << max(size * spec.size[1] // width, 1).bit_length() - 1
        for places in chunks((i for i, w in enumerate(widths) if w == width), rows):
            batch = np.stack([images[i] for i in places])
            if full or not usual:
                batch = padded(batch, rows)
            for place, answer in zip(places, read(batch), strict=False):
                answers[place] = answer
    return answers


def padded(rows: np.ndarray, size: int) -> np.ndarray:
    """`rows` [B, ...] with rows of zeros after them: [size, ...]."""
    more = size - len(rows)
    return np.concatenate([rows, np.zeros((more, *rows.shape[1:]), rows.dtype)]) if more else rows


def chunks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Lists of `size` items, the last one shorter."""
    chunk = []
    for item in items:
        chunk.append(item)
        if len(chunk) == size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
