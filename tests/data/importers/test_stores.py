"""Imports of general containers."""

import os

import lmdb
import pytest
from source_files import image, images, write_folder, write_lmdb, write_tar

from jstr.data.importers.formats import open_published
from jstr.data.importers.prepare import prepare
from jstr.data.importers.report import describe
from jstr.data.sources.open import open_source
from jstr.text.messages import InputError


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


def test_two_folders_of_one_split_are_refused(tmp_path):
    for name in ("train", "test", "eval"):
        write_folder(tmp_path / name, "0.png\ta\n", count=1)
    with pytest.raises(InputError, match="eval and .*test are both the test split; import them one by one"):
        open_published("folder", tmp_path)


def test_labels_in_folders_that_name_no_split_are_noted(tmp_path):
    for name in ("train", "extra", ".hidden"):
        write_folder(tmp_path / name, "0.png\ta\n", count=1)
    write_folder(tmp_path / "pages", count=1)
    (tmp_path / "pages/0.gt.txt").write_text("b\n")
    write_folder(tmp_path / "pictures", count=1)
    reader = open_published("folder", tmp_path)
    assert list(reader.index) == ["train"]
    assert reader.notes == ["not imported: the labels in extra, pages; import them one by one with --src"]


def test_a_tar_may_be_in_capitals(tmp_path):
    write_tar(tmp_path / "WORDS.TAR", images(2) | {"labels.tsv": b"0.png\ta\n1.png\tb\n"})
    reader = open_published("folder", tmp_path / "WORDS.TAR")
    assert [next(reader.words(("train", i))).label for i in range(2)] == ["a", "b"]


def test_lmdbs_in_single_files(tmp_path):
    for name in ("test.lmdb", "words.mdb"):
        with (
            lmdb.open(str(tmp_path / name), subdir=False, lock=False, map_size=1 << 22) as env,
            env.begin(write=True) as txn,
        ):
            for key, value in ((b"num-samples", b"1"), (b"image-000000001", image(0)), (b"label-000000001", b"a")):
                txn.put(key, value)
    for source, split in ((tmp_path / "test.lmdb", "test"), (tmp_path / "words.mdb", "train")):
        reader = open_published("lmdb", source)
        assert reader.files() == [source] and list(reader.index) == [split]
        (word,) = reader.words(reader.entries(split)[0])
        assert word.label == "a" and word.problem is None
    assert open_published("lmdb", tmp_path).index == {"test": ["test.lmdb"], "train": ["words.mdb"]}


def test_names_that_are_not_utf8(tmp_path):
    write_folder(tmp_path / "set", "0.png\ta\n", count=1)
    (tmp_path / "set" / os.fsdecode(b"caf\xe9.png")).write_bytes(image(1))
    for _ in range(2):  # the second reads the report of the first
        report = prepare(open_published("folder", tmp_path / "set"), tmp_path / "out", jobs=1)
        assert report["splits"]["train"]["words"] == 1 and "caf\\udce9.png" in report["notes"][0]
    write_folder(tmp_path / "texts", count=0)
    (tmp_path / "texts" / os.fsdecode(b"caf\xe9.png")).write_bytes(image(1))
    (tmp_path / "texts" / os.fsdecode(b"caf\xe9.txt")).write_text("ab")
    assert (
        prepare(open_published("folder", tmp_path / "texts"), tmp_path / "b", jobs=1)["splits"]["train"]["words"] == 1
    )
