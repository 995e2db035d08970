"""The command that makes the page for corrections: what it takes, and which words it shows."""

import json

import cv2
import numpy as np
import pytest

from jstr import review
from jstr.data.photos import words_file
from jstr.data.photos.words_file import FoundWord
from jstr.inference import alternatives, reader
from jstr.inference.review_input import _predictions, find_words
from jstr.text.messages import InputError


@pytest.fixture
def run_folder(tmp_path):
    """A workdir that has read four images, the last of which is gone."""
    images, run = tmp_path / "images", tmp_path / "run"
    images.mkdir()
    run.mkdir()
    for i in range(3):
        noise = np.random.default_rng(i).integers(0, 255, (20, 60, 3), np.uint8)
        cv2.imwrite(str(images / f"{i}.png"), noise)
    (run / "config.json").write_text(json.dumps(dict(images="images", data_root=str(tmp_path))))
    lines = [f"{i}.png\tw{i}\t{0.1 * i:.4f}\n" for i in range(4)]
    (run / "predictions.tsv").write_text("".join(lines))
    return run


@pytest.fixture
def no_model(monkeypatch):
    monkeypatch.setattr(reader, "load", lambda *a: None)
    found = [("other", 0.4), ("w1", 0.3), ("third", 0.1)]
    monkeypatch.setattr(alternatives, "alternatives", lambda _, images, count: [found[:count]] * len(images))


def rows_of(path):
    return json.loads(path.read_text().split('id="data">')[1].split("</script>")[0])


@pytest.mark.usefixtures("no_model")
def test_doubtful_words_come_first_with_other_readings(run_folder, tmp_path, capsys):
    review.run([str(run_folder), f"--out={tmp_path / 'review.html'}"])
    data = rows_of(tmp_path / "review.html")
    assert [row["text"] for row in data["words"]] == ["w0", "w1", "w2"]
    assert data["words"][1]["others"] == ["other", "third"]
    assert data["words"][0]["files"] == [str(tmp_path / "images/0.png")] and not data["random"]
    printed = capsys.readouterr()
    assert "3 words, up to 2,000 a page" in printed.out and "1 images left out" in printed.err
    review.run([str(run_folder), f"--out={tmp_path / 'review.html'}", "--doubtful=1"])
    assert len(rows_of(tmp_path / "review.html")["words"]) == 1


def test_sources_of_words(tmp_path):
    """A photograph and box; without one, or with the mark of `predict --precision`, the file itself."""
    lines = ["a.png\tw\t0.1\tdoubtful", "b.png\tw\t0.2", "c.png\tw\t0.3\tp.jpg\t1,2", "d.png\tw\t0.4\t\t"]
    (tmp_path / "read.tsv").write_text("\n".join(lines) + "\n")
    words = find_words(str(tmp_path / "read.tsv")).words
    assert [word.source for word in words] == ["a.png", "b.png", "p.jpg at 1,2", "d.png"]


@pytest.mark.usefixtures("no_model")
def test_words_that_have_not_been_read_are_read(tmp_path):
    (tmp_path / "a").mkdir()
    cv2.imwrite(str(tmp_path / "a/001.jpg"), np.zeros((20, 60, 3), np.uint8))
    words_file.write(tmp_path / "words.tsv", [FoundWord("a/001.jpg", "p.jpg", (1.0,) * 8, 0.9)], read=False)
    review.run([str(tmp_path), f"--out={tmp_path / 'review.html'}", "--sample=5"])
    data = rows_of(tmp_path / "review.html")
    assert (data["words"][0]["text"], data["words"][0]["source"], data["random"]) == ("other", "p.jpg at 1, 1", True)


def test_a_sample_has_every_level_of_confidence_in_its_share():
    confidences = np.linspace(0, 1, 1000).tolist()
    drawn = review.choose(confidences, 100, None)
    values = np.array([confidences[i] for i in drawn])
    assert len(set(drawn)) == 100
    assert np.histogram(values, 4, (0, 1))[0].tolist() == [25] * 4
    assert not (np.diff(values) > 0).all()  # in no order
    assert review.choose(confidences, 100, None, seed=1) != drawn
    assert sorted(review.choose([0.5, 0.1], 5, None)) == [0, 1]
    assert review.choose([0.5, 0.1, 0.3], None, 2) == [1, 2]


def test_what_cannot_be_reviewed(tmp_path):
    with pytest.raises(InputError, match="holds no predictions.tsv and no words.tsv"):
        find_words(str(tmp_path))
    (tmp_path / "predictions.tsv").write_text("a.png\tword\n")
    with pytest.raises(InputError, match="line 1: not path, text and confidence"):
        find_words(str(tmp_path))
    with pytest.raises(InputError, match="give one of them"):
        review.run([str(tmp_path), "--sample=1", "--doubtful=1"])


def test_files_of_predictions_in_another_encoding(tmp_path):
    """A byte order mark is no part of the first path; what is not UTF-8 is one line."""
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((8, 8), np.uint8))
    file = tmp_path / "read.tsv"
    file.write_bytes("a.png\tword\t0.5\n".encode("utf-8-sig"))
    (read,) = _predictions(file, None)
    assert read.file == str(tmp_path / "a.png")
    file.write_bytes(b"a.png\tword\t0.5\n" * 500 + "b.png\té\t0.5\n".encode("latin-1"))
    with pytest.raises(InputError, match="read.tsv is not UTF-8 text"):
        _predictions(file, None)
    file.write_text("a.png\tword\t0.5\n")
    with pytest.raises(InputError, match="gone does not exist from here"):
        _predictions(file, str(tmp_path / "gone"))
