"""The word renderer: pure in (seed, index), within its charset, never a missing-glyph box."""

import lzma
import pickle
import re
import shutil
import string
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from ml_collections import ConfigDict
from synth_testing import ONLY_WORDS, SHARES, SMALL_FONTS, TEXT_SHARES
from testing import ROOT, write_folder

from jstr.data.patterns.checksums import find_checksum
from jstr.data.synth.source import RenderedWords
from jstr.data.synth.style import Style
from jstr.data.word_lists import word_file
from jstr.text import NAMED, frames_needed, read_characters
from jstr.text.messages import InputError


@pytest.fixture(scope="module")
def words():
    return RenderedWords(3, 1000, NAMED["36"])


def same(a, b):
    return a["label"] == b["label"] and a["key"] == b["key"] and np.array_equal(a["image"], b["image"])


def test_codes_with_a_space():
    words = RenderedWords(0, 10, read_characters("94+space"), pattern="[A-Z]{2} [0-9]{3}")
    assert all(re.fullmatch("[A-Z]{2} [0-9]{3}", words[i]["label"]) for i in range(10))


def test_codes_follow_a_pattern():
    """In the image with the case of the pattern, in the label with that of the charset; picklable as others."""
    options = dict(regex="[A-Z]{3}U[0-9]{7}", checksum="iso6346")
    codes = pickle.loads(pickle.dumps(RenderedWords(3, 20, NAMED["36"], pattern=options)))
    labels = list(codes.labels())
    assert all(find_checksum("iso6346")(label) and label.islower() for label in labels) and len(set(labels)) == 20
    assert codes[0]["label"] == labels[0]
    _, shown, _ = codes._word(codes._rng(0))
    assert shown == labels[0].upper()
    for nothing in (dict(regex=()), ConfigDict(dict(regex=(), allow="", none=0.01))):
        assert RenderedWords(3, 5, NAMED["36"], pattern=nothing)._pattern is None
    empty = RenderedWords(3, 5, NAMED["36"], pattern=dict(regex=()))
    assert list(empty.labels()) == list(RenderedWords(3, 5, NAMED["36"]).labels())
    for pattern, message in (("[A-Z", "unterminated"), ("[0-9]{30}", "up to 25 characters"), (7, "regex=7")):
        with pytest.raises(InputError, match=message):
            RenderedWords(3, 20, NAMED["36"], pattern=pattern)


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
    (tmp_path / "zero.txt").write_bytes("one\ntwo\n".encode("utf-16-le"))
    (tmp_path / "infinite.txt").write_text("one\t-3\ntwo\tinf\n")
    cases = [
        (dict(fonts=tmp_path / "empty"), "holds no font"),
        (dict(fonts=tmp_path / "absent"), "does not exist"),
        (dict(fonts=5), "5 is not a folder"),
        (dict(fonts=["bundled", 5]), "not a folder, a file or a list"),
        (dict(fonts=tmp_path / "broken"), "broken.ttf cannot be read"),
        (dict(words=["слово"]), "none of the given words fits"),
        (
            dict(words=tmp_path / "absent.txt"),
            "there is no file .*absent.txt; give a file of words, or one of english, korean",
        ),
        (dict(fonts="koreen"), "koreen does not exist .*; give a folder of fonts, or one of bundled, korean"),
        (dict(words=tmp_path / "bad.txt"), "line 1"),
        (dict(words=tmp_path / "infinite.txt"), "line 2: 'inf' is not the logarithm"),
        (dict(characters="abc가"), "has '가'"),
        (dict(characters=""), "charset"),
        (dict(words=tmp_path / "none.txt"), "holds no word"),
        (dict(words=[]), "none of the given words fits"),
        (dict(backgrounds=tmp_path / "empty"), "no photograph"),
        (dict(words=tmp_path / "zero.txt"), "line 1 holds a zero byte"),
        (dict(words=tmp_path), "cannot be read"),
        (dict(words=5), "words=5 is not a file"),
        (dict(words=["one", 5]), "not a file or a list of words"),
        (dict(size=0), "size=0; give a whole number from 1"),
        (dict(size="10"), "size='10'; give"),
        (dict(seed=-1), "seed=-1; give a whole number from 0"),
        (dict(seed=0.5), "seed=0.5"),
        (dict(seed=None), "seed=None"),
        (dict(height=7), "height=7"),
        (dict(height=10**6), "height=1000000"),
        (dict(max_length=0), "max_length=0"),
    ]
    for options, message in cases:
        options = dict(dict(seed=0, size=10, characters=NAMED["36"]), **options)
        with pytest.raises(InputError, match=message) as error:
            RenderedWords(**options)
        assert "\n" not in str(error.value)


def test_without_effects_the_background_is_flat():
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


def test_word_lists_by_name_and_compressed(tmp_path):
    assert word_file(None) == word_file("english") and word_file("english").is_file()
    (tmp_path / "own.txt.xz").write_bytes(lzma.compress(b"cab\n"))
    assert set(RenderedWords(0, 20, "abc", words=tmp_path / "own.txt.xz", style=ONLY_WORDS).labels()) == {"cab"}


@pytest.mark.parametrize("height", [8, 32, 64])
def test_long_words_and_other_heights(height):
    source = RenderedWords(0, 30, "abc", words=["abc" * 80, "c"], max_length=400, height=height)
    shapes = {source[i]["image"].shape for i in range(30)}
    assert {s[0] for s in shapes} == {height} and max(s[1] for s in shapes) <= 40 * height


def test_left_out_words_and_idle_fonts_are_named(tmp_path):
    shutil.copy(SMALL_FONTS[0], tmp_path / "latin.ttf")
    shutil.copy(ROOT / "tests/data/fonts/NotoSansHebrew-cut.ttf", tmp_path / "hebrew.ttf")
    (tmp_path / "._latin.ttf").write_bytes(b"macOS leaves such files")
    source = RenderedWords(0, 9, "abc", fonts=tmp_path, words=["cab", "xyz", "a" * 99, "ab c"])
    words, fonts = source.notes
    assert words.startswith("3 of 4 words left out") and words.endswith("such as 'xyz'")
    assert fonts.startswith("fonts: 1 of 2 draw no character") and fonts.endswith("hebrew.ttf")
    assert not RenderedWords(0, 9, NAMED["36"]).notes and not RenderedWords(0, 9, "abc", words=["cab"]).notes


def test_phrases_are_kept_where_the_charset_has_a_space(tmp_path):
    words = ["New York", "Rio  de Janeiro", "Rome"]
    source = RenderedWords(0, 200, string.ascii_lowercase + " ", words=words, style=ONLY_WORDS)
    assert set(source.labels()) == {"new york", "rio de janeiro", "rome"} and not source.notes
    listed = tmp_path / "words.txt"
    listed.write_text("New York\nRome\nthis line is longer than the model can read\n")
    labels = set(RenderedWords(0, 200, string.ascii_lowercase + " ", words=listed, style=ONLY_WORDS).labels())
    assert {"new york", "rome", "line"} <= labels and "new" not in labels
    assert set(RenderedWords(0, 200, string.ascii_lowercase, words=listed, style=ONLY_WORDS).labels()) >= {
        "new",
        "york",
    }
    two, one = (RenderedWords(0, 1, "ab ", words=[w], style=ONLY_WORDS, fonts=SMALL_FONTS[0]) for w in ("a b", "ab"))
    masks = [x._fonts.mask(0, 40, w) for x, w in ((two, "a b"), (one, "ab"))]
    assert masks[0].shape[1] > masks[1].shape[1] + 6 and masks[0].shape[0] == masks[1].shape[0]
    assert not masks[0].max(axis=0).all(), "an empty column between the words"


def test_words_that_no_alignment_fits_are_drawn_again():
    free = RenderedWords(0, 300, NAMED["36"])
    for frames in (1, 4, 8):
        source = RenderedWords(0, 300, NAMED["36"], frames=frames)
        pairs = list(zip(free.labels(), source.labels(), strict=True))
        assert all(frames_needed(label) <= frames for _, label in pairs)
        assert all(a == b for a, b in pairs if frames_needed(a) <= frames), "others stay as they are"
        changed = sum(a != b for a, b in pairs)
        assert source.notes[0].startswith(f"{changed} of the first 300 words need more than the {frames} frames")
        assert source[3]["label"] == pairs[3][1]
    assert not RenderedWords(0, 300, NAMED["36"], frames=50).notes
    assert set(RenderedWords(0, 50, "ab", words=["aa", "ab"], style=ONLY_WORDS, frames=2).labels()) == {"ab"}
