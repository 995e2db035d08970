"""Where characters stand, against all paths."""

import itertools

import numpy as np
import pytest

from jstr.decoding.alignment import ctc_frames_of, extents

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("text", [(0,), (0, 1), (1, 1), (0, 0, 1)])
def test_the_most_probable_path_of_a_text(text):
    for _ in range(10):
        rows = RNG.dirichlet(np.ones(3), size=6)
        paths = [p for p in itertools.product(range(3), repeat=6) if collapsed(p) == text]
        best = max(paths, key=lambda path: np.prod([row[i] for row, i in zip(rows, path, strict=True)]))
        runs = [(k, [i for i, _ in group]) for k, group in itertools.groupby(enumerate(best), key=lambda x: x[1])]
        expected = [(frames[0], frames[-1]) for k, frames in runs if k]
        assert ctc_frames_of(rows, text) == expected


def collapsed(path):
    return tuple(k - 1 for k, _ in itertools.groupby(path) if k)


def test_texts_that_do_not_fit():
    rows = np.full((2, 3), 1 / 3)
    assert ctc_frames_of(rows, (0, 0)) == [] == ctc_frames_of(rows, ()) and ctc_frames_of(rows, (0, 1)) == [
        (0, 0),
        (1, 1),
    ]


def test_extents_meet_halfway():
    np.testing.assert_allclose(extents([0.2, 0.4, 0.8]), [(0.1, 0.3), (0.3, 0.6), (0.6, 1.0)])
    np.testing.assert_allclose(extents([0.2, 0.4]), [(0.1, 0.3), (0.3, 0.5)])
    assert extents([0.5]) == [(0.0, 1.0)] and extents([]) == []
