"""Which characters are tried in a frame, and which frames are merged."""

import numpy as np
import pytest

from jstr.decoding.candidates import allowed, ctc_frames


def test_characters_are_pruned_against_the_best_that_a_pattern_allows():
    candidates = [("a", 0, -0.1), ("b", 1, -10.0), ("c", 2, -17.0), ("d", 3, -19.0)]
    assert allowed(candidates, 0b1111) == candidates[:1]
    assert allowed(candidates, 0b1110) == candidates[1:3]


def test_frames_without_characters_are_merged():
    """They are blanks only, also behind the last character; no probability is lost."""
    rows = np.full((6, 3), 1e-5)
    rows[:, 0] = (0.9, 0.8, 0.3, 0.7, 0.6, 0.5)
    rows[2, 1] = 0.7
    frames = ctc_frames(rows, "ab", None)
    assert [left for _, left in frames] == [4, 3, 0]
    assert [[c for c, *_ in candidates] for (_, candidates, _), _ in frames] == [[], ["a"], []]
    blanks = [np.exp(blank) for (blank, *_), _ in frames]
    assert blanks == pytest.approx([0.9 * 0.8, 0.3, 0.7 * 0.6 * 0.5])
