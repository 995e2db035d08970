"""How a word is put together: perspective, neighbours, colours, and effects of the letters."""

import numpy as np
import pytest
from synth_testing import SHARES, SMALL_FONTS

from jstr.data.synth import compose
from jstr.data.synth.background import luma
from jstr.data.synth.compose import Scene, Word
from jstr.data.synth.fonts import Fonts
from jstr.data.synth.glyphs import PAD
from jstr.data.synth.style import Style

FONTS = Fonts([str(p) for p in SMALL_FONTS], "HOUSEabc", case_sensitive=True)
BEHIND, LETTER = np.full((3, 1, 1), 200, np.float32), np.full((3, 1, 1), 40, np.float32)


def scene(**values) -> Scene:
    style = Style(**(dict.fromkeys(SHARES, 0.0) | values))
    return Scene(FONTS, style, 32, lambda rng: ("abc", 0b11), None)


def word(size=40, scale=1.0, shape=(64, 220), offset=(0.0, 0.0)) -> Word:
    ink = np.pad(FONTS.mask(0, size, "HOUSE"), PAD)
    matrix = np.array([[scale, 0, offset[0]], [0, scale, offset[1]], [0, 0, 1.0]])
    return Word("HOUSE", 0, size, ink, matrix, shape)


def test_projection_shifts_in_the_plane_of_the_ink():
    dot = np.zeros((5, 5), np.uint8)
    dot[2, 2] = 255
    for scale, offset in ((1.0, (0, 0)), (2.0, (7, 3))):
        seen = word(scale=scale, offset=offset).project(dot, (30, 11))
        y, x = np.unravel_index(seen.argmax(), seen.shape)
        assert (x, y) == (scale * 32 + offset[0], scale * 13 + offset[1])


def test_em_is_that_of_an_image_32_pixels_high():
    assert word(40, 1.0, (32, 99)).em == pytest.approx(40)
    assert word(40, 0.5, (32, 99)).em == pytest.approx(20) and word(40, 1.0, (64, 99)).em == pytest.approx(20)


def test_a_set_word_lies_inside_its_margins():
    for seed in range(20):
        made = scene(margin_x=(0.2, 0.4), margin_y=(0.2, 0.4))._set(np.random.default_rng(seed), "HOUSE", 0b11)
        seen = made.project(made.ink)
        assert seen.shape == (32, made.shape[1]) and made.text == "HOUSE"
        for edge in (seen[:2], seen[-2:], seen[:, :2], seen[:, -2:]):
            assert edge.max() < 40


def test_a_word_that_is_too_wide_is_squeezed():
    made = scene(margin_x=(20.0, 20.0), stretch=(20.0, 20.0))._set(np.random.default_rng(0), "HOUSE" * 9, 0b11)
    assert made.shape == (32, 40 * 32)
    h, w = made.ink.shape
    ends = np.array([[PAD, h / 2, 1], [w - PAD, h / 2, 1]]) @ made.matrix.T
    left, right = ends[:, 0] / ends[:, 2]
    assert 20 < left < right - 100 < 40 * 32 - 120, "the whole word is seen"


def added(seed, **values):
    """Where ink beside the word's own is, the word's box, and where its own ink is: three masks."""
    one = word(offset=(60, 16), shape=(96, 300))
    box = np.zeros_like(one.ink)
    box[PAD:-PAD, PAD:-PAD] = 255
    own = one.project(one.ink)
    seen = scene(**values)._letters(np.random.default_rng(seed), one)
    assert (seen >= own).all(), "its own ink stays"
    return seen > own, one.project(box) > 0, own > 0


def test_neighbours_lie_around_the_word_at_a_distance():
    sides = np.zeros(4, int)
    for seed in range(60):
        extra, box, _ = added(seed, neighbours=1.0)
        rows, columns = np.flatnonzero(box.any(1)), np.flatnonzero(box.any(0))
        assert not extra[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].any()
        beside = extra[rows[0] : rows[-1] + 1]
        left, right = beside[:, : columns[0]], beside[:, columns[-1] + 1 :]
        sides += [extra[: rows[0]].any(), extra[rows[-1] + 1 :].any(), left.any(), right.any()]
        blank = 0.2 * len(rows) - 2
        assert not left[:, -int(blank) :].any() and not right[:, : int(blank)].any(), "a blank between words"
    assert sides.min() >= 5, "above, below, before and behind"


def test_neighbours_in_a_font_without_their_letters_show_the_word():
    shown = []

    class Spy:
        def mask(self, font, size, text, kerned):
            shown.append(text)
            return np.ones((9, 9), np.uint8)

    lone = scene(neighbours=1.0)
    lone.another = lambda rng: ("abc", 0b10)
    lone.fonts = Spy()
    lone._neighbour(np.random.default_rng(0), word())
    lone.another = lambda rng: ("abc", 0b01)
    lone._neighbour(np.random.default_rng(0), word())
    assert shown == ["HOUSE", "abc"]


def test_a_line_lies_below_the_word():
    extra, box, _ = added(0, underlined=1.0)
    rows = np.flatnonzero(extra.any(1))
    bottom = np.flatnonzero(box.any(1))[-1]
    assert bottom < rows[0] < bottom + 8 and len(rows) <= 6 and extra.any(0).sum() >= box.any(0).sum()


def painted(seed=0, behind=BEHIND, letter=LETTER, **values):
    one = word(offset=(60, 16), shape=(96, 300))
    seen = one.project(one.ink)
    image = np.broadcast_to(behind, (3, 96, 300)).copy()
    style = Style(**(dict.fromkeys(SHARES, 0.0) | values))
    compose._paint(np.random.default_rng(seed), image, seen, (behind, letter, 160.0), style)
    return image, seen


def test_plain_letters_have_their_colour():
    image, seen = painted()
    assert (image[:, seen == 255] == 40).all() and (image[:, seen == 0] == 200).all()


def test_hollow_letters_have_the_colour_of_the_background_inside():
    image, seen = painted(hollow=1.0)
    assert (image[:, seen == 255] == 200).all() and image.min() < 60


def test_glow_surrounds_light_letters_only():
    light, seen = painted(behind=LETTER, letter=BEHIND, glowing=1.0)
    assert light[:, seen == 0].max() > 60
    dark, seen = painted(glowing=1.0)
    assert (dark[:, seen == 0] == 200).all()


def test_shadows_are_darker_than_the_wall_and_lie_beside_the_letters():
    for seed in range(20):
        image, seen = painted(seed, shadowed=1.0)
        outside = image[:, seen == 0]
        assert outside.max() <= 200 and outside.min() >= 20 and (image[:, seen == 255] == 40).all()
        assert 0.001 < (outside.min(axis=0) < 190).mean() < 0.3


def test_outlines_hug_the_letters():
    for seed in range(20):
        image, seen = painted(seed, outlined=1.0)
        assert (image[:, seen == 255] == 40).all()
        changed = (np.abs(image - 200).max(axis=0) > 1) & (seen == 0)
        one = changed.sum()
        image, seen = painted(seed, outlined=1.0, doubly=1.0)
        changed = (np.abs(image - 200).max(axis=0) > 1) & (seen == 0)
        assert one < 2500 and changed.sum() > 0


def test_raised_and_engraved_letters_have_light_and_shade():
    image, seen = painted(embossed=1.0)
    relief = image[0] - np.where(seen == 255, 40, 200)
    assert relief[seen == 255].max() > 20 and relief[seen == 255].min() < -20
    raised, engraved = (
        [np.median(painted(seed, embossed=1.0, engraved=share)[0][0][seen == 255]) for seed in range(5)]
        for share in (0.0, 1.0)
    )
    assert max(raised) < 60 < 110 < min(engraved), "engraved letters are nearly the wall's colour"


def test_letters_differ_from_the_background_by_the_contrast():
    dark_on_light = 0
    for seed in range(40):
        image = scene(contrast=(90.0, 90.0), grey=1.0).render(np.random.default_rng(seed), 0, "HOUSE", 0b11)
        values, counts = np.unique(image[..., 0], return_counts=True)
        background = int(values[counts.argmax()])
        far = values[np.abs(values.astype(int) - background).argmax()]
        assert abs(abs(int(far) - background) - 90) <= 2
        dark_on_light += int(far) < background
    assert 10 < dark_on_light < 30
    assert luma(BEHIND) == pytest.approx(200)
