"""Values of the renderer's style are checked, and its draws."""

import math
from dataclasses import asdict

import numpy as np
import pytest

from jstr.data.synth.style import Style, chance, skewed_uniform, uniform
from jstr.text.messages import InputError


@pytest.mark.parametrize(
    "field, value",
    [
        ("noisy", 1.01),
        ("noisy", -0.1),
        ("noisy", "0.5"),
        ("noisy", None),
        ("noisy", True),
        ("noisy", math.nan),
        ("vivid", 1.5),
        ("temper", math.inf),
        ("perspective", 1.5),
        ("blur", (1.1, 0.3)),
        ("blur", 0.3),
        ("blur", "ab"),
        ("blur", (0.1, 0.2, 0.3)),
        ("blur", (0.1, 1e9)),
        ("stretch", (0, 1)),
        ("quality", (15.5, 85)),
        ("quality", (15, 101)),
        ("random_length", (0, 3)),
        ("sizes", ()),
        ("sizes", (34.5,)),
        ("sizes", 34),
        ("sizes", (10**6,)),
        ("kinds", (0, 0, 0)),
        ("kinds", (1, -1, 1)),
        ("cases", (1, 1)),
        ("hues", ((1, 2),)),
        ("hues", ()),
    ],
)
def test_bad_values_are_one_clear_line(field, value):
    with pytest.raises(InputError, match=f"rendered style: {field}=.*; give ") as error:
        Style(**{field: value})
    assert "\n" not in str(error.value)


def test_lists_and_whole_numbers_are_as_good():
    style = Style(blur=[1, 2], sizes=[40], noisy=1, kinds=[1, 0, 0], hues=[[1, 20, 5]])
    assert Style(**asdict(style)) == style


def test_draws():
    rng = np.random.default_rng(0)
    assert 0.27 < np.mean([chance(rng, 0.3) for _ in range(3000)]) < 0.33
    even, skewed = ([draw(rng, (2.0, 6.0)) for _ in range(3000)] for draw in (uniform, skewed_uniform))
    assert 2 <= min(even) < 2.1 and 5.9 < max(even) <= 6 and abs(np.mean(even) - 4) < 0.1
    assert 2 <= min(skewed) < 2.1 and 5.8 < max(skewed) <= 6 and abs(np.mean(skewed) - (2 + 4 / 3)) < 0.1
