"""The best readings of a word, not only the first."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from jstr.inference.reader import Reader, default_batch_size
from jstr.inference.widths import chunks, in_batches, window


def alternatives(reader: Reader, images: Sequence[np.ndarray], count: int) -> list[list[tuple[str, float]]]:
    """Up to `count` texts with their probabilities, the best first, for each image RGB uint8 [h, w, 3]."""
    size = default_batch_size()

    def read(batch: np.ndarray) -> list[list[tuple[str, float]]]:
        found = reader.search(batch)
        return [[(reader.rules.written(text), float(value)) for text, value in one.texts[:count]] for one in found]

    found = []
    for some in chunks(reader.pixels(images), window(reader.spec, size)):
        found += in_batches(some, reader.spec, size, read, full=True)
    return found
