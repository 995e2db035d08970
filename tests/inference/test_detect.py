"""The command that finds words, and the readings of whole photographs."""

import json

import numpy as np
import pytest
from photos_testing import encoded, photograph, red_is_text  # noqa: F401

from jstr.data.photos import words_file
from jstr.inference import detect
from jstr.messages import InputError

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
    assert len(list((tmp_path / "drawn").iterdir())) == 1
    (photos / "broken.jpg").unlink()
    assert detect.run([str(photos), f"--out={photos / 'words'}"]) == 0
    assert "(2 done earlier)" in capsys.readouterr().out  # and crops are no photographs


def test_reads(photos, tmp_path, monkeypatch):
    from jstr.inference import reader

    class Reads:
        from jstr.data.images import ImageSpec

        spec, heads = ImageSpec((32, 100), 1), ()

        @staticmethod
        def read_checked(images):
            return ["word"] * len(images), np.full(len(images), 0.75)

    monkeypatch.setattr(reader, "load", lambda *a: Reads)
    detect.run([str(photos), f"--out={tmp_path / 'words'}", "--read"])
    (word,) = words_file.load(tmp_path / "words/words.tsv")
    assert (word.text, word.confidence) == ("word", 0.75)


def test_nothing_to_find_in(tmp_path):
    with pytest.raises(InputError, match="no photographs there"):
        detect.run([str(tmp_path), f"--out={tmp_path / 'words'}"])


def test_json_is_plain(photos):
    assert json.dumps(detect.find_options(detect._parse(["a.jpg", "--out=b"])).as_dict())
