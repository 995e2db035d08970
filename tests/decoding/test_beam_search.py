"""Beam search with a prior, against exhaustive search over all texts."""

import itertools
import math
import string

import numpy as np
import pytest
from searching import attention_search, ctc_search, position_search

from jstr.data.patterns.pattern import Pattern
from jstr.data.patterns.spec import PatternSpec
from jstr.data.word_lists import count_words
from jstr.decoding import beam_search
from jstr.decoding.beam_search import BONUS, WIDER, Rules, ctc_texts
from jstr.decoding.ngram_lm import WordPrior
from jstr.decoding.ranking import ranked

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


def pattern_of(regex, characters="ab", **more) -> Pattern:
    return Pattern(PatternSpec.make(regex, **more), characters)


PATTERNS = [
    dict(regex="(ab|ba)+"),
    dict(regex="a{2}b?"),
    dict(regex="[ab]{3}", none=0.2),
    dict(regex=["a+", "b.*"], weights=[1, 3]),
    dict(regex=".+", checksum=lambda text: text.count("a") == 2),
    dict(regex=(), allow="b", none=0.0),
]


def expected_with_pattern(logs: dict[str, float], prior, weight: float, pattern: Pattern):
    """Every text that follows the pattern by its probability, from those of all texts: [(text, probability)]."""
    scores, mass, s = {}, 0.0, pattern.spec.none
    for text, log in logs.items():
        if text and pattern.matches(text):
            state = pattern.start
            for c in text:
                state = pattern.step(state, "ab".index(c))
            more = weight * (prior.log_whole(text) + BONUS * len(text)) if prior else 0.0
            scores[text] = log + more + pattern.log_weight(text, state)
            mass += math.exp(log)
    total = sum(map(math.exp, scores.values()))
    code = (1 - s) * mass / ((1 - s) * mass + s * (1 - mass))
    found = {t: math.exp(v) / total * code * min(1.0, math.exp(logs[t]) / mass / 0.01) for t, v in scores.items()}
    return sorted(found.items(), key=lambda item: -scores[item[0]])


@pytest.mark.parametrize("options", PATTERNS, ids=lambda options: str(options["regex"]))
@pytest.mark.parametrize("weight", [None, 0.7])
def test_search_with_a_pattern_finds_the_best_that_follows_it(options, weight):
    """Against all texts, for frames and for positions; every probability, not only the first."""
    prior = None if weight is None else WordPrior({"ab": 5, "ba": 1, "aab": 1}, "ab")
    for _ in range(6):
        probabilities, pattern = frames(5), pattern_of(**options)
        logs = {text: math.log(p) for text, p in sums(probabilities).items()}
        expected = expected_with_pattern(logs, prior, weight or 0.0, pattern)
        rules = ("ab", prior, weight or 0.0, 1000, pattern)
        found = ranked(ctc_texts(probabilities, Rules(*rules)), "ab", pattern)
        assert [t for t, _ in found] == [t for t, _ in expected]
        np.testing.assert_allclose([p for _, p in found], [p for _, p in expected], rtol=1e-6)
        assert sum(p for _, p in found) <= 1 + 1e-9 and ctc_search(probabilities, *rules) == found[0]
        assert ctc_search(probabilities, "ab", prior, weight or 0.0, 8, pattern)[0] == found[0][0]
        logs = {}
        for length in range(5):
            for text in map("".join, itertools.product("ab", repeat=length)):
                rows = [row[1 + "ab".index(c)] for row, c in zip(probabilities, text, strict=False)]
                logs[text] = sum(map(math.log, [*rows, probabilities[length][0]]))
        expected = expected_with_pattern(logs, prior, weight or 0.0, pattern)
        text, confidence = position_search(probabilities, *rules)
        assert text == expected[0][0] and confidence == pytest.approx(expected[0][1], rel=0.01)


def test_a_pattern_that_the_image_contradicts_is_followed_without_confidence():
    """Clear letters for a pattern of digits; and frames that are too few for it."""
    characters = string.digits + string.ascii_lowercase
    rows = np.full((9, 37), 1e-9)
    rows[::2, 0] = 1
    for place, c in zip((1, 3, 5, 7), "word", strict=True):
        rows[place, 1 + characters.index(c)] = 1
    digits = pattern_of("[0-9]{4}", characters)
    text, confidence = ctc_search(rows, characters, None, 0.0, 8, digits)
    assert digits.matches(text) and confidence < 1e-6
    more = pattern_of("[a-z]{4}[0-9]{2}", characters)  # found only where blanks were certain
    text, confidence = ctc_search(rows, characters, None, 0.0, 8, more)
    assert more.matches(text) and confidence < 1e-6
    assert ctc_search(rows, characters, None, 0.0, 8, pattern_of("[0-9]{10}", characters)) == ("", 0.0)
    clear, certain = ctc_search(rows, characters, None, 0.0, 8, pattern_of("[a-z]{4}", characters))
    assert clear == "word" and certain > 0.99


def test_a_pattern_decides_between_similar_characters():
    """0 or o and 1 or l, where the image says the wrong one with 97 %."""
    characters = string.digits + string.ascii_lowercase
    rows = np.full((8, 37), 1e-6)
    rows[1::2, 0] = 1
    for place, (wrong, right) in zip((0, 2, 4, 6), ("0o", "lk", "o0", "l1"), strict=True):
        rows[place, 1 + characters.index(wrong)], rows[place, 1 + characters.index(right)] = 0.97, 0.03
    pattern = pattern_of("[A-Z]{2}[0-9]{2}", characters)
    text, confidence = ctc_search(rows, characters, None, 0.0, 8, pattern)
    assert pattern.written(text) == "OL01" and 0.001 < confidence < 0.9


def test_an_autoregressive_decoder_follows_a_pattern():
    probabilities = frames(4)
    steps = iter(probabilities[1:])
    pattern = pattern_of("a[ab]b|b")
    found = attention_search(
        probabilities[:1], lambda p, _: np.tile(next(steps), (*p.shape, 1)), 4, "ab", None, 0.0, 8, pattern
    )
    assert found == [position_search(probabilities, "ab", None, 0.0, 8, pattern)] and pattern.matches(found[0][0])


def test_a_checksum_finds_what_a_narrow_beam_has_no_room_for(monkeypatch):
    """Four doubtful digits whose best reading has a wrong check digit; a clear one is searched once."""
    passes = []
    original = beam_search._ctc_texts
    monkeypatch.setattr(beam_search, "_ctc_texts", lambda *a: passes.append(a[2]) or original(*a))
    luhn = pattern_of("[0-9]{5}", string.digits, checksum="luhn")
    rows = np.full((10, 11), 1e-6)
    rows[1::2, 0] = 1
    for place, c in zip(range(0, 10, 2), "12344", strict=True):
        rows[place, 1 + int(c)] = 1
    assert ctc_search(rows, string.digits, None, 0.0, 8, luhn)[0] == "12344" and passes == [8]
    rows[2:8:2, 1:] = 0.06
    for place, c in zip(range(2, 8, 2), "876", strict=True):
        rows[place, 1 + int(c)] = 0.4
    passes.clear()
    text, confidence = ctc_search(rows, string.digits, None, 0.0, 8, luhn)
    possible = [f"1{n:03d}4" for n in range(1000) if luhn.matches(f"1{n:03d}4")]
    scores = {t: sum(math.log(rows[2 * i, 1 + int(c)]) for i, c in enumerate(t)) for t in possible}
    assert scores[text] == pytest.approx(max(scores.values())) and 0 < confidence < 0.9
    prior = WordPrior({"12344": 1}, string.digits)
    assert passes == [8, 8 * WIDER] and ctc_search(rows, string.digits, prior, 0.5, 8, luhn)[0] == "12344"


def test_a_narrow_beam_holds_only_what_can_still_end():
    """A text that needs more steps than are left, or a blank that no frame has, makes room for the only one."""
    rows = np.array([[0.05, 0.9, 0.05]] * 3)
    assert position_search(rows, "ab", None, 0.0, 1, pattern_of("aab|b"))[0] == "b"
    assert ctc_search(rows[:2], "ab", None, 0.0, 1, pattern_of("aa|b"))[0] == "b"


@pytest.mark.parametrize("search", [ctc_search, position_search])
def test_a_narrow_beam_knows_the_weights_of_patterns(search):
    rows = np.array([[0.05, 0.6, 0.35], [0.9, 0.05, 0.05]])
    assert search(rows, "ab", None, 0.0, 1, pattern_of(["a", "b"], weights=[1, 1]))[0] == "a"
    assert search(rows, "ab", None, 0.0, 1, pattern_of(["a", "b"], weights=[1, 9]))[0] == "b"


def test_steps_are_searched_more_widely_for_a_checksum():
    """Only 987 has the right sum, and each of its digits is the least probable of three."""
    rows = np.full((4, 11), 1e-6)
    rows[3, 0] = 1
    for row, digits in zip(rows, ("129", "238", "347"), strict=False):
        row[[1 + int(c) for c in digits]] = 0.4, 0.35, 0.25
    pattern = pattern_of("[0-9]{3}", string.digits, checksum=lambda text: text == "987")
    assert [position_search(rows, string.digits, None, 0.0, width, pattern)[0] for width in (7, 6)] == ["987", ""]
    assert WIDER == 4  # 28 and 24 of 27 texts
