"""What a reader knows of a text beyond the text: its characters and the other texts that come into question."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from jstr.core import Recognizer
from jstr.decoding.alignment import ctc_frames_of, extents
from jstr.decoding.lm_decoder import Found
from jstr.decoding.ranking import Ranked, character_probabilities
from jstr.inference.guide import Guide

ALTERNATIVES = 5


class Character(NamedTuple):
    """A character, the probability that it is right, and the part of the crop's width that it takes up, 0 to 1.

    left, right: about where it stands: neighbours meet halfway. None where the recogniser does not tell.
    """

    character: str
    probability: float
    left: float | None = None
    right: float | None = None


class Details(NamedTuple):
    """A text with its confidence, its characters, and the best texts with their probabilities, which sum to at most 1.

    The probability of a character is that of all texts of the beam that agree in it, so at least the confidence of the
    text where this is the best of the beam.
    """

    text: str
    confidence: float
    characters: tuple[Character, ...] = ()
    alternatives: tuple[tuple[str, float], ...] = ()

    def within(self, filled: float) -> Details:
        """The same for an image of which the crop takes up only this share of the width."""
        if filled >= 1:
            return self
        scaled = (
            c._replace(left=c.left / filled, right=min(c.right / filled, 1.0)) if c.right else c
            for c in self.characters
        )
        return self._replace(characters=tuple(scaled))


def details_of(
    guide: Guide, variables: Mapping[str, Any], images: np.ndarray, texts: Sequence[str], values: Sequence[float]
) -> list[Details]:
    """Of the answers (texts and confidences) of a reader to the first of images uint8 [B, H, W, C]."""
    found = guide.any_search(variables, images)[: len(texts)]
    codes = [one.texts[0][0] if guide.search else text for one, text in zip(found, texts, strict=True)]
    centres = _attended(guide, variables, images, codes) if guide.model.autoregressive else [None] * len(codes)
    rows = zip(found, codes, texts, values[: len(texts)], centres, strict=True)
    return [one_detail(guide, *row) for row in rows]


def one_detail(
    guide: Guide, found: Found, code: str, text: str, value: float, centres: Sequence[float] | None = None
) -> Details:
    """Of one answer. code: the text in the charset. centres: of its characters; None: from the frames of CTC."""
    ranked: Ranked = found.texts
    if guide.search and ranked[0][1] > 0:  # what lowered the confidence of the answer lowers all
        ranked = [(other, p * min(1.0, float(value) / ranked[0][1])) for other, p in ranked]
    numbers = [guide.charset.characters.index(c) for c in code]
    if centres is None and guide.model.model_config.is_ctc and found.rows is not None:
        count = len(found.rows)
        centres = [(first + last + 1) / 2 / count for first, last in ctc_frames_of(found.rows, numbers)]
    places = extents(centres) if centres and len(centres) == len(code) else [(None, None)] * len(code)
    chances = character_probabilities(code, ranked)
    characters = [Character(c, min(p, 1.0), *place) for c, p, place in zip(text, chances, places, strict=True)]
    best = [(guide.written(other), p) for other, p in ranked[:ALTERNATIVES] if p > 0]
    return Details(text, float(value), tuple(characters), tuple(best))


def _attended(
    guide: Guide, variables: Mapping[str, Any], images: np.ndarray, texts: Sequence[str]
) -> list[list[float] | None]:
    """The centres of attention (0 to 1) at the characters of each text; None where they do not ascend."""
    tokens = np.stack([guide.charset.encode(text) for text in texts])
    padded = np.concatenate([tokens, np.repeat(tokens[:1], len(images) - len(tokens), axis=0)])
    attention = np.asarray(_attention(guide.model)(variables, images, padded))
    places = (np.arange(attention.shape[2]) + 0.5) / attention.shape[2]
    centres = [(row[: len(text)] @ places).tolist() for row, text in zip(attention, texts, strict=False)]
    return [c if c == sorted(c) else None for c in centres]


@functools.lru_cache(maxsize=4)
def _attention(model: Recognizer) -> Any:
    return jax.jit(lambda variables, images, tokens: model.apply(variables, images, tokens, train=False)["attention"])
