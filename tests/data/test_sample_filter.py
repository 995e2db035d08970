"""Usable samples of a source, and what takes the place of broken ones."""

import numpy as np
import pytest

from jstr.data.images import ImageSpec
from jstr.data.sample_filter import FilteredSource
from jstr.text.messages import InputError


class Source:
    """Five images, of which some are broken."""

    path = "here"

    def __init__(self, broken):
        self.broken = broken

    def __getitem__(self, i):
        return {"image": None if i in self.broken else np.full((8, 8, 3), i, np.uint8), "label": "a", "key": str(i)}


def test_the_first_sample_takes_the_place_of_a_broken_last_one():
    samples = FilteredSource("set", Source({3, 4}), np.array([1, 3, 4]), ImageSpec((8, 8), 1))
    found = samples[1]
    assert (found["key"], found["broken"], found["image"][0, 0, 0]) == ("set/1", "set/3\nset/4", 1)
    assert samples[0]["broken"] == ""
    with pytest.raises(InputError, match=r"set \(here\): 2 broken images in a row, from set/4"):
        FilteredSource("set", Source({3, 4}), np.array([3, 4]), ImageSpec((8, 8), 1))[1]
