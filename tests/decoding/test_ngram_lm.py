"""The prior over texts: n-grams, numbers and arbitrary strings."""

import string
import unicodedata

import numpy as np
import pytest

from jstr.data.word_lists import count_words
from jstr.decoding.ngram_lm import NGram, WordPrior
from jstr.text.messages import InputError

RNG = np.random.default_rng(0)


def test_ngram_by_hand():
    """The words ab (weight 2) and aa (1): Witten-Bell, from all symbols alike upwards."""
    model = NGram([[0, 1], [0, 0]], np.array([2.0, 1.0]), size=2, order=2)
    assert (model.start, model.end) == (2, 3)
    # Followed anything: a 3 + 1, b 2, end 3, of weight 9 and of 3 kinds; before it, a third each.
    unigram = np.array([4, 2, 0, 3]) / 12 + 3 / 12 * np.array([1, 1, 0, 1]) / 3
    np.testing.assert_allclose(model.following(()), unigram)
    # Followed a: b 2, a 1, end 1, of weight 4 and of 3 kinds.
    np.testing.assert_allclose(model.following((0,)), np.array([1, 2, 0, 1]) / 7 + 3 / 7 * unigram)
    # Only a followed the start; only the last symbol counts.
    np.testing.assert_allclose(model.following((1, 1, 2)), np.array([3, 0, 0, 0]) / 4 + 1 / 4 * unigram)
    np.testing.assert_allclose(model.following((1, 0)), model.following((0,)))


@pytest.mark.parametrize("size", [2, 30, 3000])
def test_ngram_sums_to_one_and_backs_off(size):
    words = [list(RNG.integers(0, size, RNG.integers(1, 9))) for _ in range(60)]
    model = NGram(words, RNG.random(60) + 1, size)
    assert 2 <= model.order <= 6 and (size + 2) ** model.order < 2**63
    surprise = []
    for word in words:
        found = model.following((model.start, *word[:-1]))
        assert found.sum() == pytest.approx(1) and found[model.start] == 0 and (np.delete(found, size) > 0).all()
        surprise.append(-np.log(found[word[-1]]))
    assert np.mean(surprise) < np.log(size + 1), "what it has seen surprises it less than chance"
    unseen = (size - 1, model.start, words[0][0])  # nothing comes before a start
    np.testing.assert_array_equal(model.following(unseen), model.following(unseen[1:]))


@pytest.mark.parametrize("characters", ["ab", "ab1.", string.printable[:94], "ab1. "])
def test_prior_is_a_distribution(characters):
    """All that begins so is this text, and all that goes on with each character."""
    prior = WordPrior({"ab": 3, "Abba": 1, "b-b": 1}, characters)
    assert prior.log_prefix("") == 0
    for text in ("", "a", "ab", "abba", "1", "b1", characters[-1], "ab ", "ab ba", "1 ab", "a  b"):
        if set(text) <= set(characters):
            parts = [prior.log_prefix(text + c) for c in characters] + [prior.log_whole(text)]
            assert np.logaddexp.reduce(parts) == pytest.approx(prior.log_prefix(text), abs=1e-9)


def test_prior_prefers_what_is_written():
    prior = WordPrior(count_words("english"), string.digits + string.ascii_letters)
    assert prior.log_whole("street") > prior.log_whole("strset") + 5
    assert prior.log_whole("street") == pytest.approx(prior.log_whole("STREET"))
    assert prior.log_whole("street") > prior.log_whole("streetq") + 5
    assert prior.log_whole("1995") > prior.log_whole("l995") + 2
    assert prior.log_whole("xq7") > -30  # possible nevertheless


def test_words_begin_anew_after_a_space():
    prior = WordPrior({"ab": 3, "abba baab": 1}, "ab1 ")
    whole, half = prior.log_whole, np.log([0.2, 0.8])
    assert whole("ab abba") == pytest.approx(whole("ab") + whole("abba") + half[0] - half[1])
    assert whole("baab 11") == pytest.approx(whole("baab") + whole("11") + half[0] - half[1]), "each of its own kind"
    assert whole("ab abba") > whole("aba bba") + 1 and whole("ab") > whole("ab ") + 1
    alone = WordPrior({"ab": 3, "abba": 1, "baab": 1}, "ab1")
    assert whole("ab") == pytest.approx(alone.log_whole("ab") + half[1])


def test_prior_knows_the_other_case_of_a_reader_with_one():
    prior = WordPrior({"ab": 3}, "ab1")
    assert prior.log_whole("AB1") == prior.log_whole("ab1") and prior.log_prefix("A") == prior.log_prefix("a")


def test_prior_of_few_kept_prefixes_is_the_same(monkeypatch):
    texts = ["abba", "baab", "1a", "bbbb", "abba"]
    full = [WordPrior({"ab": 1, "ba": 2}, "ab1").log_whole(t) for t in texts]
    monkeypatch.setattr("jstr.decoding.ngram_lm.CACHED", 0)
    small = WordPrior({"ab": 1, "ba": 2}, "ab1")
    small._limit = 2
    assert [small.log_whole(t) for t in texts] == full and len(small._tables) <= 2


def test_prior_without_a_usable_word():
    with pytest.raises(InputError, match="none of the 2 words"):
        WordPrior({"gamma": 1, "delta": 1}, "xyz")


def test_a_single_short_word():
    prior = WordPrior({"a": 1}, "ab")
    assert prior.log_whole("a") > prior.log_whole("b")


@pytest.mark.parametrize(
    "counts", [{"zebra": 0.0, "zoo": 0.01}, {"zebra": 1e300, "zoo": 1e-300}, {"zebra": 1e-320, "zoo": 1}]
)
def test_extreme_frequencies_leave_every_text_possible(counts):
    prior = WordPrior(counts, string.ascii_lowercase)
    assert all(-100 < prior.log_whole(word) < 0 for word in ("zebra", "zoo", "qx", ""))
    frequent, rare = sorted(counts, key=counts.get, reverse=True)
    assert prior.log_whole(frequent) > prior.log_whole(rare) + 5


def test_numbers_and_arbitrary_strings_by_hand():
    """A number has 9 digits to 1 mark; both kinds end with probability 1/4 after each character."""
    prior, text = WordPrior({"a": 1}, "abc1."), "1.1.1.1.1"
    number = 0.1 * 0.75**9 * 0.9**5 * 0.1**4 * 0.25
    arbitrary = 0.05 * (0.75 / 5) ** 9 * 0.25
    assert prior.log_whole(text) == pytest.approx(np.log(number + arbitrary), abs=0.02)


def test_words_count_by_the_root_of_their_frequency():
    """The most frequent spelling of a word counts, and a word 16 times as frequent weighs 4 times as much."""
    prior = WordPrior({"ab": 16, "Ab": 1, "b": 1}, "ab")
    words = NGram([[0, 1], [1]], np.array([4.0, 1.0]), 2).following((2,))
    expected = [np.log((0.85 * words[i] + 0.05 * 0.75 / 2) / 0.9) for i in range(2)]
    np.testing.assert_allclose([prior.log_prefix(c) for c in "ab"], expected)


@pytest.mark.parametrize("counts", [{"a": np.inf, "b": 1.0}, {"a": np.nan}, {"a": 0.0, "b": 0.0}, {"a": -1.0}])
def test_frequencies_that_are_none_are_refused(counts):
    with pytest.raises(InputError, match="must be finite, and one of them above 0"):
        WordPrior(counts, "ab")
    assert np.isfinite(WordPrior({"a": 0.0, "b": 1.0}, "ab").log_whole("a"))


@pytest.mark.parametrize("characters", ["cafeé", "cafe\u0301"])
def test_equal_forms_of_unicode_are_one_word(characters):
    """Written with composed and with separate accents, in the form of the charset."""
    words = [unicodedata.normalize(form, "café") for form in ("NFC", "NFD")]
    one, other = (WordPrior({word: 1.0, "face": 1.0}, characters).arrays for word in words)
    assert all(np.array_equal(one[name], other[name]) for name in one)
    known = "café" if "é" in characters else unicodedata.normalize("NFD", "café")
    prior = WordPrior({words[0]: 1.0, "face": 1.0}, characters)
    assert prior.log_whole(known) > prior.log_whole("cafe") + 3
