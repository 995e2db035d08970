"""Spelling noise."""

from collections import Counter

import numpy as np

from jstr.augment.host import spelling

LETTERS = list("abcdefghij")


def edit_kind(before, after):
    if before == after:
        return "none"
    return {1: "insert", -1: "delete", 0: "replace"}[len(after) - len(before)]


def test_one_edit():
    rng = np.random.default_rng(0)
    found = Counter(edit_kind("hide", spelling.one_edit("hide", rng, LETTERS, 25)) for _ in range(4000))
    # A tenth of the replacing letters are the ones that were there.
    for kind, share in (("none", 0.3 + 0.7 * 0.8 / 10 * 3 / 4), ("insert", 0.07), ("delete", 0.07)):
        assert abs(found[kind] / 4000 - share) < 0.03, kind
    for word in ("a", "12", "a1", ""):
        assert all(spelling.one_edit(word, rng, LETTERS, 25) == word for _ in range(20))
    assert all(len(spelling.one_edit("abcde", rng, LETTERS, 5, clean=0, insert=1)) == 5 for _ in range(20))
    assert all(spelling.one_edit("a-", rng, LETTERS, 5, clean=0, insert=0, delete=1) in ("-", "a-") for _ in range(20))


def test_spelling_noise():
    rng = np.random.default_rng(0)

    def most(word, edits):
        made = [spelling.spelling(word, rng, list("xyz"), 25, edits=edits, insert=0, delete=0) for _ in range(200)]
        return {sum(a != b for a, b in zip(word, m, strict=True)) for m in made}

    assert most("abcdef", (0, 0, 0, 1)) == {3} and most("abcde", (0, 0, 0, 1)) == {2}
    assert most("abcd", (0, 0, 0, 1)) == {1} and most("a", (0, 1)) == {0} and most("12a", (0, 1)) == {0}
    kept = sum(spelling.spelling("abcdef", rng, list("xyz"), 25) == "abcdef" for _ in range(2000)) / 2000
    assert abs(kept - 0.7) < 0.03
    assert spelling.spelling("ab", rng, list("xyz"), 25, edits=(0, 1), insert=0, delete=1) in ("a", "b")
