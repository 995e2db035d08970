"""Beam search with a prior over texts (the fusion is called shallow), for CTC and for decoders that end with EOS."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np

from jstr.decoding.ngram_lm import WordPrior

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
    """The same for probabilities [T, 1 + V] of EOS and of `characters` that hold whatever stands before and behind."""
    beam, ended = [("", 0.0, 0)], {}
    for row in _frames(probabilities, characters):
        beam = _longer(beam, [row] * len(beam), ended, prior, weight, width)
    return _best(ended)


def attention_search(
    probabilities: np.ndarray,
    advance: Callable[[np.ndarray, np.ndarray], np.ndarray],
    steps: int,
    characters: str,
    prior: WordPrior,
    weight: float,
    width: int,
) -> list[tuple[str, float]]:
    """The same for B words at once and a decoder that reads what it wrote before: it is asked anew after every text.

    probabilities [B, 1 + V] of EOS and of `characters` are those of the first step. advance(parents, written), both
    [width, B] int32, gives [width, B, 1 + V] after each of `width` texts of a word: the one that stood at place
    `parent` before, and the character of number `written`. It is called at most steps - 1 times.
    """
    number = {c: i for i, c in enumerate(characters)}
    beams, ended = [[("", 0.0, 0)] for _ in probabilities], [{} for _ in probabilities]
    probabilities = probabilities[None]
    for left in range(steps - 1, -1, -1):
        parents, written = np.zeros((2, width, len(beams)), np.int32)
        for word, beam in enumerate(beams):
            rows = list(_frames(probabilities[: len(beam), word], characters))
            beams[word] = _longer(beam, rows, ended[word], prior, weight, width) if beam else []
            for place, (text, _, parent) in enumerate(beams[word]):
                parents[place, word], written[place, word] = parent, number[text[-1]]
        if not left or not any(beams):
            break
        probabilities = advance(parents, written)
    return [_best(scores) for scores in ended]


def _longer(beam: list, rows: list, ended: dict, prior: WordPrior, weight: float, width: int) -> list:
    """The best of the texts of `beam` with one more character: (text, log probability, place of the shorter in beam).

    rows: what `_frames` gives for each of them. Adds the score of each, if it ends here, to `ended`.
    """
    longer = []
    for place, ((text, log, _), (end, tried)) in enumerate(zip(beam, rows, strict=True)):
        ended[text] = log + end + weight * (prior.log_whole(text) + BONUS * len(text))
        for c, more in tried:
            score = log + more + weight * (prior.log_prefix(text + c) + BONUS * (len(text) + 1))
            longer.append((score, text + c, log + more, place))
    least = max(ended.values()) - MARGIN
    return [tuple(rest) for score, *rest in sorted(longer, reverse=True)[:width] if score > least]


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
