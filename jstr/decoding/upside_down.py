"""Less confidence in words that read better upside down. NumPy only."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from jstr.decoding.beam_search import BONUS
from jstr.decoding.ngram_lm import WordPrior

# Words read with a confidence between these are also tried upside down. Below, nothing is believed anyway; few words
# that stand upright are read with less than the upper one, and nearly all that do not.
UNSURE = (0.5, 0.999)


def read_checked(
    read: Callable[[np.ndarray], tuple[list[str], np.ndarray]],
    images: np.ndarray,
    prior: WordPrior | None,
    weight: float,
) -> tuple[list[str], np.ndarray]:
    """What `read` makes of images [B, H, W, C], with less confidence in words that read better upside down.

    The confidence is multiplied by exp(score - score upside down) where that is below 1. A score is, as in the beam
    search, log confidence + weight * (log P(text) + BONUS * length). Without a prior nothing is tried.

    read: images -> (texts, confidences [B]); it is given B images again.
    """
    texts, confidences = read(images)
    unsure = (UNSURE[0] < confidences) & (confidences < UNSURE[1])
    if prior is None or not unsure.any():
        return texts, confidences

    def score(text: str, confidence: float) -> float:
        if not text or confidence <= 0:
            return -math.inf
        return math.log(confidence) + weight * (prior.log_whole(text) + BONUS * len(text))

    turned = np.where(unsure[:, None, None, None], images[:, ::-1, ::-1], 0)  # as many, which is compiled already
    others, values = read(turned)
    for i in np.flatnonzero(unsure):
        less = score(texts[i], confidences[i]) - score(others[i], values[i])
        confidences[i] *= math.exp(min(0.0, less))
    return texts, confidences
