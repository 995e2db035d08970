"""Fonts of the renderer: which characters each draws, spacing, scripts that need shaping, caches."""

from pathlib import Path

import numpy as np
import pytest
from PIL import features
from synth_testing import ONLY_WORDS, SMALL_FONTS

from jstr.data.synth import fonts
from jstr.data.synth.fonts import BUNDLED, DECORATIVE, Fonts, font_files
from jstr.data.synth.source import RenderedWords
from jstr.text import NAMED
from jstr.text.messages import InputError


def test_fonts_are_passed_over_for_glyphs_they_lack():
    paths = [str(BUNDLED / "TomsonTalks.ttf"), str(BUNDLED / "Arimo-Bold.ttf")]  # the first has neither $ nor @
    fonts = Fonts(paths, "ab$@가", case_sensitive=True)
    assert fonts.covering_fonts("ab") == 0b11 and fonts.covering_fonts("a$") == 0b10 and fonts.covering_fonts("가") == 0
    # All capitals: no small letters where case counts.
    bebas = [str(BUNDLED / "BebasNeue-Bold.otf")]
    assert not Fonts(bebas, "aA", case_sensitive=True).covering_fonts("a") and Fonts(
        bebas, "aA", case_sensitive=False
    ).covering_fonts("a")
    source = RenderedWords(0, 300, "ab$@", fonts=paths)
    for i in range(300):
        _, shown, covering = source._word(source._rng(i))
        assert covering and (covering == 0b10 or not set(shown) & set("$@"))


def test_bundled_fonts_are_licensed_and_cover_ascii():
    paths = font_files(None)
    assert len(paths) >= 40
    table = (BUNDLED / "README.md").read_text()
    for path in map(Path, paths):
        licence = path.with_suffix(".LICENSE.txt").read_text()
        assert len(licence) > 200 and path.name in licence.split("\n")[0] and f"`{path.name}`" in table
    assert sum(Path(path).stat().st_size for path in paths) < 12e6
    assert {Path(path).stem for path in paths} >= DECORATIVE
    covering = Fonts(paths, NAMED["94"], case_sensitive=True).covering
    assert min(bits.bit_count() for bits in covering.values()) >= 40


def test_spacing_and_whole_text_agree():
    fonts = Fonts([str(p) for p in SMALL_FONTS], "Vail", case_sensitive=True)
    normal, wide = fonts.mask(0, 40, "Vail"), fonts.mask(0, 40, "Vail", 0.2)
    assert normal.max() > 200 and wide.shape[0] == normal.shape[0]
    assert wide.shape[1] == pytest.approx(normal.shape[1] + 3 * 8, abs=2)
    for edge in (normal[0], normal[-1], normal[:, 0], normal[:, -1]):
        assert edge.any()  # cut to the ink


def test_few_letters_are_kept(monkeypatch):
    """Thousands of characters in many fonts and sizes must not fill the memory, and change nothing."""
    monkeypatch.setattr(fonts, "LETTERS", 6)
    monkeypatch.setattr(fonts, "ADVANCES", 4)
    few, many = (Fonts([str(p) for p in SMALL_FONTS], "Vailno", case_sensitive=True) for _ in range(2))
    expected = [many.mask(0, size, "Vailno") for size in (20, 30, 20)]
    for size, word in zip((20, 30, 20), expected, strict=True):
        assert np.array_equal(few.mask(0, size, "Vailno"), word)
        assert len(few._glyphs) <= 6 and len(few._advances) <= 4


def test_initial_is_larger_and_baseline_holds():
    fonts = Fonts([str(SMALL_FONTS[0])], "ABC", case_sensitive=True)
    same, capital = fonts.mask(0, 40, "ABC"), fonts.mask(0, 40, "ABC", initial=52)
    assert capital.shape[0] == pytest.approx(same.shape[0] * 1.3, abs=2) and capital.shape[1] > same.shape[1]
    assert capital[-3:, -20:].any()  # the small ones stand on the same line


def test_decorative_fonts_are_rarer():
    fonts = Fonts([str(p) for p in SMALL_FONTS], "ab", case_sensitive=True)
    rng = np.random.default_rng(0)
    drawn = [fonts.choose(rng, 0b11, 0.25) for _ in range(2000)]
    assert np.mean(drawn) == pytest.approx(0.2, abs=0.03)
    assert {fonts.choose(rng, 0b10, 0.25) for _ in range(20)} == {1}
    assert {fonts.choose(rng, 0b11, 1.0, capitals=True) for _ in range(20)} == {0}  # Lobster is a script
    assert fonts.choose(rng, 0b10, 1.0, capitals=True) == 1  # but better than none


def test_combining_marks_are_shaped():
    assert features.check("raqm")
    fonts = Fonts([str(BUNDLED / "Roboto-Bold.ttf")], "e\u00e9\u0301", case_sensitive=True)
    assert fonts.covering_fonts("e\u0301") == 1
    alone, composed, whole = (fonts.mask(0, 40, text) for text in ("e", "e\u0301", "\u00e9"))
    assert composed.shape == whole.shape and np.array_equal(composed, whole)
    assert composed.shape[0] > alone.shape[0] and composed.shape[1] == alone.shape[1]
    source = RenderedWords(0, 20, "e\u0301", words=["e\u0301e"], fonts=fonts.paths, style=ONLY_WORDS)
    assert set(source.labels()) == {"e\u0301e"}  # in logical order, not normalised


@pytest.mark.parametrize("name", ["Arimo-Bold.ttf", "Lobster.otf"])
def test_damaged_fonts_are_one_clear_line(tmp_path, name):
    """Cut off, with changed bytes, and with a hole: refused, or of use."""
    whole, rng, refused = (BUNDLED / name).read_bytes(), np.random.default_rng(0), 0
    for number in range(24):
        damaged = bytearray(whole)
        if number % 3 == 0:
            damaged = damaged[: rng.integers(len(whole))]
        elif number % 3 == 1:
            for place in rng.integers(0, 400, 6):
                damaged[place] = rng.integers(256)
        else:
            place = rng.integers(len(whole))
            damaged[place : place + 500] = bytes(500)
        path = tmp_path / f"{number}.ttf"
        path.write_bytes(damaged)
        try:
            source = RenderedWords(0, 5, "abcdefghij", fonts=path, words=["bad", "hij"])
            assert all(source[i]["image"].size for i in range(5))
        except InputError as error:
            refused += 1
            assert "\n" not in str(error)
    assert refused >= 6


def test_a_font_that_fails_later_is_named(monkeypatch):
    used = Fonts([str(SMALL_FONTS[0])], "ab", case_sensitive=True)

    def fail(*_):
        raise OSError("raster overflow")

    monkeypatch.setattr(fonts, "_ink", fail)
    with pytest.raises(InputError, match="Arimo-Bold.ttf cannot draw: raster overflow"):
        used.mask(0, 40, "ab")
