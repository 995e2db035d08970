import os
import unicodedata

import pytest
from source_files import (
    fails,
    image,
    tsv,
    write_folder,
    write_tar,
)

from jstr.data.sources.open import open_source


def test_folder_missing_unused_and_repeated_files(tmp_path):
    path = write_folder(tmp_path, "0.png\ta\nnot.png\tb\n./1.png\tc\n./0.png\td\n", count=4)
    source = open_source(path)
    assert list(source.labels()) == ["a", "b", "c", "d"]
    assert [s["image"] for s in source] == [image(0), None, image(1), image(0)]
    several, missing, unused = source.notes
    assert "1 files have several labels" in several and "0.png ('a', 'd')" in several
    assert "1 files" in missing and "not.png" in missing
    assert "2 images have no line" in unused and "2.png, 3.png" in unused


def test_whole_paths_say_nothing_of_the_folder_beside(tmp_path):
    words = write_folder(tmp_path / "words", tsv(), count=4)
    downloads = write_folder(tmp_path / "downloads", f"filename\tlabel\n{words}/0.png\ta\n", count=3)
    source = open_source(f"{downloads}/labels.tsv")
    assert [s["image"] for s in source] == [image(0)] and not source.notes


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
    (tmp_path / "a" / ".found").mkdir()  # by jstr detect
    source = open_source(tmp_path, labelled=False)
    assert not any(".found" in note for note in source.notes) and any("._0.png" in note for note in source.notes)
    assert [s["key"] for s in source] == ["a/x/0.png", "a/x/Z.JPEG", "b/0.png", "b/1.png"]
    assert list(source.labels()) == [None] * 4 and source[1]["image"] == b"not decoded"
    fails("4 images but no labels", "labels.tsv, gt.txt, labels.csv", "unlabelled", path=tmp_path)
    write_folder(tmp_path, "0.png\ta", count=2)
    everything = open_source(tmp_path, labelled=False)
    assert len(everything) == 6 and "labels.tsv" in everything.notes[0]
    named = open_source(tmp_path, labelled=False, labels="labels.tsv")
    assert [(s["key"], s["label"]) for s in named] == [("0.png", None)]


def test_names_with_other_separators_links_and_absolute_paths(tmp_path):
    write_folder(tmp_path / "b", count=2)
    labels = f"..\\b\\0.png\ta\n{tmp_path}/b/1.png\tb\n../b/./1.png\tb\n"
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "labels.tsv").write_text(labels)
    (tmp_path / "a" / "link.png").symlink_to(tmp_path / "b" / "0.png")
    os.mkfifo(tmp_path / "a" / "pipe.png")
    source = open_source(tmp_path / "a")
    assert [s["image"] for s in source] == [image(0), image(1), image(1)]
    assert [s["image"] for s in open_source(tmp_path / "a", labelled=False)] == [image(0), None]


def test_notes_stay_on_one_line_whatever_the_names(tmp_path):
    write_folder(tmp_path, "0.png\ta\n", count=1)
    for name in (b"a\nb.png", b"\xff.png", "\u2028.png".encode()):
        with open(os.fsencode(tmp_path) + b"/" + name, "wb") as stream:
            stream.write(image(1))
    (note,) = open_source(tmp_path).notes
    assert "3 images have no line" in note and len(note.splitlines()) == 1 and note.encode()


def test_links_around_a_folder_end(tmp_path):
    write_folder(tmp_path / "a" / "b", count=1)
    for name, target in (("up", ".."), ("b/top", "../.."), ("b/self", ".")):
        (tmp_path / "a" / name).symlink_to(target)
    keys = [s["key"] for s in open_source(tmp_path / "a", labelled=False)]
    assert keys == ["b/0.png"]


def test_label_files_in_folders_below(tmp_path):
    write_folder(tmp_path / "train", tsv())
    write_folder(tmp_path / "test", '{"file_name": "0.png", "text": "x"}', "metadata.jsonl")
    fails("labels in folders below", f"{tmp_path}/train", f"{tmp_path}/test", path=tmp_path)
    write_folder(tmp_path, "0.png\ta\n", count=1)
    notes = "\n".join(open_source(tmp_path).notes)
    assert "2 label files below are not read: test/metadata.jsonl, train/labels.tsv" in notes


def test_files_that_are_no_images_are_counted(tmp_path):
    write_folder(tmp_path, count=2)
    for name in ("a.heic", "b.HEIC", "c"):
        (tmp_path / name).write_bytes(b"?")
    (note,) = open_source(tmp_path, labelled=False).notes
    assert "3 files are not images by their suffix: 2 .heic, 1 without suffix" in note


def test_folders_for_testing_among_others_are_warned_of(tmp_path):
    for name in ("train", "test_words", "contest", "val/a"):
        write_folder(tmp_path / name, count=1)
    (warning,) = open_source(tmp_path, labelled=False).notes
    assert "WARNING: test_words, val/a by name are for validation or testing" in warning
    (tmp_path / "labels.tsv").write_text("train/0.png\ta\nval/a/0.png\tb\n")
    assert "WARNING: val/a by name" in open_source(tmp_path).notes[0]
    (tmp_path / "labels.tsv").write_text("val/a/0.png\tb\n")
    assert "WARNING" not in "".join(open_source(tmp_path).notes), "that is all of them"


def as_folder_or_tar(kind, tmp_path, files):
    if kind == "tar":
        return write_tar(tmp_path / "a.tar", files)
    for name, data in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)
    return str(tmp_path)


@pytest.mark.parametrize("kind", ["folder", "tar"])
def test_names_start_at_the_label_file_or_at_the_top(kind, tmp_path):
    files = {"sub/labels.tsv": b"0.png\ta\n1.png\tb\nsub/2.png\tc\n"}
    files |= {"sub/0.png": image(0), "sub/2.png": image(2), "0.png": image(7), "1.png": image(1)}
    source = open_source(as_folder_or_tar(kind, tmp_path, files), labels="sub/labels.tsv")
    assert [s["image"] for s in source] == [image(0), image(1), image(2)]
    (note,) = source.notes
    assert "1 images have no line in" in note and note.endswith("0.png")


def test_a_whole_path_to_a_label_file_in_the_folder(tmp_path):
    path = write_folder(tmp_path / "sub", tsv(), count=6)
    source = open_source(tmp_path, labels=f"{path}/labels.tsv")
    assert all(s["image"] for s in source) and source.notes[0].endswith(": sub/5.png")


@pytest.mark.parametrize("kind", ["folder", "tar"])
@pytest.mark.parametrize("form, other", [("NFC", "NFD"), ("NFD", "NFC")])
def test_names_in_the_other_normal_form(kind, form, other, tmp_path):
    files = {unicodedata.normalize(form, "Größe.png"): image(0)}
    files["labels.tsv"] = unicodedata.normalize(other, "Größe.png\ta\n").encode()
    source = open_source(as_folder_or_tar(kind, tmp_path, files))
    assert source[0]["image"] == image(0) and not source.notes


@pytest.mark.parametrize("texts", [True, False])
def test_a_folder_is_listed_once(tmp_path, monkeypatch, texts):
    path, listed = write_folder(tmp_path, count=1), []
    if texts:
        (tmp_path / "0.txt").write_text("a")
    walk = os.walk
    monkeypatch.setattr(os, "walk", lambda *args, **options: listed.append(args) or walk(*args, **options))
    assert len(open_source(path, labelled=texts)) == 1 and len(listed) == 1
