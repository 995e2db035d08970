"""What a reader knows of a text beyond the text: its characters and the other texts that come into question."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np

from jstr.decoding.alignment import ctc_frames_of, extents
from jstr.decoding.beam_search import Rules
from jstr.decoding.ranking import Found, Ranked, character_probabilities
from jstr.text import Charset

ALTERNATIVES = 5
Centres = list[float] | None  # of the characters of a text, from 0 at the left to 1; None where they are not known


class Searches(Protocol):
    """A reader, as far as it is needed here: jstr.inference.reader.Reader, or that of an exported network."""

    charset: Charset

    @property
    def rules(self) -> Rules: ...

    def search(self, images: np.ndarray) -> list[Found]:
        """What a beam search finds in images uint8 [B, H, W, C], also where texts are read greedily."""
        ...

    def frames(self, images: np.ndarray) -> np.ndarray:
        """CTC: probabilities [B, T, 1 + V] of the blank and of the characters."""
        ...

    def centres(self, images: np.ndarray, texts: Sequence[str]) -> list[Centres]:
        """An attention decoder: where it looks for the characters of each text; otherwise None."""
        ...


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
            c._replace(left=min(c.left / filled, 1.0), right=min(c.right / filled, 1.0)) if c.right else c
            for c in self.characters
        )
        return self._replace(characters=tuple(scaled))


def details_of(reader: Searches, images: np.ndarray, texts: Sequence[str], values: Sequence[float]) -> list[Details]:
    """Of the answers (texts and confidences) of a reader to the first of images uint8 [B, H, W, C]."""
    found = reader.search(images)[: len(texts)]
    codes = [one.texts[0][0] if reader.rules.expect else text for one, text in zip(found, texts, strict=True)]
    rows = zip(found, codes, texts, values[: len(texts)], reader.centres(images, codes), strict=True)
    return [one_detail(reader, *row) for row in rows]


def one_detail(reader: Searches, found: Found, code: str, text: str, value: float, centres: Centres = None) -> Details:
    """Of one answer. code: the text in the charset. centres: of its characters; None: from the frames of CTC."""
    ranked: Ranked = found.texts
    charset = reader.charset
    if reader.rules.expect and ranked[0][1] > 0:  # what lowered the confidence of the answer lowers all
        ranked = [(other, p * min(1.0, float(value) / ranked[0][1])) for other, p in ranked]
    if centres is None and charset.layout.is_ctc and found.rows is not None:
        count, numbers = len(found.rows), [charset.characters.index(c) for c in code]
        centres = [(first + last + 1) / 2 / count for first, last in ctc_frames_of(found.rows, numbers)]
    places = extents(centres) if centres and len(centres) == len(code) else [(None, None)] * len(code)
    chances = character_probabilities(code, ranked)
    characters = [Character(c, min(p, 1.0), *place) for c, p, place in zip(text, chances, places, strict=True)]
    best = [(reader.rules.written(other), p) for other, p in ranked[:ALTERNATIVES] if p > 0]
    return Details(text, float(value), tuple(characters), tuple(best))


def decoder_inputs(charset: Charset, texts: Sequence[str]) -> np.ndarray:
    """Tokens [N, max_length + 2] of texts. One that never ended has a character more, which is the input of no step."""
    return np.stack([charset.encode(text[: charset.max_length]) for text in texts])


def attended(attention: np.ndarray, texts: Sequence[str]) -> list[Centres]:
    """The centres of attention [B, T, S] at the characters of each text; None where they do not ascend."""
    places = (np.arange(attention.shape[2]) + 0.5) / attention.shape[2]
    centres = [(row[: len(text)] @ places).tolist() for row, text in zip(attention, texts, strict=False)]
    return [c if c == sorted(c) else None for c in centres]
