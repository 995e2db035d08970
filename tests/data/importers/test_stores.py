"""Imports of general containers."""

from source_files import write_folder, write_lmdb

from jstr.data.importers.formats import open_published
from jstr.data.importers.prepare import prepare
from jstr.data.importers.report import describe
from jstr.data.sources.open import open_source


def test_unreadable_words_of_a_folder_are_left_out(tmp_path):
    write_folder(tmp_path / "set", "0.png\ta\n1.png\t###\n2.png\t \n", count=3)
    report = prepare(open_published("folder", tmp_path / "set"), tmp_path / "out", jobs=1)
    split = report["splits"]["train"]
    assert {reason: row["count"] for reason, row in split["left_out"].items()} == {
        "marked unreadable": 1,
        "empty label": 1,
    }
    assert split["words"] == 1


def test_texts_beside_images_are_labels_of_splits_or_of_all(tmp_path):
    src = tmp_path / "pages"
    for name in ("train", "test"):
        write_folder(src / name / "page1", count=2)
        for i in range(2):
            (src / name / "page1" / f"{i}.gt.txt").write_text(f"{name}{i}\n")
    reader = open_published("folder", src)
    report = prepare(reader, tmp_path / "a", jobs=1)
    assert {split: row["words"] for split, row in report["splits"].items()} == {"test": 2, "train": 2}
    assert list(open_source(f"{tmp_path}/a#test").labels()) == ["test0", "test1"]
    assert [path.name for path in reader.files()] == 2 * ["0.gt.txt", "1.gt.txt"]
    report = prepare(open_published("folder", src / "train" / "page1"), tmp_path / "b", jobs=1)
    assert {split: row["words"] for split, row in report["splits"].items()} == {"train": 2}


def test_notes_of_an_lmdb_are_reported(tmp_path):
    write_lmdb(tmp_path / "lmdb", ["a", "b", "c"], num_samples=2)
    report = prepare(open_published("lmdb", tmp_path / "lmdb"), tmp_path / "out", jobs=1)
    (note,) = report["notes"]
    assert "1 images beyond num-samples (2)" in note and f"note: {note}" in describe(report)
