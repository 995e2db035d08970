"""Words without pictures, for language models: from word lists, frequency lists and texts of any size.

A text is read once, line by line, and only its different words are kept, with how often they occur. Words drawn by that
frequency are distributed as words drawn from the text, so its length costs neither memory nor time later.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable

import grain
import numpy as np

from jstr.augment.host import spelling
from jstr.core import InputError
from jstr.data.sample_filter import chosen
from jstr.data.word_lists import count_words, word_file
from jstr.text import Charset, LabelReport

BLOCK = 4096
NOISED = "noised"


class TextWords:
    """Words of a file in a random sequence; element i is a pure function of (seed, i): {label, key, broken}.

    path: a bundled list ("english"), a frequency list or a text, see count_words.
    power: 1 draws words as often as they occur; 0 all alike.
    words: the usable different ones, sorted. notes: what was read and left out, a line each.

    Raises:
      InputError: the file cannot be read or holds no usable word.
    """

    def __init__(self, name: str, charset: Charset, path: str, seed: int = 0, power: float = 1.0, size: int = 10**9):
        self.name, self.path, self._seed, self._size = name, path, seed, size
        counts = count_words(path)
        report, usable = LabelReport(charset), Counter()
        for word, count in counts.items():
            if report.usable(word):
                usable[charset.normalise(word)] += count
        report.require_some(f"{name} ({path})")
        self.words = sorted(usable)
        self._weights = np.array([usable[w] for w in self.words], np.float64) ** power
        self.notes = [line.replace(" labels used", " different words used") for line in report.lines(name)]
        self.keep(np.arange(len(self.words)))

    @property
    def count(self) -> int:
        """The number of different words that are drawn."""
        return len(self._kept)

    def keep(self, indices: np.ndarray) -> None:
        """From now on only these of `words` are drawn."""
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


def open_words(name: str, row, charset: Charset, resolve: Callable[[str], str]) -> TextWords:
    """The words that a config row describes: words=dict(path=..., seed=..., power=...), and share= of different ones.

    resolve: makes a path of one that is no bundled list.

    Raises:
      InputError: an option that there is not, or what TextWords and chosen raise.
    """
    options = dict(row["words"])
    path = str(options.pop("path", "english"))
    path = path if word_file(path).exists() else resolve(path)
    try:
        words = TextWords(name, charset, path, **options)
    except TypeError as error:
        raise InputError(f"source {name}, words: {error}") from error
    if "share" in row:
        indices, part = np.arange(len(words.words)), (row["share"], row.get("share_start", 0.0))
        words.keep(chosen(indices, len(indices), *part, row.get("share_seed", 0), name))
        words.notes.append(f"{name}: of these {words.count:,} chosen")
    return words


def text_stream(dataset: grain.MapDataset, seed: int, where: str, views, charset: Charset) -> grain.MapDataset:
    """Element {label, key, broken} to {tokens, noised, key, broken}: the word, and what views.noised made of it.

    That is text operation -> parameters, as in jstr/augment/host/spelling.py; none: the word itself.

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
