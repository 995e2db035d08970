"""A prior over texts: a mixture of character n-grams of a word list, of numbers, and of arbitrary strings."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterator, Mapping

import numpy as np

from jstr.data.patterns.nfa import written_forms
from jstr.text.messages import InputError
from jstr.text.unicode_forms import form_within

LANGUAGE_WEIGHT, WIDTH = 0.5, 8  # of a prior and of the beam that uses it, where a config does not say
ORDER = 6  # characters in the longest n-gram
POWER = 0.5  # applied to word frequencies, because rare words are more common on signs than in running text
LARGEST_RATIO = 1e15  # of two word frequencies; smaller ones are raised, because more leaves the range of floats
SHARES = dict(words=0.85, numbers=0.1, arbitrary=0.05)
END = 0.25  # probability that a number or an arbitrary string ends after a character
MARKS = ".,:/-%$€£"  # a tenth of the characters of numbers
SPACE = 0.2  # probability that another word follows one, where there is a space among the characters
CACHED = 4_000_000  # floats cached for prefixes


class NGram:
    """The probability of the next symbol given those before, interpolated over all orders (Witten and Bell 1991).

    After a context of n symbols, their n-grams get weight t / (t + u), where t is the total weight and u the number of
    different symbols that followed it. The rest goes to the context of n - 1 symbols, and finally to a uniform
    distribution. Symbols are 0 to size - 1; `size` starts each word and size + 1 ends it.

    words: lists of symbols. weights [N]: of the words. order: symbols in the longest n-gram.
    """

    def __init__(self, words: list[list[int]], weights: np.ndarray, size: int, order: int = ORDER):
        self.start, self.end, self._base = size, size + 1, size + 2
        self.order = max(1, min(order, int(62 / math.log2(self._base))))  # an n-gram is one int64
        lengths = np.array([len(word) + 2 for word in words])
        flat = itertools.chain.from_iterable((self.start, *word, self.end) for word in words)
        symbols = np.fromiter(flat, np.int64, lengths.sum())
        place = np.arange(len(symbols)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        weight, keys = np.repeat(weights, lengths), np.zeros(len(symbols), np.int64)
        self._tables = []
        for before in range(self.order):
            moved = np.pad(symbols, (before, 0))[: len(symbols)]
            keys += moved * self._base**before
            whole = place >= max(before, 1)  # n-grams within a word that do not predict its start
            grams, which = np.unique(keys[whole], return_inverse=True)
            self._tables.append((grams, np.bincount(which, weights=weight[whole])))

    @classmethod
    def of_tables(cls, tables: list[tuple[np.ndarray, np.ndarray]], size: int) -> NGram:
        """The one whose `tables` these are: for each order the n-grams, sorted, and their weights."""
        model = cls.__new__(cls)
        model.start, model.end, model._base = size, size + 1, size + 2
        model.order, model._tables = len(tables), tables
        return model

    @property
    def tables(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """All that `of_tables` needs beside the size."""
        return self._tables

    def following(self, context: tuple[int, ...]) -> np.ndarray:
        """Probabilities [size + 2] of the next symbol after `context`, of which the last order - 1 symbols count."""
        context = context[max(0, len(context) - self.order + 1) :]
        if context:
            result = self.following(context[1:])
        else:  # the start symbol never follows
            result = np.full(self._base, 1 / (self._base - 1))
            result[self.start] = 0.0
        grams, weights = self._tables[len(context)]
        first = 0
        for symbol in (*context, 0):
            first = first * self._base + symbol
        low, high = np.searchsorted(grams, (first, first + self._base))
        if low == high:
            return result
        total = weights[low:high].sum()
        result = result * ((high - low) / (total + high - low))
        result[grams[low:high] - first] += weights[low:high] / (total + high - low)
        return result


class WordPrior:
    """log P(text) and the log probability of a prefix, for texts over `characters`. Case is ignored.

    With a space among the characters a text is a sequence of words, each a word of the list, a number or arbitrary
    by itself; a space ends a word with probability SPACE, the end of the text with the rest.

    counts: words and their frequencies. Characters that are not among `characters` are left out of the words; phrases
    are taken apart.

    Raises:
      InputError: no word is left, or frequencies that are not finite or all 0.
    """

    def __init__(self, counts: Mapping[str, float], characters: str):
        symbol_of = self._prepare(characters)
        words: dict[tuple[int, ...], float] = {}
        symbol = functools.cache(lambda c: symbol_of.get(_fold(c)))
        for word, count in counts.items() if self._space is None else _words_of(counts):
            word = form_within(word, lambda c: symbol(c) is not None)
            if known := tuple(number for c in word if (number := symbol(c)) is not None):
                words[known] = max(words.get(known, 0.0), count)
        if not words:
            raise InputError(f"none of the {len(counts):,} words of the language model has a character of the charset")
        weights = np.array(list(words.values()), np.float64)
        if not (np.isfinite(weights).all() and weights.max() > 0):
            raise InputError("frequencies of the language model must be finite, and one of them above 0")
        weights = np.maximum(weights, weights.max() / LARGEST_RATIO)
        self._words = NGram([*words], (weights / weights.min()) ** POWER, len(symbol_of))

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, np.ndarray], characters: str) -> WordPrior:
        """The one whose `arrays` these are: takes a hundredth of the time that counting the n-grams does."""
        prior = cls.__new__(cls)
        symbol_of = prior._prepare(characters)
        tables = [(arrays[f"grams_{n}"], arrays[f"weights_{n}"]) for n in range(len(arrays) // 2)]
        prior._words = NGram.of_tables(tables, len(symbol_of))
        return prior

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """Its n-grams, sorted, and their weights; with the characters all that `of_arrays` needs."""
        pairs = enumerate(self._words.tables)
        return {
            f"{name}_{n}": array for n, pair in pairs for name, array in zip(("grams", "weights"), pair, strict=True)
        }

    def _prepare(self, characters: str) -> dict[str, int]:
        """Sets what depends on the characters only; returns the symbol of each of them, without case."""
        self._index = written_forms(characters)
        self._space = self._index.get(" ")
        folded = sorted({_fold(c) for c in characters if c != " "})
        symbol_of = {c: i for i, c in enumerate(folded)}
        self._symbols = np.array([symbol_of.get(_fold(c), 0) for c in characters])
        variants = np.bincount([symbol_of[_fold(c)] for c in characters if c != " "])[self._symbols]
        self._log_variants = np.log(np.append(variants, 1))
        self._others, shares = _others(characters)
        self._shares = np.log([SHARES["words"], *shares]) - math.log(SHARES["words"] + sum(shares))
        self._limit = max(100, CACHED // (len(self._shares) * (len(characters) + 1)))
        self._tables: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        return symbol_of

    def log_prefix(self, text: str) -> float:
        """Natural logarithm of the probability that a text begins with `text`; 0 for the empty prefix."""
        return self._table(text[:-1])[1].item(self._index[text[-1]]) if text else 0.0

    def log_whole(self, text: str) -> float:
        """Natural logarithm of the probability of `text`."""
        return self._table(text)[1].item(-1)

    def _table(self, text: str) -> tuple[np.ndarray, np.ndarray]:
        """Log probabilities of `text` and each next character or the end: by kind [kinds, V + 1], summed [V + 1]."""
        found = self._tables.get(text)
        if found is None:
            last = text if self._space is None else text.rpartition(" ")[2]
            if last:
                before = self._table(text[:-1])[0][:, self._index[text[-1]]]
            else:  # a word begins, of any kind
                before = self._shares + (self.log_prefix(text) if text else 0.0)
            context = (self._words.start, *(self._symbols[self._index[c]] for c in last[-ORDER:]))
            following = self._words.following(context)
            word = np.log(np.append(following[self._symbols], following[self._words.end])) - self._log_variants
            word = _end_or_space(word, self._space)
            kinds = before[:, None] + np.concatenate([word[None], self._others])
            if len(self._tables) >= self._limit:
                self._tables.clear()
            found = self._tables[text] = kinds, np.logaddexp.reduce(kinds, axis=0)
        return found


def _fold(c: str) -> str:
    """Lower case, where that is a single character."""
    return c.lower() if len(c.lower()) == 1 else c


def _others(characters: str) -> tuple[np.ndarray, list[float]]:
    """(log probabilities [kinds, V + 1] of the next character or the end, shares [kinds]) of numbers and other strings.

    There are no numbers without digits among `characters`.
    """
    digits = np.array([c.isdigit() for c in characters])
    marks = np.array([c in MARKS for c in characters])
    visible = np.array([c != " " for c in characters])
    rows, shares = [visible / visible.sum()], [SHARES["arbitrary"]]
    if digits.any():
        number = digits / digits.sum()
        rows.insert(0, 0.9 * number + 0.1 * marks / marks.sum() if marks.any() else number)
        shares.insert(0, SHARES["numbers"])
    with np.errstate(divide="ignore"):
        logs = np.log([np.append((1 - END) * row, END) for row in rows])
    space = characters.find(" ")
    return np.stack([_end_or_space(row, None if space < 0 else space) for row in logs]), shares


def _end_or_space(row: np.ndarray, space: int | None) -> np.ndarray:
    """Log probabilities [V + 1] of the next character or the end of a word, which may be a space."""
    if space is not None:
        row[space] = row[-1] + math.log(SPACE)
        row[-1] += math.log1p(-SPACE)
    return row


def _words_of(counts: Mapping[str, float]) -> Iterator[tuple[str, float]]:
    return ((word, count) for phrase, count in counts.items() for word in phrase.split())
