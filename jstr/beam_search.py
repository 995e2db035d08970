"""CTC prefix beam search with a prior over texts (Hannun et al. 2014, algorithm 1; the fusion is called shallow)."""

from __future__ import annotations

import math

import numpy as np

from jstr.ngram import WordPrior

BONUS = 2.0  # for each character, in units of the prior's weight: about what a character costs within a word
LEAST = math.exp(-8)  # characters below are not tried
TRIED = 8  # the most characters tried in a frame
NEVER = -math.inf


def prefix_beam_search(
    probabilities: np.ndarray, characters: str, prior: WordPrior, weight: float, width: int
) -> tuple[str, float]:
    """(text, confidence) for probabilities [T, 1 + V] of the blank and of `characters`.

    The text maximises log P(text | frames) + weight * (log P(text) + BONUS * length), where P(text | frames) sums over
    the paths within the beam. Its confidence is the share of that score, without the logarithm, among the texts left in
    the end; 0 for an empty text. width: texts kept after each frame.
    """
    order = np.argsort(-probabilities[:, 1:], axis=1)[:, :TRIED]
    best = np.take_along_axis(probabilities[:, 1:], order, axis=1)
    logs, blanks = np.log(np.maximum(best, 1e-30)).tolist(), np.log(np.maximum(probabilities[:, 0], 1e-30)).tolist()
    counts = (best >= LEAST).sum(axis=1).tolist()

    def fused(item) -> float:
        text, (blank, other) = item
        return _add(blank, other) + weight * (prior.log_prefix(text) + BONUS * len(text))

    beam = {"": (0.0, NEVER)}  # text -> log probability of the paths that end with a blank, and of the others
    for places, some, blank, count in zip(order.tolist(), logs, blanks, counts, strict=True):
        tried = [(characters[place], log) for place, log in zip(places[:count], some, strict=False)]
        beam = _step(beam, blank, tried)
        if len(beam) > width:
            beam = dict(sorted(beam.items(), key=fused, reverse=True)[:width])

    def ended(item) -> float:
        text, (blank, other) = item
        return _add(blank, other) + weight * (prior.log_whole(text) + BONUS * len(text))

    scores = {item[0]: ended(item) for item in beam.items()}
    text = max(scores, key=scores.get)
    return text, 1 / sum(math.exp(score - scores[text]) for score in scores.values()) if text else 0.0


def _step(beam: dict, blank: float, tried: list[tuple[str, float]]) -> dict:
    """All texts after one more frame, whose blank and characters have these log probabilities."""
    result: dict[str, tuple[float, float]] = {}
    for text, (ends_blank, ends_other) in beam.items():
        both = _add(ends_blank, ends_other)
        known = result.get(text, (NEVER, NEVER))
        result[text] = _add(known[0], both + blank), known[1]
        for c, log in tried:
            if text[-1:] == c:  # without a blank between them they are one
                known = result[text]
                result[text] = known[0], _add(known[1], ends_other + log)
                log += ends_blank
            else:
                log += both
            if log > NEVER:
                longer = text + c
                known = result.get(longer, (NEVER, NEVER))
                result[longer] = known[0], _add(known[1], log)
    return result


def _add(a: float, b: float) -> float:
    """log(exp(a) + exp(b))."""
    if a < b:
        a, b = b, a
    return a if b == NEVER else a + math.log1p(math.exp(b - a))
