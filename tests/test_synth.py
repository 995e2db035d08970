"""The word renderer: pure in (seed, index), within its charset, never a missing-glyph box."""

import pickle
import shutil
import string
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from jstr.core import InputError
from jstr.data import synth
from jstr.data.synth import RenderedWords, contact_sheet
from jstr.data.synth_fonts import BUNDLED, Fonts, font_files
from jstr.data.synth_style import Style
from jstr.data.synth_words import Writer
from jstr.text import NAMED

SMALL_FONTS = [BUNDLED / "Arimo-Bold.ttf", BUNDLED / "Lobster.otf"]


@pytest.fixture(scope="module")
def words():
    return RenderedWords(3, 1000, NAMED["36"])


def same(a, b):
    return a["label"] == b["label"] and a["key"] == b["key"] and np.array_equal(a["image"], b["image"])


def test_contract(words):
    assert len(words) == 1000 and isinstance(words.path, str) and len(repr(words)) < 120
    for i in range(60):
        sample = words[i]
        image = sample["image"]
        assert set(sample) == {"image", "label", "key"} and sample["key"] == f"rendered-{i}"
        assert image.dtype == np.uint8 and image.shape[0] == 32 and image.shape[2] == 3 and image.shape[1] >= 8
        assert image.std() > 1, sample["label"]
    with pytest.raises(IndexError):
        words[1000]
    assert words[np.int64(5)]["key"] == "rendered-5"


def test_element_is_pure(words):
    first = [words[i] for i in range(40)]
    copy = pickle.loads(pickle.dumps(words))
    fresh = RenderedWords(3, 10**9, NAMED["36"])  # size is not part of the draw
    with ThreadPoolExecutor(4) as pool:  # threads race for the glyph caches of `fresh`
        threaded = list(pool.map(fresh.__getitem__, [*range(40)] * 3))
    for i in reversed(range(40)):
        assert same(first[i], words[i]) and same(first[i], copy[i])
        assert all(same(first[i], threaded[i + 40 * k]) for k in range(3))


def test_seeds_and_indices_differ(words):
    other = RenderedWords(4, 200, NAMED["36"])
    mine = [words[i]["label"] for i in range(200)]
    assert sum(a == b for a, b in zip(mine, other.labels(), strict=True)) < 10
    assert len(set(mine)) > 150
    assert not np.array_equal(words[0]["image"], other[0]["image"])


@pytest.mark.parametrize("characters", [*NAMED.values(), string.digits, "ABCDEF", "abcXYZ.,$0123"])
def test_labels_respect_the_charset(characters):
    source = RenderedWords(0, 400, characters, max_length=9)
    labels = list(source.labels())
    assert len(labels) == 400 and all(0 < len(label) <= 9 for label in labels)
    assert set("".join(labels)) <= set(characters)
    assert labels[:25] == [source[i]["label"] for i in range(25)]
    if len(characters) < 40:
        assert set("".join(labels)) == set(characters)


def test_one_case_reads_both():
    def shown(characters, **options):
        writer, rng = Writer(characters, 25, Style(), **options), np.random.default_rng(0)
        return [pair for _ in range(300) if (pair := writer.draw(rng))]

    pairs = shown(NAMED["36"])
    assert any(s.isupper() for _, s in pairs) and all(label == label.lower() for label, _ in pairs)
    assert all(label == "".join(c for c in s.lower() if c in NAMED["36"]) for label, s in pairs)
    assert all(label == s for label, s in shown(NAMED["94"]))
    assert not any(c.isupper() for _, s in shown(NAMED["36"], case_insensitive=False) for c in s)


def test_fonts_are_passed_over_for_glyphs_they_lack():
    paths = [str(BUNDLED / "TomsonTalks.ttf"), str(BUNDLED / "Arimo-Bold.ttf")]  # the first has neither $ nor @
    fonts = Fonts(paths, "ab$@가", case_sensitive=True)
    assert fonts.able("ab") == 0b11 and fonts.able("a$") == 0b10 and fonts.able("가") == 0
    # All capitals: no small letters where case counts.
    bebas = [str(BUNDLED / "BebasNeue-Bold.otf")]
    assert not Fonts(bebas, "aA", case_sensitive=True).able("a") and Fonts(bebas, "aA", case_sensitive=False).able("a")
    source = RenderedWords(0, 300, "ab$@", fonts=paths)
    for i in range(300):
        _, shown, able = source._word(source._rng(i))
        assert able and (able == 0b10 or not set(shown) & set("$@"))


def test_bundled_fonts_are_licensed_and_cover_ascii():
    paths = font_files(None)
    assert 8 <= len(paths) <= 16
    for path in paths:
        assert (BUNDLED / path).with_suffix(".LICENSE.txt").stat().st_size > 200
    covering = Fonts(paths, NAMED["94"], case_sensitive=True).covering
    assert min(bits.bit_count() for bits in covering.values()) >= 10


def test_spacing_and_whole_text_agree():
    fonts = Fonts([str(p) for p in SMALL_FONTS], "Vail", case_sensitive=True)
    normal, wide = fonts.mask(0, 40, "Vail"), fonts.mask(0, 40, "Vail", 0.2)
    assert normal.max() > 200 and wide.shape[0] == normal.shape[0]
    assert wide.shape[1] == pytest.approx(normal.shape[1] + 3 * 8, abs=2)
    for edge in (normal[0], normal[-1], normal[:, 0], normal[:, -1]):
        assert edge.any()  # cut to the ink


def test_own_words_and_fonts(tmp_path):
    shutil.copy(SMALL_FONTS[0], tmp_path / "own.ttf")
    listed = tmp_path / "words.txt"
    listed.write_text("Zürich\t-1\nBern\t-2\nзнак\t-1\n", encoding="utf-8")
    style = Style(kinds=(1, 0, 0), punctuation=0, unlabelled_marks=0)
    source = RenderedWords(0, 100, string.ascii_lowercase + "ü", fonts=tmp_path, words=listed, style=style)
    assert set(source.labels()) == {"zürich", "bern"}
    assert set(RenderedWords(0, 50, "abc", words=["cab"], fonts=["bundled", tmp_path], style=style).labels()) == {"cab"}


def test_bad_input_is_one_clear_line(tmp_path):
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "broken.ttf").write_bytes(b"not a font")
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad.txt").write_text("one\tmany\n")
    cases = [
        (dict(fonts=tmp_path / "empty"), "holds no font"),
        (dict(fonts=tmp_path / "absent"), "holds no font"),
        (dict(fonts=tmp_path / "broken"), "broken.ttf cannot be read"),
        (dict(words=["слово"]), "none of the given words fits"),
        (dict(words=tmp_path / "absent.txt"), "cannot be read"),
        (dict(words=tmp_path / "bad.txt"), "line 1"),
        (dict(characters="abc가"), "has '가'"),
        (dict(characters=""), "charset"),
        (dict(size=0), "size"),
        (dict(seed=-1), "seed"),
    ]
    for options, message in cases:
        options = dict(dict(seed=0, size=10, characters=NAMED["36"]), **options)
        with pytest.raises(InputError, match=message) as error:
            RenderedWords(**options)
        assert "\n" not in str(error.value)


def test_style_changes_the_picture():
    shares = "tilt tilted slanted perspective bent textured gradient lit noisy blurred small compressed"
    shares += " shadowed outlined panelled filled shaken neighbours underlined"
    source = RenderedWords(0, 20, NAMED["36"], style=Style(**dict.fromkeys(shares.split(), 0.0)))
    for i in range(20):
        image = source[i]["image"]
        colours, counts = np.unique(image.reshape(-1, 3), axis=0, return_counts=True)
        assert counts.max() > 0.2 * counts.sum()  # one flat background


@pytest.mark.parametrize("height", [8, 32, 64])
def test_long_words_and_other_heights(height):
    source = RenderedWords(0, 30, "abc", words=["abc" * 80, "c"], max_length=400, height=height)
    shapes = {source[i]["image"].shape for i in range(30)}
    assert {s[0] for s in shapes} == {height} and max(s[1] for s in shapes) <= 40 * height


def test_contact_sheet(words, tmp_path, capsys):
    sheet = contact_sheet(words[i] for i in range(7))
    assert sheet.dtype == np.uint8 and sheet.shape == (2 * 72, 5 * 240, 3)
    out = tmp_path / "sheet.png"
    assert synth.main([f"--out={out}", "--count=10", "--characters=94"]) == 0
    assert Image.open(out).size == (1200, 144)
    assert synth.main([f"--out={out}", f"--fonts={tmp_path / 'none'}"]) == 2
    assert "holds no font" in capsys.readouterr().err
