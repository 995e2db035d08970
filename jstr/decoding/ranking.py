"""From the scores of a beam of texts to probabilities, and where each character of the best one is certain."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from jstr.data.patterns.pattern import Pattern
from jstr.text import tidy

BELIEVABLE = 0.01  # texts that the image alone makes less probable lose confidence: the prior has invented them

Scores = dict[str, tuple[float, float]]  # text -> score, and log probability without the prior
Ranked = list[tuple[str, float]]  # texts by their scores, the best first, and their probabilities


class Found(NamedTuple):
    """What a search finds in an image. texts: with their probabilities, the best first, at least one.

    rows [T, 1 + V]: probabilities of the blank or EOS and of the characters; None for autoregressive recognisers.
    """

    texts: Ranked
    rows: np.ndarray | None = None


def ranked(texts: Scores, characters: str, pattern: Pattern | None = None) -> Ranked:
    """The texts of a beam by their scores, with probabilities that sum to at most 1; [("", 0.0)] for none.

    A probability is the share of exp(score) in the beam, lowered where P(text | image) is below BELIEVABLE, then even
    below that of a text of a lower score; 0 for an empty text. With a pattern, P(text | image) is that among the texts
    that follow it, and all are multiplied by the probability that this is no other text: (1 - s) Z / ((1 - s) Z + s
    (1 - Z)), where Z sums P(text | image) over the texts that follow the pattern and s is the share of crops that do
    not. Without one, texts that differ in white space only are one text, as labels have it, with the sum of their
    shares. characters: of the charset.
    """
    if not texts:
        return [("", 0.0)]
    best = max(score for score, _ in texts.values())
    merged: dict[str, tuple[float, float]] = {}  # share before it is divided by all, and P(text | image)
    for text, (score, log) in texts.items():
        form = tidy(text, characters) if pattern is None else text
        share, seen = merged.get(form, (0.0, 0.0))
        merged[form] = share + math.exp(score - best), seen + math.exp(log)
    total, mass, code = sum(share for share, _ in merged.values()), 1.0, 1.0
    if pattern is not None:
        mass = min(1.0, max(sum(seen for _, seen in merged.values()), 1e-300))
        within, others = (1 - pattern.spec.none) * mass, pattern.spec.none * (1 - mass)
        code = within / (within + others)

    def probability(text: str) -> float:
        share, seen = merged[text]
        return share / total * min(1.0, seen / mass / BELIEVABLE) * code if text else 0.0

    return [(text, probability(text)) for text in sorted(merged, key=lambda text: -merged[text][0])]


def character_probabilities(text: str, texts: Ranked) -> list[float]:
    """Of each character of `text`: the summed probabilities of the texts that agree in it.

    A text agrees in the characters that an alignment with the fewest edits leaves alone.
    """
    sums = [0.0] * len(text)
    for other, probability in texts:
        for i in kept_characters(text, other):
            sums[i] += probability
    return sums


def kept_characters(text: str, other: str) -> list[int]:
    """Places of the characters of `text` that stay when it is turned into `other` with the fewest edits.

    Of several such alignments, that which keeps the leftmost characters.
    """
    if text == other:
        return list(range(len(text)))
    cost = [[0] * (len(other) + 1) for _ in range(len(text) + 1)]  # of what comes after i and j
    for i in range(len(text), -1, -1):
        for j in range(len(other), -1, -1):
            if i == len(text) or j == len(other):
                cost[i][j] = len(text) - i + len(other) - j
            else:
                differs = text[i] != other[j]
                cost[i][j] = min(cost[i + 1][j + 1] + differs, cost[i + 1][j] + 1, cost[i][j + 1] + 1)
    return _trace(text, other, cost)


def _trace(text: str, other: str, cost: Sequence[Sequence[int]]) -> list[int]:
    kept, i, j = [], 0, 0
    while i < len(text) and j < len(other):
        differs = text[i] != other[j]
        if cost[i][j] == cost[i + 1][j + 1] + differs:
            if not differs:
                kept.append(i)
            i, j = i + 1, j + 1
        elif cost[i][j] == cost[i + 1][j] + 1:
            i += 1
        else:
            j += 1
    return kept
