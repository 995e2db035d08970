"""The best readings of a word, not only the first."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from jstr.decoding.lm_decoder import make_search
from jstr.inference.reader import Reader, chunks, default_batch_size


def alternatives(reader: Reader, images: Sequence[np.ndarray], count: int) -> list[list[tuple[str, float]]]:
    """Up to `count` texts with their probabilities, the best first, for each image RGB uint8 [h, w, 3]."""
    guide = reader.guide
    search = guide.search or make_search(
        guide.model, guide.charset.characters, None, guide.weight, guide.width, None, guide.steps
    )
    found = []
    size = default_batch_size()
    for batch in chunks(reader.pixels(images), size):
        padded = np.stack(batch + [np.zeros_like(batch[0])] * (size - len(batch)))  # compiled once
        rows = search(reader.variables, padded)[: len(batch)]
        found += [[(guide.written(text), float(value)) for text, value in row.texts[:count]] for row in rows]
    return found
