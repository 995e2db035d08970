"""Photographs to a folder of word crops: what is written, what is said, and what an interruption leaves."""

import io

import cv2
import numpy as np
import pytest
from photos_testing import encoded, photograph, red_is_text  # noqa: F401
from PIL import Image

from jstr.data.photos import words_file
from jstr.data.photos.draw import draw_words
from jstr.data.photos.finder import FindOptions
from jstr.data.photos.word_folder import Photograph, decode_photograph, find_words
from jstr.data.photos.words_file import FoundWord
from jstr.text.messages import InputError

pytestmark = pytest.mark.usefixtures("red_is_text")
TWO = encoded(photograph((100, 400, 300, 440), (100, 200, 300, 240)))
ONE = encoded(photograph((100, 200, 300, 240)))


def photo(name, data):
    return Photograph(name, lambda: data)


def test_crops_and_their_table(tmp_path):
    found = find_words([photo("b/two.png", TWO), photo("one.png", ONE)], tmp_path / "words")
    assert [word.photograph for word in found.words] == ["b/two.png", "b/two.png", "one.png"]
    assert found.words[0].corners[1] < found.words[1].corners[1]  # the upper one first
    assert words_file.load(tmp_path / "words/words.tsv") == found.words
    crop = cv2.imread(str(tmp_path / "words" / found.words[0].crop))
    assert abs(crop.shape[0] - 60) < 20 and crop[30, 100, 2] > 200


def test_broken_photographs_are_named_and_the_others_done(tmp_path):
    def gone():
        raise FileNotFoundError(2, "No such file or directory")

    photos = [photo("empty.jpg", b""), photo("cut.png", ONE[:200]), Photograph("gone.jpg", gone), photo("one.png", ONE)]
    found = find_words(photos, tmp_path)
    assert len(found.words) == 1
    assert [why for _, why in found.broken] == [
        "empty.jpg: an empty file",
        "cut.png: not an image that can be decoded, or cut off",
        "gone.jpg: No such file or directory",
    ]


def test_too_many_pixels():
    data = io.BytesIO()
    Image.new("1", (10_000, 9_000)).save(data, "png")
    with pytest.raises(InputError, match="10000 x 9000 pixels are too many"):
        decode_photograph(data.getvalue(), "huge.png")


def test_a_turn_in_exif_is_applied():
    data, exif = io.BytesIO(), Image.Exif()
    exif[0x112] = 6
    Image.fromarray(photograph(size=(100, 300))).save(data, "jpeg", exif=exif)
    assert decode_photograph(data.getvalue(), "a.jpg").shape == (300, 100, 3)


def test_what_is_done_is_not_done_again(tmp_path, red_is_text):  # noqa: F811
    photos = [photo("two.png", TWO), photo("one.png", ONE)]
    first = find_words(photos, tmp_path)
    red_is_text.calls = 0
    again = find_words(photos, tmp_path)
    assert (again.words, again.reused, red_is_text.calls) == (first.words, 2, 0)
    find_words([photo("two.png", TWO), photo("one.png", TWO)], tmp_path)  # another file under the same name
    assert red_is_text.calls == 1
    find_words(photos[:1], tmp_path, FindOptions(min_height=12))
    assert red_is_text.calls == 2


def test_an_interruption_keeps_what_is_done(tmp_path, red_is_text):  # noqa: F811
    def interrupted():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        find_words([photo("one.png", ONE), Photograph("b.png", interrupted)], tmp_path, jobs=1)
    red_is_text.calls = 0
    assert find_words([photo("one.png", ONE), photo("b.png", TWO)], tmp_path).reused == 1


def test_words_found_before_stay_in_the_table(tmp_path):
    find_words([photo("one.png", ONE)], tmp_path)
    found = find_words([photo("two.png", TWO)], tmp_path)
    assert found.earlier == 1
    assert [word.photograph for word in found.words] == ["two.png", "two.png", "one.png"]


def test_any_name_and_text_is_one_line(tmp_path):
    word = FoundWord("a/001.jpg", "tab\there\nline\udce9.jpg", (1.5,) + (0.0,) * 7, 0.5, "a\tb", 0.25)
    words_file.write(tmp_path / "words.tsv", [word], read=True)
    assert words_file.load(tmp_path / "words.tsv") == [word]
    assert len((tmp_path / "words.tsv").read_text().splitlines()) == 2


@pytest.mark.parametrize("text, message", [("a\tb\n", "line 1: not the columns"), (None, "line 2: not 11 columns")])
def test_damaged_tables(tmp_path, text, message):
    path = tmp_path / "words.tsv"
    path.write_text(text or "\t".join(words_file.COLUMNS) + "\na\tb\n")
    with pytest.raises(InputError, match=message):
        words_file.load(path)


def test_drawings_have_boxes_and_a_legend():
    pixels = photograph(size=(300, 400))
    box = np.float32([(50, 50), (150, 50), (150, 80), (50, 80)])
    plain = draw_words(pixels, [box])
    assert plain.shape == pixels.shape and (plain[50, 100] != pixels[50, 100]).any()
    texts = ["house", "안녕", "مرحبا", "x" * 90]
    legend = draw_words(pixels, [box] * 4, texts, [0.99, 0.4, 0.9, 0.5])
    assert legend.shape[1] > 700
    assert (legend[:, 420:] < 100).any()


def test_photographs_have_the_name_that_was_typed_last(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("photos/one.png", f"{tmp_path}/photos/one.png"):
        found = find_words([photo(name, ONE)], tmp_path / "out")
        assert [word.photograph for word in found.words] == [name]
    assert find_words([photo("two.png", TWO)], tmp_path / "out").words[-1].photograph == f"{tmp_path}/photos/one.png"
