"""Words without images, for language models: from word lists, frequency lists and texts of any size.

A text is read once, line by line, and only its distinct words and their counts are kept. Words drawn by frequency are
distributed like words drawn from the text, so its length costs neither memory nor time later.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Mapping
from typing import Any

import grain
import numpy as np

from jstr.augment.host import spelling
from jstr.data.word_lists import count_words
from jstr.text import Charset
from jstr.text.label_report import LabelReport
from jstr.text.messages import InputError

BLOCK = 4096
NOISED = "noised"


class TextWords:
    """Words of a file in a random sequence; element i is a pure function of (seed, i): {label, key, broken}.

    path: a bundled list ("english"), a frequency list or a text, see count_words.
    power: 1 draws words as often as they occur, 0 all equally often.
    words: the usable distinct words, sorted. notes: what was read and left out, a line each.

    Raises:
      InputError: the file cannot be read or holds no usable word, or a seed, size or power that cannot be.
    """

    def __init__(self, name: str, charset: Charset, path: str, seed: int = 0, power: float = 1.0, size: int = 10**9):
        self.name, self.path, self._seed, self._size = name, path, seed, size
        if not (isinstance(seed, int) and seed >= 0 and isinstance(size, int) and size >= 1):
            raise InputError(f"{name}: seed={seed!r} size={size!r}: give whole numbers, from 0 and from 1")
        counts = count_words(path)
        report, usable = LabelReport(charset), Counter()
        for word, count in counts.items():
            if report.usable(word):
                usable[charset.normalise(word)] += count
        report.require_some(f"{name} ({path})")
        self.words = sorted(usable)
        with np.errstate(over="ignore"):
            self._weights = np.array([usable[w] for w in self.words], np.float64) ** power
        if not 0 < self._weights.sum() < np.inf:
            raise InputError(f"{name}: power={power} cannot be computed with; give 0 (all words equally often) to 1")
        self.notes = [line.replace(" labels used", " different words used") for line in report.lines(name)]
        self.keep(np.arange(len(self.words)))

    @property
    def count(self) -> int:
        """The number of distinct words that are drawn."""
        return len(self._kept)

    def keep(self, indices: np.ndarray) -> None:
        """Restricts the draws to these positions of `words`."""
        self._kept = indices
        self._cumulative = np.cumsum(self._weights[indices])
        self._block = functools.lru_cache(maxsize=8)(self._draw)

    def _draw(self, block: int) -> np.ndarray:
        place = np.random.default_rng([self._seed, block]).random(BLOCK) * self._cumulative[-1]
        return self._kept[np.minimum(self._cumulative.searchsorted(place, side="right"), len(self._kept) - 1)]

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, i: int) -> dict[str, str]:
        word = self.words[int(self._block(i // BLOCK)[i % BLOCK])]
        return {"label": word, "key": f"{self.name}/{word}", "broken": ""}

    def __getstate__(self) -> dict:
        return {k: v for k, v in self.__dict__.items() if k != "_block"}

    def __setstate__(self, state: dict) -> None:
        self.__dict__.update(state)
        self.keep(self._kept)

    def __repr__(self) -> str:
        return f"TextWords({self.name}, {self.path}, seed={self._seed})"


def text_stream(
    dataset: grain.MapDataset, seed: int, where: str, views: Mapping[str, Any], charset: Charset
) -> grain.MapDataset:
    """Element {label, key, broken} to {tokens, noised, key, broken}: the word, and the word after views.noised.

    views.noised maps text operations (jstr/augment/host/spelling.py) to their parameters; none leaves the word as is.

    Raises:
      InputError: other views, or an operation that does not exist.
    """
    if set(views) - {NOISED}:
        raise InputError(f"{where} has {sorted(views)}; a stream of text has only {NOISED}")
    noise = dict(views.get(NOISED, {}))
    spelling.check_noise(f"{where}.{NOISED}", noise)
    letters = [c for c in charset.characters if c.isalpha()] or list(charset.characters)

    def make(sample: dict, rng: np.random.Generator | None) -> dict:
        word = noised = charset.normalise(sample["label"])
        for op, parameters in noise.items():
            noised = spelling.TEXT_OPS[op](noised, rng, letters, charset.max_length, **parameters)
        encoded = {"tokens": charset.encode(word), "noised": charset.encode(noised)}
        return encoded | {"key": sample["key"], "broken": sample["broken"]}

    if noise:
        return dataset.seed(seed).random_map(make)
    return dataset.map(lambda sample: make(sample, None))
