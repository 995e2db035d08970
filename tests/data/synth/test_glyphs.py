"""The shape of a rendered word."""

import numpy as np
import pytest

from jstr.data.synth.glyphs import PAD, letters
from jstr.data.synth.style import Style


def test_curved_baselines():
    ink = np.zeros((30, 200), np.uint8)
    ink[10:20] = 255
    for seed in range(20):
        out = letters(np.random.default_rng(seed), ink, Style(bent=1.0, bend=(0.5, 0.5), bolder=0, thinner=0))
        middle, end = (out[:, x].argmax() + out[::-1, x].argmax() * -1 for x in (out.shape[1] // 2, PAD + 8))
        assert out.shape[0] > ink.shape[0] + 2 * PAD and abs(int(middle) - int(end)) > 8  # top of the stripe moved
        # And it is as long and as thick as before.
        assert out.mean() * out.size == pytest.approx(ink.mean() * ink.size, rel=0.05)
