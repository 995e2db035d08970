"""Imports: small made-up trees in the exact published forms, read back with TFDS and with jstr."""

import json
import os
import sys

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import scipy.io
import tensorflow_datasets as tfds
from hypothesis import given
from hypothesis import strategies as st
from published import TREES, cells, folder, huggingface, iam, icdar, iiit5k, left_out, mjsynth, put, svt
from testing import call

from jstr.data.importers import shards
from jstr.data.importers.base import Lines, Numbered
from jstr.data.importers.formats import FORMATS, open_published
from jstr.data.importers.prepare import prepare
from jstr.data.importers.report import describe
from jstr.data.importers.tfds_builder import WordImages
from jstr.data.sources.open import open_source
from jstr.text.messages import InputError


def same(image, expected):
    """Whether a stored image is `expected`: these bytes, or these pixels."""
    if isinstance(expected, bytes):
        return image == expected
    return np.array_equal(cv2.imdecode(np.frombuffer(image, np.uint8), cv2.IMREAD_COLOR), expected)


def test_every_format_has_a_tree():
    assert set(TREES) == set(FORMATS)


@pytest.mark.parametrize("name", TREES)
def test_array_record(name, tmp_path):
    src, words, reasons = TREES[name](tmp_path / "published")
    out = tmp_path / "sets" / name / "1.0.0"
    report = prepare(open_published(name, src, crops="png"), out, jobs=1)
    assert {split: row["words"] for split, row in report["splits"].items()} == {s: len(w) for s, w in words.items()}
    assert left_out(report) == reasons and report == json.loads((out / "report.json").read_text())
    assert not (out / "partial").exists()
    builder = tfds.builder_from_directory(out)
    for split, expected in words.items():
        source = open_source(f"{out}#{split}")
        assert list(source.labels()) == [label for _, label, _ in expected]
        assert all(same(sample["image"], image) for sample, (_, _, image) in zip(source, expected, strict=True))
        for data in (tfds.data_source(name, split=split, data_dir=tmp_path / "sets"), builder.as_data_source(split)):
            assert [(e["key"].decode(), e["label"].decode()) for e in data] == [(k, label) for k, label, _ in expected]
            assert all(e["image"].dtype == np.uint8 and e["image"].ndim == 3 for e in data)
    assert "tensorflow" not in sys.modules


@pytest.mark.parametrize("name", ["icdar", "svt", "lmdb"])
def test_lmdb(name, tmp_path):
    src, words, reasons = TREES[name](tmp_path / "published")
    report = prepare(open_published(name, src, crops="png"), tmp_path / "out", to="lmdb", jobs=1)
    assert left_out(report) == reasons
    assert sorted(os.listdir(tmp_path / "out")) == sorted([*words, "report.json"])
    for split, expected in words.items():
        source = open_source(tmp_path / "out" / split)
        assert source.notes == [] and list(source.labels()) == [label for _, label, _ in expected]
        assert all(same(sample["image"], image) for sample, (_, _, image) in zip(source, expected, strict=True))
        assert os.listdir(tmp_path / "out" / split) == ["data.mdb"]


@pytest.mark.parametrize("name", ["mjsynth", "synthtext"])
def test_builder(name, tmp_path):
    """TFDS by itself writes the same examples in the same order."""
    src, words, _ = TREES[name](tmp_path / "published")
    builder = WordImages(open_published(name, src, crops="png"), data_dir=tmp_path)
    builder.download_and_prepare(file_format="array_record")
    prepare(open_published(name, src, crops="png"), tmp_path / "ours", jobs=1)
    for split, expected in words.items():
        theirs = open_source(f"{tmp_path / name}#{split}")
        ours = open_source(f"{tmp_path / 'ours'}#{split}")
        assert len(theirs) == len(expected) and list(theirs) == list(ours)
        data = tfds.data_source(name, split=split, data_dir=tmp_path)
        assert [e["key"].decode() for e in data] == [key for key, _, _ in expected]


def test_crops_are_jpeg_by_default(tmp_path):
    src, words, _ = svt(tmp_path / "svt")
    prepare(open_published("svt", src), tmp_path / "out", splits=["train"], jobs=1)
    source = open_source(tmp_path / "out")
    assert source.split == "train"
    for sample, (_, _, pixels) in zip(source, words["train"], strict=True):
        assert sample["image"][:2] == b"\xff\xd8"
        decoded = cv2.imdecode(np.frombuffer(sample["image"], np.uint8), cv2.IMREAD_COLOR)
        assert decoded.shape == pixels.shape and np.abs(decoded.astype(int) - pixels).mean() < 12  # noise, quality 95


def test_choices_of_labels(tmp_path):
    src, words, _ = iiit5k(tmp_path / "iiit5k")
    prepare(open_published("iiit5k", src, labels="chars"), tmp_path / "chars", jobs=1)
    assert list(open_source(f"{tmp_path}/chars#train").labels()) == ["You", "50", "Rescue"]
    for split in words:
        (src / f"{split}data.mat").unlink()
    prepare(open_published("iiit5k", src), tmp_path / "only", jobs=1)
    assert list(open_source(f"{tmp_path}/only#test").labels()) == ["You", "50", "Rescue"]
    src, _, _ = huggingface(tmp_path / "hf")
    with pytest.raises(InputError, match="--labels=id is not one that holds text"):
        open_published("huggingface", src, labels="id")
    src, _, _ = iam(tmp_path / "iam")
    notes = prepare(open_published("iam", src), tmp_path / "lists", jobs=1)["notes"]
    assert notes == ["1 words are of lines in none of trainset.txt, testset.txt"]
    (src / "trainset.txt").unlink()
    (src / "testset.txt").unlink()
    report = prepare(open_published("iam", src), tmp_path / "all", jobs=1)
    assert report["splits"]["train"]["words"] == 3  # and the unlisted one has no image
    assert left_out(report) == {"segmentation marked err, not ok": 1, "missing file": 1}


def test_options(tmp_path):
    src, words, _ = mjsynth(tmp_path / "mj")
    report = prepare(open_published("mjsynth", src), tmp_path / "val", splits=["val"], check=False, jobs=1)
    assert list(report["splits"]) == ["val"] and report["splits"]["val"]["words"] == 2
    assert "broken image" not in left_out(report) and left_out(report)["empty image file"] == 1
    report = prepare(open_published("mjsynth", src), tmp_path / "one", limit=1, jobs=1)
    assert report["splits"]["train"]["words"] == 1 and report["splits"]["val"] == {
        "entries": 1,
        "words": 0,
        "bytes": 0,
        "notes": {},
        "left_out": {"empty image file": {"count": 1, "examples": ["1/3/1_Empty_1.jpg"]}},
    }
    # A split of which nothing can be used is no split of the data set.
    assert list(open_source(tmp_path / "one").labels()) == ["Lube"]
    assert "val: 0 words, 1 left out, 0.0 MB" in describe(report)


def test_report_says_what_was_cut_and_what_is_unused(tmp_path):
    src, _, _ = svt(tmp_path / "svt")
    report = prepare(open_published("svt", src), tmp_path / "out", jobs=1)
    note = "box reaches over the edge of the photograph and was cut there"
    assert report["splits"]["train"]["notes"] == {note: {"count": 1, "examples": ["img/14_03.jpg:1"]}}
    assert f"  kept: {note}: 1 (img/14_03.jpg:1)" in describe(report)
    src, _, _ = folder(tmp_path / "folder")
    (note,) = prepare(open_published("folder", src / "val"), tmp_path / "f", jobs=1)["notes"]
    assert "1 images have no line" in note and "1.jpg" in note


# ---------------------------------------------------------------- what the user gets wrong


def damaged(tmp_path):
    """name -> (format, src, what the line must say)."""
    empty = tmp_path / "empty"
    empty.mkdir()
    bad_mat, new_mat, other_mat = tmp_path / "bad", tmp_path / "new", tmp_path / "other"
    put(bad_mat / "gt.mat", b"MATLAB 5.0 MAT-file" + bytes(500))
    put(new_mat / "gt.mat", b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + bytes(500))
    other_mat.mkdir()
    scipy.io.savemat(other_mat / "gt.mat", {"imnames": cells(["a"])})
    xml, gt, both, parquet, two = (tmp_path / name for name in ("xml", "gt", "both", "parquet", "two"))
    put(xml / "train.xml", "<tagset><image>")
    put(gt / "gt.txt", "word_1.png Tiredness\n")
    put(both / "a/gt.txt", "")
    put(both / "b/gt.txt", "")
    put(parquet / "a.parquet", b"PAR1 no")
    put(two / "a.tsv", "x\ty")
    put(two / "b.csv", "x,y")
    table = {"image": pa.array([b"x"]), "text": ["a"], "label": ["b"]}
    put(tmp_path / "hf" / "x.txt", "")
    pq.write_table(pa.table(table), tmp_path / "hf/a.parquet")
    looked = {
        "mjsynth": "annotation_train.txt",
        "synthtext": "gt.mat",
        "iiit5k": "traindata.mat, testdata.mat",
        "svt": "train.xml",
        "icdar": "Challenge.*_Task3_GT.txt",
        "iam": "words.txt",
        "union14m": "jsonl",
        "lmdb": "data.mdb",
        "huggingface": "parquet",
        "folder": "labels.tsv, gt.txt, labels.csv",
    }
    yield from ((name, empty, f"looked for .*{file}.*it is empty") for name, file in looked.items())
    yield "iiit5k", gt, "it holds gt.txt"
    yield "synthtext", bad_mat, "not a readable .mat"
    yield "synthtext", new_mat, "version 7.3"
    yield "synthtext", other_mat, "no variable wordBB, txt"
    yield "svt", xml, "train.xml is not XML"
    yield "icdar", gt, "gt.txt line 1"
    yield "icdar", both, "both look like the train split"
    yield "huggingface", parquet, "a.parquet is not a readable"
    yield "huggingface", tmp_path / "hf", "text and label could be the text; choose with --labels="
    yield "folder", two, "a.tsv, b.csv.*--labels="
    yield "mjsynth", tmp_path / "nowhere", "does not exist"
    yield "mjsinth", empty, "choose one of mjsynth, synthtext"


def test_damaged_sets(tmp_path):
    for name, src, says in damaged(tmp_path):
        with pytest.raises(InputError, match=says) as error:
            prepare(open_published(name, src), tmp_path / "out", jobs=1)
        assert "\n" not in str(error.value) and len(str(error.value)) < 600
        assert not (tmp_path / "out" / "report.json").exists()


def test_wrong_options(tmp_path):
    src, _, _ = icdar(tmp_path / "icdar")
    for options, says in [
        ({"labels": "x"}, "--labels=x has no meaning for --from=icdar"),
        ({"crops": "bmp"}, "choose one of jpg, png"),
    ]:
        with pytest.raises(InputError, match=says):
            open_published("icdar", src, **options)
    for options, says in [
        ({"to": "tfrecord"}, "choose one of array_record, lmdb"),
        ({"splits": ["val"]}, "has only train, test"),
        ({"limit": 0}, "1 or more"),
        ({"jobs": 0}, "1 or more"),
    ]:
        with pytest.raises(InputError, match=says):
            prepare(open_published("icdar", src), tmp_path / "out", **options)
    (src / "ch4_test_word_images_gt").rename(tmp_path / "moved")
    with pytest.raises(InputError, match="word_1.png, ... are in no folder"):
        prepare(open_published("icdar", src), tmp_path / "out", jobs=1)


@pytest.mark.parametrize(
    "arguments, says",
    [
        (["--from=iiit5k", "--out=x"], "--src"),
        (["--from=iiit", "--src=.", "--out=x"], "mjsynth, synthtext, iiit5k"),
        (["--from=iiit5k", "--src=tests", "--out=x"], "looked for traindata.mat, testdata.mat"),
    ],
)
def test_command_says_what_is_wrong(arguments, says):
    status, out, err = call("tools/prepare_data.py", *arguments)
    assert (status, out, len(err.strip().splitlines())) == (2, "", 1)
    assert err.startswith("error: ") and says in err


# ---------------------------------------------------------------- parts


@given(
    st.lists(st.binary(max_size=5).filter(lambda line: b"\n" not in line and not line.endswith(b"\r"))), st.booleans()
)
def test_lines(tmp_path_factory, lines, ended):
    path = tmp_path_factory.getbasetemp() / "lines.txt"
    path.write_bytes(b"\r\n".join(lines) + (b"\n" if ended and lines else b""))
    found = Lines(path)
    expected = path.read_bytes().removeprefix(b"\xef\xbb\xbf").split(b"\n")
    expected = [line.removesuffix(b"\r") for line in (expected[:-1] if expected[-1] == b"" else expected)]
    assert list(found) == expected == found[:] and len(found) == len(expected)
    assert found[1:3] == expected[1:3]


@given(st.lists(st.integers(0, 4), max_size=5))
def test_numbered(lengths):
    found = Numbered(dict(enumerate(lengths)))
    expected = [(part, i) for part, length in enumerate(lengths) for i in range(length)]
    assert found[:] == expected == list(found) and found[2:5] == expected[2:5]


@given(st.integers(0, 100_000), st.floats(0.1, 500))
def test_shards_cover_everything_once(entries, words_per_entry):
    cut = shards.bounds(entries, words_per_entry)
    assert [i for start, stop in cut for i in (start, stop)][1:-1:2] == [start for start, _ in cut[1:]]
    assert not entries or (cut[0][0] == 0 and cut[-1][1] == entries and all(start < stop for start, stop in cut))
    assert all((stop - start - 1) * words_per_entry <= shards.WORDS_PER_SHARD for start, stop in cut)
