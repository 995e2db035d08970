import os
import pickle
import subprocess
import sys

import lmdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from source_files import (
    WORDS,
    fails,
    image,
    write_folder,
    write_lmdb,
)

from jstr.data.sources.lmdb import LmdbSource
from jstr.data.sources.open import open_source
from jstr.text.messages import InputError


def test_lmdb_missing_entries(tmp_path):
    source = open_source(write_lmdb(tmp_path, ["a", None, "c"], num_samples=4, images=2))
    assert list(source.labels()) == ["a", None, "c", None]
    assert [s["image"] is None for s in source] == [False, False, True, True]
    assert "4" in source.notes[0] and "4 images or labels are missing" in source.notes[0]
    beyond = open_source(write_lmdb(tmp_path / "b", ["a", "b"], num_samples=1))
    assert len(beyond) == 1 and "beyond num-samples" in beyond.notes[0]


def test_lmdb_unlabelled(tmp_path):
    path = write_lmdb(tmp_path, [None, None])
    assert list(open_source(path, labelled=False).labels()) == [None, None]
    fails("without labels", "unlabelled", path=path)
    ignored = open_source(write_lmdb(tmp_path / "b", ["a"]), labelled=False)
    assert ignored[0]["label"] is None and ignored[0]["image"] == image(0)


def test_lmdb_twice_and_read_only(tmp_path):
    path = write_lmdb(tmp_path / "db", WORDS)
    os.chmod(path, 0o555)
    one, two = open_source(path), open_source(path + "/data.mdb", labelled=False)
    assert one[0]["image"] == two[0]["image"] and two[0]["label"] is None
    assert os.listdir(path) == ["data.mdb"]
    os.chmod(path, 0o755)


def test_lmdb_linked_twice(tmp_path):
    write_lmdb(tmp_path / "real", WORDS)
    for name in ("x", "y"):
        (tmp_path / "links").mkdir(exist_ok=True)
        (tmp_path / "links" / name).symlink_to(tmp_path / "real")
    (tmp_path / "links" / "z").symlink_to(tmp_path / "links")
    assert open_source(tmp_path / "links").names == ["x", "y"]


def test_lmdb_errors(tmp_path):
    fails("no num-samples", path=write_lmdb(tmp_path / "a", WORDS, num_samples="none"))
    fails("empty", path=write_lmdb(tmp_path / "b", [], num_samples=0))
    fails("not a number", path=write_lmdb(tmp_path / "c", WORDS, num_samples="many"))
    path = write_lmdb(tmp_path / "d", ["a", b"\xff\xfe"])
    fails("labels=", path=path, labels="gt.txt")
    source = open_source(path)
    with pytest.raises(InputError, match="label-000000002 is not UTF-8"):
        list(source.labels())
    with pytest.raises(InputError, match="label-000000002 is not UTF-8"):
        source[1]
    (tmp_path / "e").mkdir()
    (tmp_path / "e" / "data.mdb").write_bytes(os.urandom(100_000))
    fails("data.mdb", path=tmp_path / "e")
    (tmp_path / "e" / "data.mdb").write_bytes(bytes(100_000))
    fails("data.mdb", path=tmp_path / "e")


def test_lmdb_truncated(tmp_path):
    """In other processes: without the check of the size, reading such a file ends in SIGBUS."""
    write_lmdb(tmp_path, [f"word{i}" for i in range(3000)])
    whole = (tmp_path / "data.mdb").read_bytes()
    sizes = [0, 100, 200, 4096, 4097, 8192, 12288, len(whole) // 2, len(whole) - 4096, len(whole) - 1]
    for size in sizes:
        folder = tmp_path / "cut" / str(size)
        folder.mkdir(parents=True)
        (folder / "data.mdb").write_bytes(whole[:size])
    code = (
        "import sys; from jstr.data.sources.open import open_source; from jstr.text.messages import InputError\n"
        "for path in sys.argv[1:]:\n"
        "  try: list(open_source(path).labels())\n"
        "  except InputError as error: print(error)\n"
        "  else: print('read', path)\n"
    )
    paths = [str(tmp_path / "cut" / str(size)) for size in sizes]
    run = subprocess.run([sys.executable, "-c", code, *paths], capture_output=True, text=True)
    assert run.returncode == 0, run
    lines = run.stdout.splitlines()
    assert len(lines) == len(sizes)
    for path, line in zip(paths, lines, strict=True):
        assert path in line and ("truncated" in line or "is empty (0 bytes)" in line) and "copy it again" in line


def test_lmdb_broken_inside(tmp_path):
    """Pages overwritten with noise: an error of lmdb becomes ours."""
    write_lmdb(tmp_path, [f"word{i}" for i in range(3000)])
    file = tmp_path / "data.mdb"
    whole = bytearray(file.read_bytes())
    whole[8192:] = bytes(len(whole) - 8192)
    file.write_bytes(whole)
    fails("damaged", path=tmp_path)


def write_keys(path, key, first, count=3, subdir=True, num_samples=3, label="word"):
    with lmdb.open(str(path), subdir=subdir, map_size=1 << 24) as env, env.begin(write=True) as txn:
        for i in range(first, first + count):
            txn.put((key % ("image", i)).encode(), image(i))
            if label:
                txn.put((key % (label, i)).encode(), b"x")
        txn.put(b"num-samples", b"%d" % num_samples)
    return str(path)


@pytest.mark.parametrize("key", ["%s-%08d", "%s_%09d", "%s%09d", "%s-%d", "prefix/%s-%09d"])
def test_lmdb_with_keys_of_another_form(tmp_path, key):
    there = key % ("image", 1)
    fails(there, "image-%09d", "counted from 1", path=write_keys(tmp_path / "a", key, 1))
    fails(there, path=tmp_path / "a", labelled=False)


def test_lmdb_with_labels_of_another_form(tmp_path):
    fails("word-000000003", "label-%09d", "unlabelled", path=write_keys(tmp_path / "a", "%s-%09d", 1))
    write_lmdb(tmp_path / "b", [None] * 200)
    with lmdb.open(str(tmp_path / "b"), map_size=1 << 24) as env, env.begin(write=True) as txn:
        txn.put(b"label-00000001", b"x")
    fails("no label-000000001", "label-00000001", path=tmp_path / "b")


def test_lmdb_counted_from_zero(tmp_path):
    source = open_source(write_keys(tmp_path / "a", "%s-%09d", 0, label="label"))
    assert "image-000000000 is not used, because keys count from 1" in source.notes[0]
    assert "num-samples is 3, but 2 images or labels are missing, such as image-000000003" in source.notes[1]


def test_lmdb_num_samples_too_small(tmp_path):
    (note,) = open_source(write_keys(tmp_path / "a", "%s-%09d", 1, 16, label="label", num_samples=2)).notes
    assert "14 images beyond num-samples (2), from image-000000003 on, are not used; write num-samples=16" in note


def test_lmdb_in_a_single_file(tmp_path):
    for name in ("one.lmdb", "two.mdb", "three"):
        path = write_keys(tmp_path / name, "%s-%09d", 1, subdir=False, label="label")
        source = open_source(path)
        assert isinstance(source, LmdbSource) and [s["image"] for s in source] == [image(i) for i in (1, 2, 3)]
        assert pickle.loads(pickle.dumps(source))[2]["label"] == "x"
    fails("labels=", path=path, labels="gt.txt")
    (joined,) = [note for note in open_source(tmp_path).notes if "joined" in note]
    assert "one.lmdb (3), two.mdb (3)" in joined
    (tmp_path / "not.lmdb").write_bytes(b"text" * 100)
    fails("truncated", path=tmp_path / "not.lmdb")


def test_lmdb_trees_are_listed_and_held_out_parts_named(tmp_path):
    for name in ("training/MJ", "validation", "evaluation/IIIT5k", "Latest"):
        write_lmdb(tmp_path / name, ["a"])
    joined, warning = open_source(tmp_path).notes
    assert "4 LMDBs are joined: Latest (1), evaluation/IIIT5k (1), training/MJ (1), validation (1)" in joined
    assert "WARNING: evaluation/IIIT5k, validation by name are for validation or testing" in warning
    assert len(open_source(tmp_path / "evaluation").notes) == 0


def test_label_files_beside_and_above_an_lmdb(tmp_path):
    write_lmdb(tmp_path / "a", ["x"])
    write_folder(tmp_path / "a", "0.png\tx\n", count=1)
    (note,) = open_source(tmp_path / "a").notes
    assert "labels.tsv beside the LMDB data.mdb is not read" in note
    write_folder(tmp_path, "0.png\tx\n", count=1)
    notes = open_source(tmp_path).notes
    assert "1 LMDBs below are not read: a/data.mdb" in notes[0] and "1 label files below are not read" in notes[1]


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=40), st.binary(max_size=12), st.sampled_from([b"image", b"label", b"num"]))
def test_any_value_is_read_or_refused_in_one_line(tmp_path, noise, value, which):
    folder = tmp_path / f"{len(list(tmp_path.iterdir()))}"
    folder.mkdir()
    key = {b"image": b"image-000000002", b"label": b"label-000000002", b"num": b"num-samples"}[which]
    write_lmdb(folder, WORDS)
    with lmdb.open(str(folder), map_size=1 << 24) as env, env.begin(write=True) as txn:
        txn.put(key, value)
        txn.put(noise or b"-", b"?")
    try:
        source = open_source(folder)
        for i in range(min(len(source), 10)):
            assert set(source[i]) == {"image", "label", "key"}
    except InputError as error:
        assert "\n" not in str(error) and str(folder) in str(error)
