"""How probable a text is as a word: characters by n-grams of a word list, besides numbers and arbitrary strings."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from jstr.core import InputError

ORDER = 6  # characters of the longest n-gram
POWER = 0.5  # of a word's frequency; signs hold rare words more often than texts do
SHARES = dict(words=0.85, numbers=0.1, arbitrary=0.05)
END = 0.25  # the probability that a number or an arbitrary string ends after a character
MARKS = ".,:/-%$€£"  # within numbers, a tenth of their characters
CACHED = 4_000_000  # numbers kept of the prefixes seen last


class NGram:
    """Probability of the next symbol after some others, interpolated over all orders (Witten and Bell 1991).

    The weight of order n is t / (t + u), with t the weight of all that followed these symbols and u how many different
    ones did; the rest falls to order n - 1, and in the end to all symbols alike. Symbols are numbers from 0 to
    size - 1; `size` itself starts each word, and size + 1 ends it.
    """

    def __init__(self, words: list[list[int]], weights: np.ndarray, size: int, order: int = ORDER):
        self.start, self.end, self._base = size, size + 1, size + 2
        self.order = max(1, min(order, int(62 / math.log2(self._base))))  # an n-gram is one int64
        lengths = np.array([len(word) + 2 for word in words])
        symbols = np.array([s for word in words for s in (self.start, *word, self.end)], np.int64)
        place = np.arange(len(symbols)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        weight, keys = np.repeat(weights, lengths), np.zeros(len(symbols), np.int64)
        self._tables = []
        for before in range(self.order):
            moved = np.concatenate([np.zeros(before, np.int64), symbols[: len(symbols) - before]])
            keys += moved * self._base**before
            whole = place >= max(before, 1)  # neither beyond the start of the word, nor the start itself
            grams, which = np.unique(keys[whole], return_inverse=True)
            self._tables.append((grams, np.bincount(which, weights=weight[whole])))

    def following(self, context: tuple[int, ...]) -> np.ndarray:
        """[size + 2] probabilities of each symbol after `context`, of which the last order - 1 symbols count."""
        context = context[max(0, len(context) - self.order + 1) :]
        if context:
            result = self.following(context[1:])
        else:  # the start never follows
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
    """log P(text), and of all texts that begin so, for texts over `characters`; case is not told apart.

    counts: words with their frequencies, of which characters outside of `characters` are left out.

    Raises:
      InputError: no word is left.
    """

    def __init__(self, counts: Mapping[str, float], characters: str):
        self._place = {c: i for i, c in enumerate(characters)}
        folded = sorted({_fold(c) for c in characters})
        symbol_of = {c: i for i, c in enumerate(folded)}
        self._symbols = np.array([symbol_of[_fold(c)] for c in characters])
        variants = np.bincount(self._symbols)[self._symbols]
        self._log_variants = np.log(np.append(variants, 1))
        words: dict[tuple[int, ...], float] = {}
        for word, count in counts.items():
            known = tuple(symbol_of[c] for c in map(_fold, word) if c in symbol_of)
            if known:
                words[known] = max(words.get(known, 0.0), count)
        if not words:
            raise InputError(f"none of the {len(counts):,} words of the language model has a character of the charset")
        weights = np.array(list(words.values()))
        self._words = NGram([*words], (weights / weights.min()) ** POWER, len(folded))
        self._others, shares = _others(characters)
        self._shares = np.log([SHARES["words"], *shares]) - math.log(SHARES["words"] + sum(shares))
        self._limit = max(100, CACHED // (len(self._shares) * (len(characters) + 1)))
        self._tables: dict[str, tuple[np.ndarray, np.ndarray]] = {}

    def log_prefix(self, text: str) -> float:
        """Natural logarithm of the probability of all texts that begin with `text`; 0 for the empty one."""
        return self._table(text[:-1])[1].item(self._place[text[-1]]) if text else 0.0

    def log_whole(self, text: str) -> float:
        """Natural logarithm of the probability of `text`."""
        return self._table(text)[1].item(-1)

    def _table(self, text: str) -> tuple[np.ndarray, np.ndarray]:
        """Of `text` and one more character, or its end: logarithms [kinds, V + 1], and those of their sum [V + 1]."""
        found = self._tables.get(text)
        if found is None:
            before = self._table(text[:-1])[0][:, self._place[text[-1]]] if text else self._shares
            context = (self._words.start, *(self._symbols[self._place[c]] for c in text[-ORDER:]))
            following = self._words.following(context)
            word = np.log(np.append(following[self._symbols], following[self._words.end])) - self._log_variants
            kinds = before[:, None] + np.concatenate([word[None], self._others])
            if len(self._tables) >= self._limit:
                self._tables.clear()
            found = self._tables[text] = kinds, np.logaddexp.reduce(kinds, axis=0)
        return found


def _fold(c: str) -> str:
    return c.lower() if len(c.lower()) == 1 else c


def _others(characters: str) -> tuple[np.ndarray, list[float]]:
    """(logarithms [kinds, V + 1] of the next character and of the end, shares [kinds]): numbers, arbitrary strings.

    Without digits in the charset there are no numbers.
    """
    digits = np.array([c.isdigit() for c in characters])
    marks = np.array([c in MARKS for c in characters])
    rows, shares = [np.full(len(characters), 1 / len(characters))], [SHARES["arbitrary"]]
    if digits.any():
        number = digits / digits.sum()
        rows.insert(0, 0.9 * number + 0.1 * marks / marks.sum() if marks.any() else number)
        shares.insert(0, SHARES["numbers"])
    with np.errstate(divide="ignore"):
        return np.log([np.append((1 - END) * row, END) for row in rows]), shares
