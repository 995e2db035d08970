"""Which readings are sure enough to be labels, and how these change from one round of self-training to the next."""

from __future__ import annotations

import functools
import math
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from jstr import visualize
from jstr.data.source_config import ReadLabel
from jstr.data.synth.fonts import label_faces
from jstr.data.word_lists import count_words

LEAST = 0.75  # of what is sure at Gate.fallback
SHOWN = 10  # lines of the sheet for each kind of change
Texts = Mapping[str, tuple[str, float]]  # key of an image -> text and confidence
Usable = dict[str, ReadLabel | None]  # key -> label; None: not sure


class Gate(NamedTuple):
    """What makes a reading sure: its confidence, or with `share` that it is among that share of the surest.

    lexicon: a word list (see word_lists.count_words); only its words are sure. Compared are letters and digits, without
    case. fallback: at least LEAST of the readings with this confidence are sure, where fewer reach the threshold.
    """

    threshold: float
    share: float | None = None
    lexicon: str = ""
    fallback: float | None = None

    def usable(self, texts: Texts) -> Usable:
        """Key -> the text where it is sure. Of equally sure texts at the border of a share the first are."""
        words = _words(self.lexicon) if self.lexicon else None
        sure = [key for key, (text, _) in texts.items() if text and (words is None or _plain(text) in words)]
        sure.sort(key=lambda key: -texts[key][1])
        if self.share is not None:
            count = math.ceil(self.share * len(texts))
        else:
            count = sum(texts[key][1] >= self.threshold for key in sure)
            if self.fallback is not None:
                count = max(count, math.ceil(LEAST * sum(texts[key][1] >= self.fallback for key in sure)))
        chosen = set(sure[:count])
        return {key: ReadLabel(*reading) if key in chosen else None for key, reading in texts.items()}

    def __str__(self) -> str:
        if self.share is not None:
            what = f"(the surest {self.share:.0%})"
        else:
            what = f"with confidence {self.threshold} or more"
            if self.fallback is not None:
                what += f" (or the surest {LEAST:.0%} of those with {self.fallback}, if they are more)"
        return what + f", words of {self.lexicon} only" * bool(self.lexicon)


def _plain(text: str) -> str:
    return "".join(filter(str.isalnum, unicodedata.normalize("NFC", text.casefold())))


@functools.lru_cache(maxsize=2)
def _words(lexicon: str) -> frozenset[str]:
    return frozenset(map(_plain, count_words(lexicon))) - {""}


def counted(usable: Usable) -> str:
    """How many of how many."""
    return f"{sum(label is not None for label in usable.values()):,} of {len(usable):,}"


class Changes(NamedTuple):
    """Keys of the labels that are new, are others, or are no longer sure."""

    gained: list[str]
    changed: list[str]
    lost: list[str]

    def line(self, before: Usable, now: Usable) -> str:
        """In words, with an example of a changed label."""
        if not any(self):
            return "; no label has changed"
        parts = [f"{len(keys):,} {name}" for name, keys in zip(self._fields, self, strict=True) if keys]
        example = (
            f", such as {_text(before[self.changed[0]])!r} now {_text(now[self.changed[0]])!r}" if self.changed else ""
        )
        return f"; labels: {', '.join(parts)}{example}"


def changes(before: Usable, now: Usable) -> Changes:
    """What is different in the labels of a round."""
    pairs = [(key, _text(before.get(key)), _text(label)) for key, label in now.items()]
    return Changes(
        gained=[key for key, old, new in pairs if old is None and new is not None],
        changed=[key for key, old, new in pairs if None not in (old, new) and old != new],
        lost=[key for key, old, new in pairs if old is not None and new is None],
    )


def _text(label: ReadLabel | None) -> str | None:
    return label and label.text


def draw_changes(
    found: Changes, before: Texts, now: Texts, image_of: Callable[[str], np.ndarray | None]
) -> np.ndarray | None:
    """uint8 [H, W, 3]: some words of each kind of change, with what was read and what is read now; None: no change.

    image_of: key -> image uint8 [h, w, c], None where it is broken.
    """
    shown = {name: keys for name, keys in zip(found._fields, found, strict=True) if keys}
    if not shown:
        return None
    columns = {}
    for name, keys in shown.items():
        some = [keys[i] for i in np.unique(np.linspace(0, len(keys) - 1, SHOWN).astype(int))]
        lines = [(image_of(key), _described(before.get(key)), _described(now[key])) for key in some]
        columns[f"{name}: {len(keys):,} words"] = [line for line in lines if line[0] is not None]
    return visualize.change_sheet(columns, faces_of)


def faces_of(texts: Sequence[str]) -> tuple[list[str], list[Any]]:
    """label_faces in the size of the sheet."""
    return label_faces(texts, size=16)


def _described(reading: tuple[str, float] | None) -> str:
    text, confidence = reading or ("", 0.0)
    return f"{text}  {confidence:.2f}"
