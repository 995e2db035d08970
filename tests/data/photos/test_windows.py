"""Where a large photograph is looked at closely."""

import itertools

import numpy as np
import pytest

from jstr.data.photos.windows import SHARED, TILE, all_windows, windows


def covered(places, height, width):
    seen = np.zeros((height, width), int)
    for left, top, right, bottom in places:
        assert 0 <= left < right <= width and 0 <= top < bottom <= height
        assert max(right - left, bottom - top) <= TILE
        seen[top:bottom, left:right] += 1
    return seen


def traces(*places, surroundings=0.0005):
    """The map of a photograph of 4,000 x 3,000, with faint traces (left, top, right, bottom) of words in it."""
    found = np.full((1504, 2016), surroundings, np.float32)
    for left, top, right, bottom in places:
        found[top:bottom, left:right] = 0.02
    return found


def test_tiles_cover_an_image():
    assert covered(all_windows(1500, 3000), 1500, 3000).all()
    assert all_windows(700, TILE) == [(0, 0, TILE, 700)]
    for width in range(TILE + 1, 6000, 97):
        tiles = all_windows(700, width)
        assert all(one.right - other.left >= SHARED for one, other in itertools.pairwise(tiles))


def test_faint_traces_get_a_window_with_surroundings():
    (one,) = windows(traces((1000, 700, 1024, 706)), 3000, 4000)
    assert one.area < 500 * 500 and not (one.right - one.left) % 32 and not (one.bottom - one.top) % 32
    assert one.left < 1984 - 100 and 2032 + 100 < one.right and one.top < 1390 - 100 and 1415 + 100 < one.bottom
    assert windows(traces(), 3000, 4000) == []


def test_what_is_as_probable_all_around_is_no_trace_unless_it_is_probable():
    assert windows(traces(surroundings=0.01), 3000, 4000) == []
    assert covered(windows(traces(surroundings=0.03), 3000, 4000), 3000, 4000).all()


def test_windows_at_the_edges_and_of_long_lines():
    places = windows(traces((0, 0, 20, 6), (1990, 1490, 2016, 1504), (100, 700, 1900, 706)), 3000, 4000)
    seen = covered(places, 3000, 4000)
    assert seen[0, 0] and seen[-1, -1] and seen[1390:1415, 140:3830].all()
    assert seen.sum() < 0.4 * seen.size


@pytest.mark.parametrize("height, width", [(40, 4000), (4000, 20)])
def test_narrow_images(height, width):
    assert covered(windows(np.ones((32, 32), np.float32), height, width), height, width).all()


def test_near_words_share_a_window():
    assert len(windows(traces((1000, 700, 1024, 706), (1040, 720, 1064, 726)), 3000, 4000)) == 1
    assert len(windows(traces((1000, 300, 1024, 306), (1000, 1200, 1024, 1206)), 3000, 4000)) == 2
