"""What the word renderer writes: lexicon words, numbers and random strings, within a charset."""

from __future__ import annotations

import functools
import os
import string
import unicodedata
from collections.abc import Container, Iterable, Mapping

import numpy as np

from jstr.data.synth.style import Style
from jstr.data.word_lists import count_words, stamp, word_file
from jstr.text.messages import InputError
from jstr.text.unicode_forms import form_within

# d: a digit, D: a digit but zero, L: a letter; anything else stands for itself. Common forms are repeated.
NUMBERS = (
    *("D", "Dd", "Ddd", "Dddd", "ddddd", "dddddd") * 4,
    *("19dd", "20dd", "Dd", "D0", "D00", "D00") * 2,
    *("$D.dd", "$Dd", "$Dd.dd", "$D,ddd", "D.dd", "£Dd.dd", "£D", "D,ddd", "Dd%", "D0%", "D.d", "€D", "Dd¢", "Ddp"),
    *("D:dd", "1d:dd", "Dd:dd", "Dam", "Dpm", "D:d0pm", "Dd.d0", "Dd/dd", "dd/dd/dd", "dd.dd.dddd", "24/7", "24h"),
    *("ddd-dddd", "ddd.dddd", "(ddd)", "0ddddddddd", "1-800-ddd-dddd", "#Dd", "No.D", "ddddd-dddd", "+dd", "dd-dd"),
    *("1st", "2nd", "3rd", "Dth", "19d0s", "Dkm", "Dmm", "Dkg", "Dml", "Dx", "D-D", "D+", "Dd&D", "Dd-Dd", "D/D", "Dm"),
    *("LLddLLL", "LddLLL", "LLL-ddd", "LLL-dddd", "dLLLddd", "LL-dd-LL", "Ld", "Ldd", "LLdd", "ddL", "dL", "Lddd"),
)
# W: a word of the lexicon.
ADDRESSES = (
    *("www.W.com", "www.W.com", "W.com", "W.com", "www.W.co.uk", "www.W.org", "W.net", "www.WW.com", "WW.com", "W.org"),
    *("http://W.com", "www.W.de", "W.fr", "www.W.in", "W@W.com", "info@W.com", "W.W@W.com", "@W", "#W", "W.com/W"),
)
BEFORE = "(\"'#$&*-"
AFTER = ".,!?:;)\"'-.,!*"


class TextSampler:
    """Draws words as (label, shown): `shown` is the text in the image, `label` is its form in the charset.

    A charset with one case stands for both (`case_insensitive`, derived unless given): most signs are upper-case.
    Words with a letter that the charset lacks are left out; punctuation that it lacks is removed. Under a charset
    without punctuation, images show some that labels lack (Style.unlabelled_marks): signs are full of it.
    words: see `count_words`, or a list of them; "none": only numbers and random strings are drawn.
    """

    def __init__(self, characters: str, max_length: int, style: Style, words=None, case_insensitive=None):
        self.style, self.max_length = style, max_length
        present = set(characters)
        if case_insensitive is None:
            case_insensitive = not any(c != c.swapcase() and c.swapcase() in present for c in characters)
        self.case_insensitive = case_insensitive
        self._fold = {c: c for c in characters if not c.isspace()}
        if case_insensitive:
            for c in characters:
                self._fold.update({v: c for v in (c.lower(), c.upper()) if len(v) == 1 and v not in present})
        written = sorted(self._fold)
        if " " in characters:  # of phrases; never alone
            self._fold[" "] = " "
        self._letters = [c for c in written if c.isalpha()]
        self._pools = [self._letters, [c for c in written if c.isupper()], [c for c in written if c.islower()]]
        if caseless := [c for c in self._letters if not c.isupper() and not c.islower()]:
            self._pools = [caseless, caseless, self._pools[1] + self._pools[2]]
        self._digits = [c for c in written if c.isdigit()]
        self._all = written
        marks = [c for c in written if not c.isalnum()]
        self.silent = "" if marks or not style.unlabelled_marks else string.punctuation + "£€¢"
        self._after = [c for c in AFTER if c in marks or c in self.silent]
        self._before = [c for c in BEFORE if c in marks or c in self.silent]
        self.notes: list[str] = []
        self.words, self._cumulative = self._lexicon(words)

    @property
    def shown(self) -> str:
        """Every character that an image may show."""
        return "".join(self._all) + self.silent

    def _lexicon(self, words) -> tuple[list[str], np.ndarray]:
        counts, fitting = self._count(words)
        kept = [(fit, n) for _, fit, n in fitting]
        if words not in (None, "none") and not kept:
            raise InputError("rendered words: none of the given words fits the charset and max_length; change them")
        if words is not None and len(kept) < len(counts):
            fit_words = {w for w, *_ in fitting}
            example = next(w for w in counts if w not in fit_words)
            self.notes.append(
                f"{len(counts) - len(kept):,} of {len(counts):,} words left out, because the charset lacks a character "
                f"or max_length={self.max_length} is exceeded, such as {example[:40]!r}"
            )
        kept = kept or [("", 1.0)]  # "none", or a charset without any word of the bundled list
        weights = np.array([n for _, n in kept], np.float64) ** self.style.temper
        return [w for w, _ in kept], np.cumsum(weights)

    def _count(self, words) -> tuple[Mapping[str, float], list[tuple[str, str, float]]]:
        """Words and how often they occur, and those of them that can be shown."""
        rules = frozenset(self._fold), self.silent, self.max_length
        if words == "none":
            return {}, []
        if words is None or isinstance(words, (str, os.PathLike)):
            phrase = self.max_length if " " in self._fold else 0
            return count_words(words, phrase), _fitting(words, phrase, stamp(word_file(words)), *rules)
        if not isinstance(words, Iterable) or not all(isinstance(w, str) for w in words):
            raise InputError(f"rendered words: words={words!r} is not a file or a list of words")
        counts = dict.fromkeys(words, 1.0)
        return counts, _fit_all(counts, *rules)

    def _fit(self, text: str) -> str | None:
        """`text` in characters that may be shown, or None."""
        return _fit(text, self._fold, self.silent)

    def draw(self, rng: np.random.Generator) -> tuple[str, str] | None:
        """One (label, shown), or None where the draw has to be repeated."""
        lexicon, numbers, random = self.style.kinds
        kind = rng.random() * (lexicon + numbers + random)
        if kind < lexicon:
            text = self._word(rng)
            if rng.random() < self.style.addresses:
                return self.pair(self._fit(self._address(rng)))
            if " " in self._fold and rng.random() < self.style.phrases:
                text = self._phrase(rng, text)
        elif kind < lexicon + numbers:
            text = self._fit(self._number(rng)) if self._digits else None
        else:
            text = self._random(rng)
        if not text:
            return None
        return self.pair(self._mark(rng, self._case(rng, text) if kind < lexicon + numbers else text))

    def pair(self, shown: str | None) -> tuple[str, str] | None:
        """(label, shown) of a text; None where no label is left of it, or one that is too long."""
        if shown is None:
            return None
        label = "".join([self._fold[c] for c in shown if c in self._fold])
        return (label, shown) if 0 < len(label) <= self.max_length else None

    def _word(self, rng: np.random.Generator) -> str:
        position = rng.random() * self._cumulative[-1]
        return self.words[int(self._cumulative.searchsorted(position, side="right"))]

    def _phrase(self, rng: np.random.Generator, text: str) -> str:
        """`text` and one to three more words, or numbers, as far as they fit."""
        for _ in range(int(rng.integers(1, 4))):
            is_number = self._digits and rng.random() < 0.1
            more = (self._fit(self._number(rng)) or "") if is_number else self._word(rng)
            if more and len(text) + 1 + len(more) <= self.max_length:
                text = f"{text} {more}"
        return text

    def _address(self, rng: np.random.Generator) -> str:
        template = ADDRESSES[rng.integers(len(ADDRESSES))]
        return "".join([self._word(rng).replace(" ", "") if c == "W" else c for c in template])

    def _number(self, rng: np.random.Generator) -> str:
        template = NUMBERS[rng.integers(len(NUMBERS))]
        out = []
        for c in template:
            if c == "L":
                c = self._letters[rng.integers(len(self._letters))].upper() if self._letters else ""
            elif c in "dD":
                c = str(rng.integers(c == "D", 10))
            out.append(c)
        return "".join(out)

    def _random(self, rng: np.random.Generator) -> str:
        low, high = self.style.random_length
        n = int(rng.integers(min(low, self.max_length), min(high, self.max_length) + 1))
        kind = rng.random()
        if kind < 0.75 and self._letters:
            pool = self._pools[rng.integers(3)] or self._letters
        elif kind < 0.85 and self._digits:
            pool = self._digits
        else:
            pool = self._all
        return "".join([pool[j] for j in rng.integers(len(pool), size=n)])

    def _case(self, rng: np.random.Generator, text: str) -> str:
        lower, upper, title = self.style.cases
        kind = rng.random() * (lower + upper + title)
        if rng.random() < self.style.mixed and text.isalpha():
            cased = self._mixed(rng, text)
        elif kind < lower:
            cased = text.lower()
        elif kind < lower + upper:
            cased = text.upper()
        else:
            cased = " ".join([word[:1].upper() + word[1:].lower() for word in text.split(" ")])
        # Case mapping may lengthen a text or leave the charset (sharp s, final sigma): such words keep their case.
        return cased if all(c in self._fold or c in self.silent for c in cased) else text

    def _mixed(self, rng: np.random.Generator, text: str) -> str:
        """iNNer capitals: TwoWords, McNames, or any."""
        kind = rng.random()
        if kind < 0.5:
            return text.capitalize() + self._word(rng).capitalize()
        if kind < 0.75:
            cut = int(rng.integers(1, 4))
            return text[:cut].capitalize() + text[cut:].capitalize()
        capital = rng.random(len(text)) < 0.5
        return "".join([c.upper() if up else c.lower() for c, up in zip(text, capital, strict=True)])

    def _mark(self, rng: np.random.Generator, text: str) -> str:
        share = self.style.unlabelled_marks if self.silent else self.style.punctuation
        if rng.random() >= share:
            return text
        before, after = self._before, self._after
        if before and (not after or rng.random() < 0.3):
            return before[rng.integers(len(before))] + text
        return text + after[rng.integers(len(after))] if after else text


def _fit(text: str, known: Container[str], silent: str) -> str | None:
    """`text` in characters that are known or `silent`, without other marks; None where another letter is in it."""
    out = []
    for c in form_within(" ".join(text.split()), lambda c: c in known or c.swapcase() in known or c in silent):
        if c in known:
            out.append(c)
        elif c.swapcase() in known:
            out.append(c.swapcase())
        elif c in silent:
            out.append(c)
        elif unicodedata.category(c)[0] not in "PS":
            return None
    return "".join(out)


def _fit_all(
    counts: Mapping[str, float], known: frozenset[str], silent: str, max_length: int
) -> list[tuple[str, str, float]]:
    """(word, its form that fits, count) of the words that fit."""
    return [(w, fit, n) for w, n in counts.items() if (fit := _fit(w, known, silent)) and len(fit) <= max_length]


@functools.lru_cache(maxsize=2)
def _fitting(words: str | os.PathLike | None, phrase: int, _: tuple | None, *rules) -> list[tuple[str, str, float]]:
    """_fit_all of a word list, kept for the other sources of a run."""
    return _fit_all(count_words(words, phrase), *rules)
