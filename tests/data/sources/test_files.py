import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from source_files import (
    WORDS,
    fails,
    image,
    images,
    tsv,
    write_folder,
    write_tar,
)

from jstr.core import InputError
from jstr.data.sources.open import open_source


def test_folder_missing_unused_and_repeated_files(tmp_path):
    path = write_folder(tmp_path, "0.png\ta\nnot.png\tb\n./1.png\tc\n0.png\td\n", count=4)
    source = open_source(path)
    assert list(source.labels()) == ["a", "b", "c", "d"]
    assert [s["image"] for s in source] == [image(0), None, image(1), image(0)]
    several, missing, unused = source.notes
    assert "1 files have several labels" in several and "0.png ('a', 'd')" in several
    assert "1 files" in missing and "not.png" in missing
    assert "2 images have no line" in unused and "2.png, 3.png" in unused


def test_folder_choice_of_labels(tmp_path):
    path = write_folder(tmp_path, tsv())
    (tmp_path / "labels_classic.tsv").write_text(tsv(["one"]))
    source = open_source(path, labels="labels_classic.tsv")
    assert list(source.labels()) == ["one"] and "4 images have no line" in source.notes[0]
    fails("'nope.tsv'", "labels.tsv", "labels_classic.tsv", path=path, labels="nope.tsv")
    (tmp_path / "gt.txt").write_text(tsv())
    assert "gt.txt" in open_source(path).notes[0]
    os.remove(tmp_path / "gt.txt")
    os.remove(tmp_path / "labels.tsv")
    fails("no labels", "labels_classic.tsv", path=path)
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "my.lst").write_text("0.png\tx")
    assert list(open_source(path, labels="deep/my.lst").labels()) == ["x"]


def test_folder_unlabelled(tmp_path):
    write_folder(tmp_path / "b", count=2)
    write_folder(tmp_path / "a" / "x", count=1)
    (tmp_path / "a" / "x" / "Z.JPEG").write_bytes(b"not decoded")
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    (tmp_path / "a" / "._0.png").write_bytes(b"hidden")
    source = open_source(tmp_path, labelled=False)
    assert [s["key"] for s in source] == ["a/x/0.png", "a/x/Z.JPEG", "b/0.png", "b/1.png"]
    assert list(source.labels()) == [None] * 4 and source[1]["image"] == b"not decoded"
    fails("4 images but no labels", "labels.tsv, gt.txt, labels.csv", "unlabelled", path=tmp_path)
    write_folder(tmp_path, "0.png\ta", count=2)
    everything = open_source(tmp_path, labelled=False)
    assert len(everything) == 6 and "labels.tsv" in everything.notes[0]
    named = open_source(tmp_path, labelled=False, labels="labels.tsv")
    assert [(s["key"], s["label"]) for s in named] == [("0.png", None)]


def test_tar_choice_of_labels(tmp_path):
    members = {"labels.tsv": tsv().encode(), "labels_classic.tsv": tsv(["A", "B"]).encode(), **images()}
    path = write_tar(tmp_path / "a.tar", members)
    assert list(open_source(path, labels="labels_classic.tsv").labels()) == ["A", "B"]
    fails("labels.tsv, labels_classic.tsv", path=path, labels="no.tsv")
    unlabelled = open_source(path, labelled=False)
    assert len(unlabelled) == len(WORDS) and unlabelled[2] == {"image": image(2), "label": None, "key": "2.png"}


def test_tar_with_folders_and_missing_files(tmp_path):
    members = {"./set/labels.tsv": b"0.png\ta\nnot.png\tb", **images(3, "./set/"), "./set/._0.png": b"hidden"}
    source = open_source(write_tar(tmp_path / "a.tar", members))
    assert [s["image"] for s in source] == [image(0), None]
    assert "not.png" in source.notes[0] and "2 images have no line" in source.notes[1]


def test_a_tar_that_is_open_when_the_program_ends(tmp_path):
    path = write_tar(tmp_path / "a.tar", {"labels.tsv": tsv().encode(), **images()})
    program = f"from jstr.data.sources import open_source\nsource = open_source({str(path)!r})\nsource[0]"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0 and not done.stderr


def test_tar_errors(tmp_path):
    members = {"labels.tsv": tsv().encode(), **images()}
    path = write_tar(tmp_path / "a.tar", members)
    whole = Path(path).read_bytes()
    for size in (0, 100, 700, 1100, 2048, 3000):
        Path(path).write_bytes(whole[:size])
        fails("copy", path=path)
    Path(path).write_bytes(os.urandom(5000))
    fails("not a readable", path=path)
    fails("labels.tsv line 1", path=write_tar(tmp_path / "a.tar", {**members, "labels.tsv": b"0.png,a"}))
    fails("no labels", path=write_tar(tmp_path / "a.tar", images()))
    fails("no image", path=write_tar(tmp_path / "a.tar", {"a.md": b""}), labelled=False)
    source = open_source(write_tar(tmp_path / "a.tar", members))
    copy = pickle.loads(pickle.dumps(source))
    os.remove(path)
    with pytest.raises(InputError, match="cannot be read"):
        copy[0]
