"""predictions.tsv and doubtful.png."""

import numpy as np
from testing import REAL_WORDS, tiny_config

from jstr.data.images import ImageSpec
from jstr.data.photos import words_file
from jstr.data.photos.words_file import FoundWord
from jstr.data.sources.open import open_source
from jstr.inference import predictions_file


class FallingReader:
    """Reads w0, w1, ... in each batch, with falling confidence."""

    spec, capacity, heads = ImageSpec.make(tiny_config().image), 99, ()

    @staticmethod
    def read_batch(images):
        return [f"w{i}" for i in range(len(images))], np.linspace(1, 0.5, len(images))

    read_checked = read_batch


def image_folder(folder, names):
    """Real words under other names; b"broken" where a name starts with "broken"."""
    folder.mkdir()
    for path, name in zip(sorted(REAL_WORDS.glob("*.png")), names, strict=False):
        (folder / name).write_bytes(b"broken" if name.startswith("broken") else path.read_bytes())
    return open_source(str(folder), labelled=False)


def test_broken_images_come_first_then_the_least_confident(tmp_path):
    source = image_folder(tmp_path / "images", ["0.png", "1.png", "2.png", "broken.png", "4.png"])
    lines = predictions_file.write(FallingReader, source, str(tmp_path))
    rows = [line.split("\t") for line in (tmp_path / "predictions.tsv").read_text().splitlines()]
    assert rows[0] == ["broken.png", "", "0.0000"]
    assert [r[0] for r in rows[1:]] == ["4.png", "2.png", "1.png", "0.png"]
    assert "1 broken or missing images, at the top: broken.png" in lines[-1]
    assert (tmp_path / "doubtful.png").exists()


def test_only_the_least_confident_are_drawn(tmp_path, monkeypatch):
    monkeypatch.setattr(predictions_file, "SHOWN", 3)
    drawn = []
    monkeypatch.setattr(
        predictions_file, "word_sheet", lambda images, texts, **_: drawn.append(texts) or images[0][..., 0]
    )
    source = image_folder(tmp_path / "images", [f"{i}.png" for i in range(8)])
    predictions_file.write(FallingReader, source, str(tmp_path))
    rows = [line.split("\t") for line in (tmp_path / "predictions.tsv").read_text().splitlines()]
    assert [r[0] for r in rows] == [f"{i}.png" for i in range(7, -1, -1)]
    assert drawn == [[f"w{i}  {1 - i / 14:.2f}" for i in (7, 6, 5)]]


def test_any_file_name_is_one_line(tmp_path):
    names = ["two\nlines.png", "tab\there.png", "caf\udce9.png", "return\r.png", "plain.png"]
    source = image_folder(tmp_path / "images", names)
    predictions_file.write(FallingReader, source, str(tmp_path))
    rows = [line.split("\t") for line in (tmp_path / "predictions.tsv").read_text(encoding="utf-8").splitlines()]
    assert {len(row) for row in rows} == {3}
    assert {row[0] for row in rows} == {
        r"two\nlines.png",
        r"tab\there.png",
        r"caf\udce9.png",
        r"return\r.png",
        "plain.png",
    }


def test_words_of_photographs_say_where_they_come_from(tmp_path):
    source = image_folder(tmp_path / "words", ["1.png", "broken.png"])
    found = [FoundWord("1.png", "shop.jpg", (1, 2, 30.5, 2, 30.5, 9, 1, 9), 0.9)]
    words_file.write(tmp_path / "words/words.tsv", found, read=False)
    predictions_file.write(FallingReader, source, str(tmp_path))
    lines = (tmp_path / "predictions.tsv").read_text().splitlines()
    assert lines[0] == "path\ttext\tconfidence\tphotograph\tbox"
    assert lines[1] == "broken.png\t\t0.0000\t\t"
    assert lines[2].startswith("1.png\tw0\t") and lines[2].endswith("\tshop.jpg\t1,2,30.5,2,30.5,9,1,9")
