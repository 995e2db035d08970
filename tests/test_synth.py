"""The word renderer: pure in (seed, index), within its charset, never a missing-glyph box."""

import lzma
import pickle
import shutil
import string
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, features
from testing import ROOT, write_folder

from jstr.core import InputError
from jstr.data import preview
from jstr.data.preview import contact_sheet
from jstr.data.synth import fonts
from jstr.data.synth.fonts import BUNDLED, DECORATIVE, Fonts, font_files
from jstr.data.synth.glyphs import PAD, letters
from jstr.data.synth.source import RenderedWords
from jstr.data.synth.style import Style
from jstr.data.synth.text_sampler import Writer
from jstr.data.word_lists import word_file
from jstr.text import NAMED

AMOUNTS = ("temper", "decorative", "vivid", "faint", "finest", "strong_tilt")
SHARES = [f.name for f in fields(Style) if f.type == "float" and f.name not in AMOUNTS]
TEXT_SHARES = ("mixed", "addresses", "punctuation", "unlabelled_marks")
ONLY_WORDS = Style(kinds=(1, 0, 0), mixed=0, addresses=0, punctuation=0, unlabelled_marks=0)
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
    monkeypatch.setattr(fonts, "DISTANCES", 4)
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
    assert fonts.able("e\u0301") == 1
    alone, composed, whole = (fonts.mask(0, 40, text) for text in ("e", "e\u0301", "\u00e9"))
    assert composed.shape == whole.shape and np.array_equal(composed, whole)
    assert composed.shape[0] > alone.shape[0] and composed.shape[1] == alone.shape[1]
    source = RenderedWords(0, 20, "e\u0301", words=["e\u0301e"], fonts=fonts.paths, style=ONLY_WORDS)
    assert set(source.labels()) == {"e\u0301e"}  # in logical order, not normalised


def test_curved_baselines():
    ink = np.zeros((30, 200), np.uint8)
    ink[10:20] = 255
    for seed in range(20):
        out = letters(np.random.default_rng(seed), ink, Style(bent=1.0, bend=(0.5, 0.5), bolder=0, thinner=0))
        middle, end = (out[:, x].argmax() + out[::-1, x].argmax() * -1 for x in (out.shape[1] // 2, PAD + 8))
        assert out.shape[0] > ink.shape[0] + 2 * PAD and abs(int(middle) - int(end)) > 8  # top of the stripe moved
        # And it is as long and as thick as before.
        assert out.mean() * out.size == pytest.approx(ink.mean() * ink.size, rel=0.05)


def test_own_words_and_fonts(tmp_path):
    shutil.copy(SMALL_FONTS[0], tmp_path / "own.ttf")
    listed = tmp_path / "words.txt"
    listed.write_text("Zürich\t-1\nBern\t-2\nзнак\t-1\n", encoding="utf-8")
    style = ONLY_WORDS
    source = RenderedWords(0, 100, string.ascii_lowercase + "ü", fonts=tmp_path, words=listed, style=style)
    assert set(source.labels()) == {"zürich", "bern"}
    assert set(RenderedWords(0, 50, "abc", words=["cab"], fonts=["bundled", tmp_path], style=style).labels()) == {"cab"}


def test_bad_input_is_one_clear_line(tmp_path):
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "broken.ttf").write_bytes(b"not a font")
    (tmp_path / "empty").mkdir()
    (tmp_path / "none.txt").write_text("\n")
    (tmp_path / "bad.txt").write_text("one\tmany\n")
    (tmp_path / "infinite.txt").write_text("one\t-3\ntwo\tinf\n")
    cases = [
        (dict(fonts=tmp_path / "empty"), "holds no font"),
        (dict(fonts=tmp_path / "absent"), "holds no font"),
        (dict(fonts=tmp_path / "broken"), "broken.ttf cannot be read"),
        (dict(words=["слово"]), "none of the given words fits"),
        (dict(words=tmp_path / "absent.txt"), "cannot be read"),
        (dict(words=tmp_path / "bad.txt"), "line 1"),
        (dict(words=tmp_path / "infinite.txt"), "line 2: 'inf' is not the logarithm"),
        (dict(characters="abc가"), "has '가'"),
        (dict(characters=""), "charset"),
        (dict(words=tmp_path / "none.txt"), "holds no word"),
        (dict(words=[]), "none of the given words fits"),
        (dict(backgrounds=tmp_path / "empty"), "no photograph"),
        (dict(size=0), "size"),
        (dict(seed=-1), "seed"),
    ]
    for options, message in cases:
        options = dict(dict(seed=0, size=10, characters=NAMED["36"]), **options)
        with pytest.raises(InputError, match=message) as error:
            RenderedWords(**options)
        assert "\n" not in str(error.value)


def test_style_changes_the_picture():
    source = RenderedWords(0, 20, NAMED["36"], style=Style(**dict.fromkeys(SHARES, 0.0)))
    for i in range(20):
        image = source[i]["image"]
        colours, counts = np.unique(image.reshape(-1, 3), axis=0, return_counts=True)
        assert counts.max() > 0.2 * counts.sum()  # one flat background


@pytest.mark.parametrize("share", [s for s in SHARES if s not in TEXT_SHARES])
def test_every_effect_draws_something_and_is_pure(share):
    off = dict.fromkeys(SHARES, 0.0) | dict(outlined=float(share == "doubly"), embossed=float(share == "engraved"))
    words = dict(characters=NAMED["36"], words=["nine", "no"], fonts=SMALL_FONTS)
    plain, with_it, again = (
        RenderedWords(5, 12, style=Style(**(off | {share: value}), kinds=(1, 0, 0), cases=(0, 1, 0)), **words)
        for value in (0.0, 1.0, 1.0)
    )
    changed = 0
    for i in range(12):
        image = with_it[i]["image"]
        assert image.dtype == np.uint8 and image.shape[0] == 32 and np.array_equal(image, again[i]["image"])
        changed += not np.array_equal(image, plain[i]["image"])
    assert changed >= 3 or share == "photographed"


def test_everything_at_once(tmp_path):
    write_folder(tmp_path, ["a"] * 3, shape=(80, 100, 3))
    style = Style(**dict.fromkeys(SHARES, 1.0))
    source = RenderedWords(2, 40, NAMED["94"], style=style, backgrounds=tmp_path)
    assert all(source[i]["image"].std() > 0 for i in range(40))


def test_photographs_behind_words(tmp_path):
    write_folder(tmp_path, ["a"] * 3, shape=(80, 100, 3))
    style = Style(**dict.fromkeys(SHARES, 0.0) | dict(photographed=1.0), contrast=(200, 200))
    source = RenderedWords(2, 20, NAMED["36"], style=style, backgrounds=tmp_path)
    copy = pickle.loads(pickle.dumps(source))
    for i in range(20):
        image = source[i]["image"]
        assert np.array_equal(image, copy[i]["image"])
        assert len(np.unique(image.reshape(-1, 3), axis=0)) > 100  # not a flat ground
    (tmp_path / "bad.png").write_bytes(b"no picture")
    broken = RenderedWords(3, 60, NAMED["36"], style=style, backgrounds=tmp_path)
    with pytest.raises(InputError, match="bad.png is not a picture"):
        [broken[i] for i in range(60)]


def test_addresses_and_numbers_show_their_marks():
    style = Style(addresses=1.0, kinds=(1, 0, 0))
    writer, rng = Writer(NAMED["36"], 25, style), np.random.default_rng(0)
    pairs = [pair for _ in range(100) if (pair := writer.draw(rng))]
    assert all(set(label) <= set(NAMED["36"]) and set("./@#") & set(shown) for label, shown in pairs)
    writer = Writer(NAMED["36"], 25, Style(unlabelled_marks=0.0, kinds=(0, 1, 0)))
    assert all(shown.isalnum() for _ in range(300) if (pair := writer.draw(rng)) for shown in pair)


def test_mixed_case_keeps_labels_true():
    rng, style = np.random.default_rng(0), Style(mixed=1.0, kinds=(1, 0, 0), addresses=0)
    writer = Writer(NAMED["62"], 25, style, ["corner", "shop"])
    labels = [pair[0] for _ in range(200) if (pair := writer.draw(rng))]
    assert "CornerShop" in labels and any(x.lower() in ("corner", "shop") and not x.istitle() for x in labels)
    assert {x.lower() for x in labels} <= {a + b for a in ("corner", "shop") for b in ("", "corner", "shop")}


def test_word_lists_by_name_and_compressed(tmp_path):
    assert word_file(None) == word_file("english") and word_file("english").is_file()
    (tmp_path / "own.txt.xz").write_bytes(lzma.compress(b"cab\n"))
    assert set(RenderedWords(0, 20, "abc", words=tmp_path / "own.txt.xz", style=ONLY_WORDS).labels()) == {"cab"}


@pytest.mark.parametrize("height", [8, 32, 64])
def test_long_words_and_other_heights(height):
    source = RenderedWords(0, 30, "abc", words=["abc" * 80, "c"], max_length=400, height=height)
    shapes = {source[i]["image"].shape for i in range(30)}
    assert {s[0] for s in shapes} == {height} and max(s[1] for s in shapes) <= 40 * height


def test_contact_sheet(words, tmp_path, capsys):
    sheet = contact_sheet(words[i] for i in range(7))
    assert sheet.dtype == np.uint8 and sheet.shape == (2 * 72, 5 * 240, 3)
    sample = words[0] | {"label": "\u4e2d"}  # no font has it: its code point is written
    assert not np.array_equal(contact_sheet([sample]), contact_sheet([sample | {"label": ""}]))
    out = tmp_path / "sheet.png"
    assert preview.main([f"--out={out}", "--count=10", "--characters=94"]) == 0
    assert Image.open(out).size == (1200, 144)
    assert preview.main([f"--out={out}", f"--fonts={tmp_path / 'none'}"]) == 2
    assert "holds no font" in capsys.readouterr().err


def test_contact_sheets_of_a_config(tmp_path, capsys):
    folder = write_folder(tmp_path / "real", ["one", "two", "three"])
    (folder / "0002.png").write_bytes(b"broken")
    out, config = tmp_path / "sheet.png", f"--config={ROOT / 'configs/quickstart.py'}"
    assert preview.main([f"--out={out}", config, "--count=9"]) == 0
    assert Image.open(out).size[0] == 1200 and "RenderedWords(seed=1" in capsys.readouterr().out
    assert preview.main([f"--out={out}", config, "--count=4", "--source=real"]) == 0  # an evaluation row
    picture = cv2.imread(str(out))
    assert picture.shape == (72, 1200, 3)
    assert preview.main([f"--out={out}", f"--source={folder}"]) == 0
    assert "1 broken images left out" in capsys.readouterr().err
    for arguments, message in [
        ([config, "--source=rael"], "nor one of"),
        ([f"--config={tmp_path / 'none.py'}"], "there is no such file"),
        ([f"{config}:wrong"], "wrong"),
        ([config, "--words=x"], "go without --config"),
        (["--count=0"], "at least one"),
        ([f"--source={tmp_path / 'none'}"], "none"),
    ]:
        assert preview.main([f"--out={out}", *arguments]) == 2
        error = capsys.readouterr().err
        assert message in error and error.count("\n") == 1
