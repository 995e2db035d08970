"""Letters of a stack are laid side by side in order; what is no stack is left alone."""

import numpy as np
import pytest

from jstr.data.images import ImageSpec
from jstr.inference import crops
from jstr.inference.stacks import unstacked


def column(heights, gap=5, paper=200, width=40, ink=(10, 30)):
    """Bars of rising brightness, one a letter."""
    rows = [np.full((gap, width, 3), paper, np.uint8)]
    for i, height in enumerate(heights):
        letter = np.full((height, width, 3), paper, np.uint8)
        letter[:, slice(*ink)] = 20 * (i % 5)
        rows += [letter, rows[0]]
    return np.concatenate(rows)


@pytest.mark.parametrize("paper", [200, 255])
def test_letters_are_laid_side_by_side(paper):
    row = unstacked(column([30, 24, 30, 28], paper=paper))
    assert row.shape[0] == 30 and row.shape[1] == 4 * 20 + 5 * 4
    middle = row[15, :, 0].astype(int)
    inside = middle[middle < 100]
    assert inside.tolist() == [0] * 20 + [20] * 20 + [40] * 20 + [60] * 20 and middle[0] == paper
    assert [(row[y, :, 0] < 100).sum() for y in (0, 1, 3, -4, -2, -1)] == [40, 60, 80, 80, 60, 40]  # in the middle


def test_the_background_is_that_of_the_edges():
    """Also where letters cover most of a crop."""
    row = unstacked(column([30, 24, 30, 28], ink=(3, 37)))
    assert row.shape == (30, 4 * 34 + 5 * 4, 3) and row[15, 0, 0] == 200


@pytest.mark.parametrize(
    "crop",
    [
        np.full((120, 30, 3), 90, np.uint8),
        column([150]),
        column([30, 30]),
        column([12, 12, 60, 12]),
        column([81, 81, 81]),
        column([4] * 30),
        np.random.default_rng(0).integers(0, 255, (120, 30, 3), np.uint8),
    ],
    ids=["plain", "one", "two", "one is much higher", "all are too high", "too many", "noise"],
)
def test_what_is_no_stack(crop):
    assert unstacked(crop) is None


class Bright:
    """Is as confident as an image is bright."""

    capacity, spec = 99, ImageSpec((32, 100), 3)

    def read_batch(self, images):
        return ["w"] * len(images), images.mean(axis=(1, 2, 3)) / 255

    read_checked = read_batch


def test_a_stack_is_read_where_that_is_more_certain(monkeypatch):
    crop, found = np.full((120, 30, 3), 40, np.uint8), []
    for shade in (250, 90):
        monkeypatch.setattr(crops, "unstacked", lambda crop, shade=shade: np.full((30, 120, 3), shade, np.uint8))
        found += crops.answers_of(Bright(), [Bright.spec.fit(crop)], [crop], 1, turn="auto")
    assert [answer.stacked for answer in found] == [True, False] and found[0].turned == 0
    assert [answer.confidence for answer in found] == pytest.approx([250 / 255, 40 / 255])
