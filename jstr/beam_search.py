"""Beam search with a prior over texts (the fusion is called shallow), for CTC and for decoders that end with EOS."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from jstr.ngram import WordPrior

BONUS = 2.0  # for each character, in units of the prior's weight: about what a character costs within a word
MARGIN = 8.0  # what is less probable than exp(-MARGIN) is not followed
TRIED = 8  # the most characters tried in a frame
NEVER = -math.inf


def ctc_search(
    probabilities: np.ndarray, characters: str, prior: WordPrior, weight: float, width: int
) -> tuple[str, float]:
    """(text, confidence) for probabilities [T, 1 + V] of the blank and of `characters` (Hannun et al. 2014).

    The text maximises log P(text | frames) + weight * (log P(text) + BONUS * length), where P(text | frames) sums over
    the paths within the beam. Its confidence is the share of that score, without the logarithm, among the texts left in
    the end; 0 for an empty text. width: texts kept after each frame.
    """

    def fused(item) -> float:
        text, (blank, other) = item
        return _add(blank, other) + weight * (prior.log_prefix(text) + BONUS * len(text))

    beam = {"": (0.0, NEVER)}  # text -> log probability of the paths that end with a blank, and of the others
    for blank, tried in _frames(probabilities, characters):
        beam = _step(beam, blank, tried)
        if len(beam) > width:
            beam = dict(sorted(beam.items(), key=fused, reverse=True)[:width])
    return _best({t: _add(*paths) + weight * (prior.log_whole(t) + BONUS * len(t)) for t, paths in beam.items()})


def position_search(
    probabilities: np.ndarray, characters: str, prior: WordPrior, weight: float, width: int
) -> tuple[str, float]:
    """The same for probabilities [T, 1 + V] of EOS and of `characters`, each position for itself.

    Those of an attention decoder depend on what it wrote before, greedily; here they stand for any text, which is ours.
    So letters can be exchanged and the end moved, but what follows another letter is not asked for anew.
    """

    def fused(item) -> float:
        return item[1] + weight * (prior.log_prefix(item[0]) + BONUS * len(item[0]))

    beam, ended = {"": 0.0}, {}  # text -> log probability
    for end, tried in _frames(probabilities, characters):
        for text, log in beam.items():
            ended[text] = log + end + weight * (prior.log_whole(text) + BONUS * len(text))
        longer = {text + c: log + more for text, log in beam.items() for c, more in tried}
        least = max(ended.values()) - MARGIN
        kept = sorted(((fused(item), item) for item in longer.items()), reverse=True)[:width]
        beam = dict(item for score, item in kept if score > least)
    return _best(ended)


def _best(scores: dict[str, float]) -> tuple[str, float]:
    """The text of the highest score, and the share of its exponential among all; 0 if it is empty."""
    text = max(scores, key=scores.get)
    return text, 1 / sum(math.exp(score - scores[text]) for score in scores.values()) if text else 0.0


def _frames(probabilities: np.ndarray, characters: str) -> Iterator[tuple[float, list[tuple[str, float]]]]:
    """For each of [T, 1 + V] the log of the first, and the characters that are tried with theirs."""
    order = np.argsort(-probabilities[:, 1:], axis=1)[:, :TRIED]
    logs = np.log(np.maximum(np.take_along_axis(probabilities[:, 1:], order, axis=1), 1e-30))
    firsts = np.log(np.maximum(probabilities[:, 0], 1e-30))
    for first, places, some in zip(firsts.tolist(), order.tolist(), logs.tolist(), strict=True):
        yield first, [(characters[p], log) for p, log in zip(places, some, strict=True) if log >= -MARGIN]


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
