"""Crops that are wider than the recogniser: their parts, and how frames are joined."""

import numpy as np
import pytest
from testing import tiny_config

from jstr.data.images import ImageSpec
from jstr.inference.long_crops import join_rows, parts_of

SPEC = ImageSpec.make(tiny_config().image.to_dict() | dict(size=(32, 128)))


@pytest.mark.parametrize("width", [129, 300, 1000, 9000, 60_000])
def test_parts_cover_the_crop_and_overlap(width):
    image = np.zeros((32, width, 1), np.uint8)
    parts, starts, size = parts_of(image, SPEC)
    assert parts.shape == (len(starts), 32, 128, 1) and len(starts) <= 128
    assert starts[0] == 0 and starts[-1] + size == pytest.approx(width)
    assert (np.diff(starts) <= size * 0.63).all() and (size == 128 or width == 60_000)


@pytest.mark.parametrize("count", [11, 20, 32, 77])
def test_frames_of_parts_are_those_of_the_whole(count):
    """One character every 7 frames; the parts see the same frames, cut characters at their edges read wrong."""
    rng = np.random.default_rng(count)
    numbers = rng.integers(1, 10, count)
    frames = np.zeros((7 * count, 11))
    frames[:, 0] = 1
    frames[3::7] = np.eye(11)[numbers]
    pixels = 4.0 * len(frames)
    parts, starts, width = parts_of(np.zeros((32, int(pixels), 1), np.uint8), SPEC)
    rows = []
    for start in starts:
        places = round(start / 4) + np.arange(32)
        row = frames[np.clip(places, 0, len(frames) - 1)].copy()
        row[[0, -1]] = np.eye(11)[10]  # what stands at an edge
        rows.append(row)
    rows = np.stack(rows)
    rows[0, 0], rows[-1, -1] = np.eye(11)[0], np.eye(11)[0]
    joined = join_rows(rows, starts, width)
    path = joined.argmax(axis=1)
    assert path[(np.diff(path, prepend=0) != 0) & (path > 0)].tolist() == numbers.tolist()
