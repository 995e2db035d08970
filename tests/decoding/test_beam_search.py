"""Beam search with a prior, against exhaustive search over all texts."""

import itertools
import math
import string

import numpy as np
import pytest

from jstr.data.word_lists import count_words
from jstr.decoding.beam_search import BONUS, attention_search, ctc_search, position_search
from jstr.decoding.ngram_lm import WordPrior

RNG = np.random.default_rng(0)


def collapse(path, characters="ab") -> str:
    """The text of a CTC path [T] of class ids."""
    return "".join(characters[i - 1] for j, i in enumerate(path) if i and (j == 0 or path[j - 1] != i))


def sums(probabilities, characters="ab") -> dict[str, float]:
    """P(text | frames) of every text, by all paths."""
    found = {}
    for path in itertools.product(range(probabilities.shape[1]), repeat=len(probabilities)):
        text = collapse(path, characters)
        found[text] = found.get(text, 0.0) + math.prod(row[i] for row, i in zip(probabilities, path, strict=True))
    return found


def frames(count: int, classes: int = 3) -> np.ndarray:
    raw = RNG.random((count, classes)) ** 2 + 0.01  # less would not be tried
    return raw / raw.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("weight", [0.0, 0.7])
def test_search_finds_the_best_of_all_texts(weight):
    """A beam that holds them all: every text's paths are summed, and the prior decides with them."""
    prior = WordPrior({"ab": 5, "ba": 1, "aab": 1}, "ab")
    for _ in range(20):
        probabilities = frames(5)
        scores = {
            text: math.log(p) + weight * (prior.log_whole(text) + BONUS * len(text))
            for text, p in sums(probabilities).items()
        }
        text, confidence = ctc_search(probabilities, "ab", prior, weight, width=1000)
        assert text == max(scores, key=scores.get)
        expected = 1 / sum(math.exp(s - scores[text]) for s in scores.values()) if text else 0.0
        assert confidence == pytest.approx(expected, rel=1e-6)


def test_search_with_a_narrow_beam_and_certain_frames():
    prior = WordPrior({"ab": 5, "abb": 1}, "ab")
    certain = np.eye(3)[[1, 1, 0, 2, 2, 0, 2]]
    assert ctc_search(certain, "ab", prior, 0.5, 1) == ("abb", 1.0)
    assert ctc_search(np.eye(3)[[0, 0]], "ab", prior, 0.5, 4) == ("", 0.0)
    words = [frames(8) for _ in range(30)]
    wide, narrow = ([ctc_search(p, "ab", prior, 0.5, width)[0] for p in words] for width in (1000, 8))
    assert np.mean([a == b for a, b in zip(wide, narrow, strict=True)]) > 0.8


@pytest.mark.parametrize("weight", [0.0, 0.7])
def test_search_over_positions_finds_the_best(weight):
    """Every text is written letter by letter and ends with EOS, which comes first in a row."""
    prior = WordPrior({"ab": 5, "ba": 1, "aab": 1}, "ab")
    for _ in range(20):
        probabilities, scores = frames(5), {}
        for length in range(5):
            for text in map("".join, itertools.product("ab", repeat=length)):
                rows = [row[1 + "ab".index(c)] for row, c in zip(probabilities, text, strict=False)]
                log = sum(map(math.log, [*rows, probabilities[length][0]]))
                scores[text] = log + weight * (prior.log_whole(text) + BONUS * length)
        text, confidence = position_search(probabilities, "ab", prior, weight, width=1000)
        assert text == max(scores, key=scores.get)
        expected = 1 / sum(math.exp(s - scores[text]) for s in scores.values()) if text else 0.0
        assert confidence == pytest.approx(expected, rel=0.01)  # what is hardly probable is not followed
    assert position_search(np.eye(3)[[1, 2, 2, 0, 1]], "ab", prior, weight, 8) == ("abb", 1.0)


@pytest.mark.parametrize("weight", [0.0, 0.7])
def test_search_with_an_autoregressive_decoder_finds_the_best(weight):
    """Letters depend on all those before; exhaustively, and with two words that end at different lengths."""
    prior, steps = WordPrior({"ab": 5, "ba": 1, "aab": 1}, "ab"), 5
    for _ in range(10):
        tables = [{}, {}]  # of each word: EOS, a and b after a text

        def after(word, text, tables=tables):
            if text not in tables[word]:
                tables[word][text] = RNG.dirichlet(np.ones(3) * 0.7)
            return tables[word][text]

        texts = [[[""] for _ in range(2)]]

        def advance(parents, written, texts=texts, after=after):
            width = len(parents)
            rows = [[texts[-1][w][min(p, len(texts[-1][w]) - 1)] for p in parents[:, w]] for w in range(2)]
            texts.append([[row[i] + "ab"[written[i, w]] for i in range(width)] for w, row in enumerate(rows)])
            return np.array([[after(w, texts[-1][w][i]) for w in range(2)] for i in range(width)])

        first = np.stack([after(word, "") for word in range(2)])
        found = attention_search(first, advance, steps, "ab", prior, weight, width=40)
        for word, (text, confidence) in enumerate(found):
            scores = {}
            for length in range(steps):
                for other in map("".join, itertools.product("ab", repeat=length)):
                    picked = [after(word, other[:i])[1 + "ab".index(c)] for i, c in enumerate(other)]
                    log = sum(map(math.log, [*picked, after(word, other)[0]]))
                    scores[other] = log + weight * (prior.log_whole(other) + BONUS * length)
            assert text == max(scores, key=scores.get)
            expected = 1 / sum(math.exp(s - scores[text]) for s in scores.values()) if text else 0.0
            assert confidence == pytest.approx(expected, rel=0.01)


def test_language_corrects_a_doubtful_letter():
    """s or 5, o or 0: spelling decides; clear characters stay."""
    characters = string.digits + string.ascii_lowercase
    prior = WordPrior(count_words("english"), characters)

    def read(*letters, share):
        rows = np.zeros((2 * len(letters), 37))
        rows[::2, 0] = 1
        for i, (first, second) in enumerate(letters):
            rows[2 * i + 1, 1 + characters.index(first)] += share
            rows[2 * i + 1, 1 + characters.index(second)] += 1 - share
        return ctc_search(rows, characters, prior, 0.5, 8)[0]

    assert read("5s", "tt", "0o", "rr", "ee", share=0.7) == "store"
    assert read("5s", "0o", "00", share=0.7) == "500"
    assert read("5s", "tt", "0o", "rr", "ee", share=0.99999) == "5t0re"


@pytest.mark.parametrize("search, rows", [(ctc_search, [0, 1, 0]), (position_search, [0, 0, 1])])
def test_what_the_image_contradicts_is_not_believed(search, rows):
    """The image says bb; a heavy prior says aa, which no confidence may hide."""
    letter, end = [0.02, 0.03, 0.95], [0.98, 0.01, 0.01]
    probabilities = np.array([(letter, end)[row] for row in rows])
    prior = WordPrior({"aa": 1}, "ab")
    assert search(probabilities, "ab", prior, 0.0, 8)[0] == "bb"
    text, confidence = search(probabilities, "ab", prior, 30.0, 8)
    assert text == "aa" and confidence == pytest.approx(0.03**2 * 0.98 / 0.01, rel=0.1)


@pytest.mark.parametrize("text", ["40128888188172653901", "de89370400440532013000", "12345678901234567890123456789012"])
def test_clear_characters_of_a_long_text_stay(text):
    """Numbers and codes are improbable as words, but neither letters nor an early end may replace what is clear."""
    characters = string.digits + string.ascii_lowercase
    prior, similar = WordPrior(count_words("english"), characters), dict(zip("0123456789", "olzeasgtbg", strict=True))
    rows = np.full((len(text) + 1, 37), 1e-5)
    for row, c in zip(rows, text, strict=False):
        row[1 + characters.index(similar.get(c, c))] = 0.2
        row[1 + characters.index(c)] = 0.8
    rows[-1, 0] = 1
    framed = np.full((2 * len(rows), 37), 1e-5)
    framed[::2], framed[1::2, 0] = rows, 1
    steps = iter(rows[1:])
    found = [
        position_search(rows, characters, prior, 0.5, 8),
        ctc_search(framed, characters, prior, 0.5, 8),
        attention_search(
            rows[:1], lambda p, _: np.tile(next(steps), (*p.shape, 1)), len(rows), characters, prior, 0.5, 8
        )[0],
    ]
    assert [reading for reading, _ in found] == [text] * 3


def test_a_text_longer_than_the_steps_is_not_believed():
    """Five clear characters for a decoder of four steps: what fits is read, with a confidence that says so."""
    rows = np.full((4, 3), 1e-4)
    rows[:, 1] = 1 - 2e-4
    prior = WordPrior({"aaaaa": 1, "aaa": 1}, "ab")
    text, confidence = position_search(rows, "ab", prior, 0.5, 8)
    assert text == "aaa" and confidence < 0.05
