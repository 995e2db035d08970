import pickle
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
from source_files import (
    WORDS,
    fails,
    image,
    make,
    tsv,
    write_folder,
    write_lmdb,
)
from testing import REAL_WORDS

from jstr.data.sources.lmdb import LmdbSource
from jstr.data.sources.open import ConcatSource, open_source


@pytest.mark.parametrize("kind", ["lmdb", "lmdbs", "folder", "tar", "tfds"])
def test_source(kind, tmp_path):
    source, key = make(kind, tmp_path)
    labels = list(source.labels())
    assert len(source) == len(labels) == len(WORDS) and sorted(labels) == sorted(WORDS)
    samples = list(source)
    assert [s["label"] for s in samples] == labels
    drawn = [0, 1, 0, 1, 2] if kind == "lmdbs" else range(5)
    assert sorted(s["image"] for s in samples) == sorted(image(i) for i in drawn)
    assert samples[3]["key"] == key and source[np.int64(3)] == samples[3]
    joined = [f"{source.path}: 2 LMDBs are joined: MJ/a (2), MJ/b (3)"] if kind == "lmdbs" else []
    assert source.notes == joined and source.path in repr(source) and str(len(WORDS)) in repr(source)
    for i in (-1, len(WORDS)):
        with pytest.raises(IndexError):
            source[i]
    copy = pickle.loads(pickle.dumps(source))
    assert repr(copy) == repr(source)
    order = list(range(5)) * 100
    with ThreadPoolExecutor(8) as pool:  # the copy also opens its files here
        assert list(pool.map(copy.__getitem__, order)) == [samples[i] for i in order]
    assert list(copy.labels()) == labels


def test_order_is_that_of_the_files(tmp_path):
    for kind in ("lmdb", "folder", "tar", "lmdbs"):
        assert list(make(kind, tmp_path / kind if kind != "tar" else tmp_path)[0].labels()) == WORDS


def test_worker_process_reads(tmp_path):
    for kind in ("lmdb", "tar", "tfds"):
        folder = tmp_path / kind
        folder.mkdir()
        source, _ = make(kind, folder)
        (tmp_path / "source.pickle").write_bytes(pickle.dumps(source))
        code = f"import pickle; print(pickle.load(open({str(tmp_path / 'source.pickle')!r}, 'rb'))[1]['label'])"
        assert len(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout) > 1


def test_nothing_to_open(tmp_path):
    fails("does not exist", path=tmp_path / "no")
    fails("does not exist", path=tmp_path / "no#train")
    fails("data.mdb", "dataset_info.json", "labels.tsv, gt.txt, labels.csv", path=tmp_path)
    fails("data.mdb", path=tmp_path, labelled=False)
    (tmp_path / "a.bin").write_bytes(b"x")
    fails("no known kind", path=tmp_path / "a.bin")
    (tmp_path / "a.tar.gz").write_bytes(b"x")
    fails("compressed", path=tmp_path / "a.tar.gz")
    fails("no splits", "#train", path=write_folder(tmp_path, tsv()) + "#train")


def test_two_label_files_are_refused(tmp_path):
    path = write_folder(tmp_path, tsv())
    (tmp_path / "classic.tsv").write_text(tsv(["one"]))
    fails("is a label file", "'classic.tsv' names another", path=f"{path}/labels.tsv", labels="classic.tsv")
    assert len(open_source(f"{path}/labels.tsv", labels="labels.tsv")) == 5


def test_hash_in_a_name(tmp_path):
    assert len(open_source(write_folder(tmp_path / "set#1", tsv()))) == len(WORDS)


def test_concat_errors_name_the_part(tmp_path):
    write_lmdb(tmp_path / "a", WORDS)
    write_lmdb(tmp_path / "b", [], num_samples=0)
    assert "b is empty" in fails(path=tmp_path)
    shutil.rmtree(tmp_path / "b")
    write_lmdb(tmp_path / "c", ["x"], num_samples=2)
    source = open_source(tmp_path)
    assert isinstance(source, ConcatSource) and source.parts[0].__class__ is LmdbSource
    assert (
        len(source) == len(WORDS) + 2
        and str(tmp_path / "c") in source.notes[1]
        and f"a ({len(WORDS)}), c (2)" in source.notes[0]
    )


def test_real_words():
    source = open_source(REAL_WORDS)
    assert len(source) == 64 and source.notes == []
    for sample in source:
        assert cv2.imdecode(np.frombuffer(sample["image"], np.uint8), cv2.IMREAD_COLOR) is not None
        assert sample["label"].isalnum() and sample["label"].isascii() and 2 <= len(sample["label"]) <= 12
