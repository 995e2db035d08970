"""The command that finds words, and the readings of whole photographs."""

import json
from dataclasses import asdict

import numpy as np
import pytest
from photos_testing import encoded, photograph, red_is_text  # noqa: F401

from jstr import detect, predict
from jstr.data.photos import words_file
from jstr.inference import photographs
from jstr.text.messages import InputError

pytestmark = pytest.mark.usefixtures("red_is_text")


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "one.png").write_bytes(encoded(photograph((100, 200, 300, 240))))
    (folder / "none.png").write_bytes(encoded(photograph()))
    return folder


def test_finds_names_and_draws(photos, tmp_path, capsys):
    (photos / "broken.jpg").write_bytes(b"")
    status = detect.run([str(photos), f"--out={photos / 'words'}", f"--draw={tmp_path / 'drawn'}"])
    printed = capsys.readouterr()
    assert status == 1
    assert "1 words in 2 photographs" in printed.out and "1 photographs without words" in printed.out
    assert f"{photos / 'broken.jpg'}: an empty file" in printed.err
    assert len(list((tmp_path / "drawn").iterdir())) == 1 and f"{tmp_path / 'drawn'}: 1 drawings" in printed.out
    (photos / "broken.jpg").unlink()
    assert detect.run([str(photos), f"--out={photos / 'words'}"]) == 0
    assert "(2 done earlier)" in capsys.readouterr().out  # and crops are no photographs


def test_drawings_inside_are_no_photographs(photos, capsys):
    for _ in range(2):
        detect.run([str(photos), f"--out={photos / 'words'}", f"--draw={photos / 'drawn'}"])
        assert "1 words in 2 photographs" in capsys.readouterr().out
        assert len(list((photos / "drawn").iterdir())) == 1


def test_a_photograph_that_is_named_twice_is_found_once(photos, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names = ["photos", "photos/one.png", "./photos", str(photos / "one.png"), "photos/../photos/none.png"]
    assert detect.run([*names, "--out=words"]) == 0
    printed = capsys.readouterr()
    assert "1 words in 2 photographs" in printed.out
    assert "5 photographs are named twice and are taken once: photos/one.png, " in printed.err
    assert [word.photograph for word in words_file.load("words/words.tsv")] == ["photos/one.png"]


def test_the_same_name_in_two_folders_is_two_photographs(photos, tmp_path, monkeypatch, capsys):
    other = tmp_path / "other"
    other.mkdir()
    (other / "one.png").write_bytes(encoded(photograph((100, 400, 300, 440), (100, 200, 300, 240))))
    for folder in (photos, other):
        monkeypatch.chdir(folder)
        detect.run(["one.png", "--out=../words", "--draw=../drawn"])
    printed = capsys.readouterr().out
    assert "2 words in 1 photographs" in printed and "and 1 words of 1 photographs that were found" in printed
    assert len(words_file.load(tmp_path / "words/words.tsv")) == 3
    assert len(list((tmp_path / "drawn").iterdir())) == 2


def test_reads(photos, tmp_path, monkeypatch):
    from jstr.inference import reader

    class Reads:
        from jstr.data.images import ImageSpec

        spec, heads, capacity = ImageSpec((32, 100), 1), (), 1000

        @staticmethod
        def read_checked(images):
            return ["word"] * len(images), np.full(len(images), 0.75)

    monkeypatch.setattr(reader, "load", lambda *a: Reads)
    detect.run([str(photos), f"--out={tmp_path / 'words'}", "--read"])
    (word,) = words_file.load(tmp_path / "words/words.tsv")
    assert (word.text, word.confidence) == ("word", 0.75)


class Length:
    """Reads how wide a picture is."""

    @staticmethod
    def read(images):
        return [str(image.shape[1] // 100) for image in images], np.full(len(images), 0.5)


def test_photographs_are_read_in_order(photos):
    pixels = photograph((100, 200, 300, 240), (340, 200, 700, 240))
    first, second = photographs.read_photos(Length, [pixels, str(photos / "none.png")])
    assert [word.text for word in first] == ["2", "3"] and second == []
    assert first[0].box[0, 0] < first[1].box[0, 0]
    (alone,) = photographs.read_photos(Length, pixels, split="lines")
    assert len(alone) == 2
    with pytest.raises(InputError, match="choose one of words, lines"):
        photographs.read_photos(Length, pixels, split="letters")


def test_predict_prints_words_of_photographs(photos, monkeypatch, capsys):
    monkeypatch.setattr(predict, "load", lambda *_: Length)
    monkeypatch.setattr(predict, "with_options", lambda reader, _: reader)
    (photos / "broken.jpg").write_bytes(b"no")
    assert predict.run(["--photos", str(photos)]) == 1
    printed = capsys.readouterr()
    path, box, text, confidence = printed.out.rstrip().split("\t")
    assert path == str(photos / "one.png") and len(box.split(",")) == 8
    assert (text, confidence) == ("2", "0.5000")
    assert "broken.jpg: not an image" in printed.err
    assert predict.run(["--photos", "--json", str(photos / "one.png"), str(photos / "none.png")]) == 0
    printed = capsys.readouterr()
    one, none = map(json.loads, printed.out.splitlines())
    assert printed.err == f"{photos / 'none.png'}: no words found\n"
    assert (one["width"], one["height"], len(one["words"][0]["box"])) == (736, 736, 4)
    assert none["words"] == []


def test_doubtful_words_of_photographs(photos, monkeypatch, capsys):
    """Beside it: boxes are rounded as floats of 64 bits, so that JSON has one decimal."""
    monkeypatch.setattr(predict, "load", lambda *_: Length)
    monkeypatch.setattr(predict, "with_options", lambda reader, _: reader)
    monkeypatch.setattr(predict, "_least", lambda *_: 0.6)
    assert predict.run(["--photos", "--precision=0.9", str(photos / "one.png")]) == 0
    assert capsys.readouterr().out.endswith("\t0.5000\tdoubtful\n")
    word = photographs.ReadWord("a", 0.7, np.full((4, 2), 52.6, np.float32), 0.9)
    words = photographs.as_json("a.jpg", np.zeros((9, 9, 3)), [word, word._replace(confidence=0.5)], 0.6)["words"]
    assert [one.get("doubtful") for one in words] == [None, True] and words[0]["box"] == [[52.6, 52.6]] * 4


def test_nothing_to_find_in(tmp_path):
    with pytest.raises(InputError, match="no photographs there"):
        detect.run([str(tmp_path), f"--out={tmp_path / 'words'}"])


def test_json_is_plain(photos):
    assert json.dumps(asdict(detect.find_options(detect._parse(["a.jpg", "--out=b"]))))
