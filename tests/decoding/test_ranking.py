"""Which characters of a text are certain."""

import itertools

import numpy as np
import pytest

from jstr.data.patterns.pattern import Pattern
from jstr.data.patterns.spec import PatternSpec
from jstr.decoding.ranking import character_probabilities, kept_characters, ranked


def edits(a: str, b: str) -> int:
    if not a or not b:
        return len(a) + len(b)
    return min(edits(a[1:], b[1:]) + (a[0] != b[0]), edits(a[1:], b) + 1, edits(a, b[1:]) + 1)


def test_kept_characters_belong_to_an_alignment_with_the_fewest_edits():
    """Cut at the characters that stay, the parts in between need as many edits as the whole."""
    texts = ["".join(t) for n in range(5) for t in itertools.product("ab", repeat=n)]
    for a, b in itertools.product(texts, texts):
        kept = kept_characters(a, b)
        places = itertools.combinations(range(len(b)), len(kept))
        fewest = min(_edits_between(a, b, kept, place) for place in places)
        assert fewest == edits(a, b)
    assert kept_characters("abc", "abd") == [0, 1] and kept_characters("abc", "xabc") == [0, 1, 2]
    assert kept_characters("abc", "") == [] and kept_characters("1st", "lst") == [1, 2]


def _edits_between(a, b, kept, places):
    if any(a[i] != b[j] for i, j in zip(kept, places, strict=True)):
        return 99
    cuts = [(-1, -1), *zip(kept, places, strict=True), (len(a), len(b))]
    return sum(edits(a[i + 1 : k], b[j + 1 : m]) for (i, j), (k, m) in itertools.pairwise(cuts))


def test_character_probabilities():
    texts = [("cat", 0.5), ("cut", 0.2), ("cats", 0.1), ("dog", 0.05)]
    assert character_probabilities("cat", texts) == pytest.approx([0.8, 0.6, 0.8])
    assert character_probabilities("", texts) == []


def test_nothing_found():
    assert ranked({}, "ab") == [("", 0.0)]


def test_white_space_as_labels_have_it():
    """Texts that differ in it only are one, with the sum of their probabilities, where the best of them stands."""
    beam = {"a b": (1.0, -1.0), "ab": (0.5, -1.5), "a  b": (0.0, -2.0), " ab": (-1.0, -3.0), " ": (-2.0, -4.0)}
    found, apart = ranked(beam, "ab "), ranked(beam, "ab ", Pattern(PatternSpec.make("[ab ]+"), "ab "))
    assert [text for text, _ in found] == ["a b", "ab", ""] and found[2][1] == 0.0
    shares = np.exp([score for score, _ in beam.values()])
    expected = [shares[0] + shares[2], shares[1] + shares[3], 0.0]
    np.testing.assert_allclose([p for _, p in found], np.array(expected) / shares.sum())
    assert [text for text, _ in apart] == list(beam)


def test_the_text_whose_forms_are_most_probable_together_comes_first():
    beam = {"ab": (-0.5, -0.5), "a b": (-0.9, -0.9), "a  b": (-1.0, -1.0)}
    found = ranked(beam, "ab ")
    assert [text for text, _ in found] == ["a b", "ab"] and found[0][1] > found[1][1]
