"""Korean, and scripts that run from right to left, join or reorder letters."""

import unicodedata

import numpy as np
import pytest
from synth_testing import ONLY_WORDS
from testing import ROOT

from configs import korean
from jstr.data.synth.fonts import Fonts, font_files
from jstr.data.synth.source import RenderedWords
from jstr.data.synth.style import Style
from jstr.text import Charset, read_characters
from jstr.text.label_report import LabelReport

CHARACTERS = read_characters("korean")
SYLLABLES = CHARACTERS[:2350]
TEST_FONTS = ROOT / "tests/data/fonts"


def drawn(script, text):
    """`text` as ink in one of the test fonts, float [h, w]."""
    fonts = Fonts([str(TEST_FONTS / f"NotoSans{script}-cut.ttf")], text, case_sensitive=True)
    return fonts.mask(0, 64, text).astype(np.float32)


def similarity(a, b):
    """Correlation of two pieces of ink, on the larger canvas, aligned at the bottom and the middle."""
    h, w = np.maximum(a.shape, b.shape)
    a, b = (
        np.pad(x, ((h - x.shape[0], 0), ((w - x.shape[1]) // 2, (w - x.shape[1] + 1) // 2))).ravel() for x in (a, b)
    )
    return np.corrcoef(a, b)[0, 1]


def pieces(ink):
    """The parts of the ink between empty columns, from the left."""
    filled = np.concatenate([[0], ink.any(0).astype(int), [0]])
    edges = np.flatnonzero(np.diff(filled))
    return [ink[:, a:b] for a, b in edges.reshape(-1, 2)]


def test_charset_is_ks_x_1001_and_latin():
    assert len(CHARACTERS) == len(set(CHARACTERS)) == 2350 + 62
    assert SYLLABLES[0] == "가" and SYLLABLES[-1] == "힝" and list(SYLLABLES) == sorted(SYLLABLES)
    assert all(unicodedata.name(c).startswith("HANGUL SYLLABLE") for c in SYLLABLES)
    assert all(len(c.encode("euc_kr")) == 2 for c in SYLLABLES)  # not the eight-byte forms of other syllables
    assert set(CHARACTERS[2350:]) == set(read_characters("62"))
    assert unicodedata.normalize("NFKC", CHARACTERS) == CHARACTERS


def test_decomposed_labels_are_composed():
    charset = Charset.make("korean", "cr_ctc", 12, nfkc=True)
    apart = unicodedata.normalize("NFD", "한국어 42A".replace(" ", ""))
    assert len(apart) == 11 and charset.normalise(apart) == "한국어42A"
    assert charset.decode(charset.encode(charset.normalise(apart))) == "한국어42A"
    assert LabelReport(charset).usable(apart)
    assert LabelReport(Charset.make("korean", "cr_ctc", 12)).usable(apart)  # the same text to Unicode


def test_fonts_have_every_character_and_distinct_syllables():
    paths = font_files("korean")
    assert len(paths) >= 2
    fonts = Fonts(paths, CHARACTERS, case_sensitive=True)
    assert all(bits == 2 ** len(paths) - 1 for bits in fonts.covering.values())
    for f in range(len(paths)):
        drawings = {fonts.mask(f, 40, c).tobytes() for c in SYLLABLES}
        assert len(drawings) == 2350
    assert not set(paths) & set(font_files("bundled"))


def test_rendered_words():
    source = RenderedWords(0, 1000, CHARACTERS, fonts="korean", words="korean", max_length=12)
    labels = list(source.labels())
    hangul = [label for label in labels if set(label) <= set(SYLLABLES)]
    assert len(hangul) > 600 and len(set(hangul)) > 400
    assert len(set("".join(hangul))) > 500  # random syllables, too
    assert any(set(label) <= set("0123456789") for label in labels)
    for i in range(30):
        assert source[i]["label"] == labels[i] and source[i]["image"].std() > 1
    random = RenderedWords(0, 300, CHARACTERS, fonts="korean", words="korean", style=Style(kinds=(0, 0, 1)))
    share = np.mean([set(label) <= set(SYLLABLES) for label in random.labels()])
    assert 0.4 < share < 0.9


def test_word_list():
    lines = (ROOT / "jstr/data/words/korean.txt").read_text(encoding="utf-8").splitlines()
    words = [line.split("\t")[0] for line in lines]
    assert len(words) == len(set(words)) > 20_000
    assert set("".join(words)) <= set(SYLLABLES) and min(map(len, words)) == 2


def test_config_reads_what_it_writes():
    config = korean.get_config("")
    charset = Charset.make(**config.charset.to_dict())
    assert charset.normalise(unicodedata.normalize("NFD", "서울")) == "서울"
    assert all(row.protocol == "exact" for row in config.evals.values())
    rows = [*config.streams.labelled.sources.values(), *config.evals.values()]
    assert {(row.rendered.fonts, row.rendered.words) for row in rows} == {("korean", "korean")}
    seeds = [row.rendered.seed for row in config.streams.labelled.sources.values()]
    assert not set(seeds) & {row.rendered.seed for row in config.evals.values()}


def test_hebrew_runs_from_right_to_left():
    word = "שלום"
    parts = pieces(drawn("Hebrew", word))
    assert len(parts) == 4
    for part, letter in zip(reversed(parts), word, strict=True):
        scores = {c: similarity(part, drawn("Hebrew", c)) for c in word}
        assert max(scores, key=scores.get) == letter, scores


def test_arabic_letters_join():
    apart = [drawn("Arabic", c) for c in "سلام"]
    word = drawn("Arabic", "سلام")
    assert len(pieces(word)) == 2  # alef does not join the letter after it
    assert word.shape[1] < 0.9 * sum(c.shape[1] for c in apart)
    assert similarity(pieces(word)[0], apart[-1]) > similarity(
        pieces(word)[-1], apart[-1]
    )  # the last letter is leftmost


def test_devanagari_vowel_sign_goes_before_its_consonant():
    word, consonant = drawn("Devanagari", "हि"), drawn("Devanagari", "ह")
    width = consonant.shape[1]
    assert word.shape[1] > width + 10
    right, left = word[-consonant.shape[0] :, -width:], word[-consonant.shape[0] :, :width]
    assert similarity(right, consonant) > 0.9 > similarity(left, consonant)


@pytest.mark.parametrize("script, words", [("Hebrew", ["שלום"]), ("Arabic", ["سلام"]), ("Devanagari", ["हिंदी"])])
def test_labels_stay_in_logical_order(script, words):
    font = TEST_FONTS / f"NotoSans{script}-cut.ttf"
    characters = "".join(sorted(set(words[0])))
    source = RenderedWords(0, 3, characters, fonts=font, words=words, style=ONLY_WORDS)
    assert set(source.labels()) == set(words)
    assert source[0]["label"] == words[0] and source[0]["image"].std() > 1
    charset = Charset.make(characters, "cr_ctc", 12, nfkc=True)
    assert charset.decode(charset.encode(charset.normalise(words[0]))) == words[0]
