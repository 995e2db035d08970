"""Beam search with a prior over texts (shallow fusion), for CTC and for decoders that end words with EOS."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np

from jstr.decoding.ngram_lm import WordPrior

BONUS = 2.0  # per character, in units of the prior's weight: about what a character of a word costs in the prior
MARGIN = 8.0  # characters and texts less probable than exp(-MARGIN) are pruned
MAX_CANDIDATES = 8  # characters tried per frame
IMPOSSIBLE = -math.inf
BELIEVABLE = 0.01  # texts that the image alone makes less probable lose confidence: the prior has invented them


def ctc_search(
    probabilities: np.ndarray, characters: str, prior: WordPrior, weight: float, width: int
) -> tuple[str, float]:
    """(text, confidence) for probabilities [T, 1 + V] of the blank and of `characters` (Hannun et al. 2014).

    The text maximises log P(text | frames) + weight * (log P(text) + BONUS * length), where P(text | frames) sums over
    the paths within the beam. Its confidence is the share of exp(score) among the texts of the final beam, lowered
    where P(text | frames) is below BELIEVABLE; 0 for an empty text. width: texts kept after each frame.
    """

    def fused(item) -> float:
        text, (blank, other) = item
        return _log_add(blank, other) + weight * (prior.log_prefix(text) + BONUS * len(text))

    beam = {"": (0.0, IMPOSSIBLE)}  # text -> log probability of its paths that end with a blank, and of the others
    for blank, candidates in _frames(probabilities, characters):
        beam = _ctc_step(beam, blank, candidates)
        if len(beam) > width:
            beam = dict(sorted(beam.items(), key=fused, reverse=True)[:width])
    logs = {text: _log_add(*paths) for text, paths in beam.items()}
    return _best({t: (log + weight * (prior.log_whole(t) + BONUS * len(t)), log) for t, log in logs.items()})


def position_search(
    probabilities: np.ndarray, characters: str, prior: WordPrior, weight: float, width: int
) -> tuple[str, float]:
    """`ctc_search` for probabilities [T, 1 + V] of EOS and of `characters` at positions that are independent."""
    beam, ended = [("", 0.0, 0)], {}
    for left, row in zip(range(len(probabilities) - 1, -1, -1), _frames(probabilities, characters), strict=True):
        beam = _extend(beam, [row] * len(beam), ended, prior, weight, width if left else 0)
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
    """`ctc_search` for B words at once and an autoregressive decoder, which is re-run after each prefix.

    probabilities [B, 1 + V]: of EOS and of `characters` at the first step. steps: the most steps, EOS included.
    advance(parents, written), both [width, B] int32, returns probabilities [width, B, 1 + V] after each of the `width`
    texts of a word. Each is the text that was at index `parent` of its beam, followed by character number `written`.
    """
    index_of = {c: i for i, c in enumerate(characters)}
    beams, ended = [[("", 0.0, 0)] for _ in probabilities], [{} for _ in probabilities]
    probabilities = probabilities[None]
    for left in range(steps - 1, -1, -1):
        parents, written = np.zeros((2, width, len(beams)), np.int32)
        for word, beam in enumerate(beams):
            rows = list(_frames(probabilities[: len(beam), word], characters))
            beams[word] = _extend(beam, rows, ended[word], prior, weight, width if left else 0) if beam else []
            for i, (text, _, parent) in enumerate(beams[word]):
                parents[i, word], written[i, word] = parent, index_of[text[-1]]
        if not left or not any(beams):
            break
        probabilities = advance(parents, written)
    return [_best(scores) for scores in ended]


def _extend(beam: list, rows: list, ended: dict, prior: WordPrior, weight: float, width: int) -> list:
    """The best `width` texts of `beam` plus one character: (text, log probability, index of its prefix in `beam`).

    rows: the result of `_frames` for each of them. width: 0 at the last step. Adds to `ended` the score of each text
    that may end here and its log probability without the prior. A text whose end is as improbable as a character that
    is pruned may not: a heavy prior would otherwise cut long numbers short.
    """
    longer = []
    for parent, ((text, log, _), (end, candidates)) in enumerate(zip(beam, rows, strict=True)):
        if end >= -MARGIN or not candidates or not width:
            ended[text] = log + end + weight * (prior.log_whole(text) + BONUS * len(text)), log + end
        for c, more in candidates:
            score = log + more + weight * (prior.log_prefix(text + c) + BONUS * (len(text) + 1))
            longer.append((score, text + c, log + more, parent))
    least = max((score for score, _ in ended.values()), default=IMPOSSIBLE) - MARGIN
    return [tuple(rest) for score, *rest in sorted(longer, reverse=True)[:width] if score > least]


def _best(texts: dict[str, tuple[float, float]]) -> tuple[str, float]:
    """The text with the highest score and its confidence. texts: (score, log probability without the prior) of each."""
    text = max(texts, key=lambda text: texts[text][0])
    best, log = texts[text]
    share = 1 / sum(math.exp(score - best) for score, _ in texts.values())
    return text, share * min(1.0, math.exp(log) / BELIEVABLE) if text else 0.0


def _frames(probabilities: np.ndarray, characters: str) -> Iterator[tuple[float, list[tuple[str, float]]]]:
    """Of each row of [T, 1 + V]: log of the first probability, and the most probable characters with theirs."""
    order = np.argsort(-probabilities[:, 1:], axis=1)[:, :MAX_CANDIDATES]
    logs = np.log(np.maximum(np.take_along_axis(probabilities[:, 1:], order, axis=1), 1e-30))
    firsts = np.log(np.maximum(probabilities[:, 0], 1e-30))
    for first, row_order, row_logs in zip(firsts.tolist(), order.tolist(), logs.tolist(), strict=True):
        yield first, [(characters[i], log) for i, log in zip(row_order, row_logs, strict=True) if log >= -MARGIN]


def _ctc_step(beam: dict, blank: float, candidates: list[tuple[str, float]]) -> dict:
    """All texts after one more frame, whose blank and characters have these log probabilities."""
    result: dict[str, tuple[float, float]] = {}
    for text, (ends_blank, ends_other) in beam.items():
        both = _log_add(ends_blank, ends_other)
        known = result.get(text, (IMPOSSIBLE, IMPOSSIBLE))
        result[text] = _log_add(known[0], both + blank), known[1]
        for c, log in candidates:
            if text[-1:] == c:  # a repeat without a blank in between is the same character
                known = result[text]
                result[text] = known[0], _log_add(known[1], ends_other + log)
                log += ends_blank
            else:
                log += both
            if log > IMPOSSIBLE:
                longer = text + c
                known = result.get(longer, (IMPOSSIBLE, IMPOSSIBLE))
                result[longer] = known[0], _log_add(known[1], log)
    return result


def _log_add(a: float, b: float) -> float:
    """log(exp(a) + exp(b))."""
    if a < b:
        a, b = b, a
    return a if b == IMPOSSIBLE else a + math.log1p(math.exp(b - a))
