import os
import subprocess
import sys

import pytest
from source_files import (
    WORDS,
    fails,
    image,
    write_lmdb,
)

from jstr.core import InputError
from jstr.data.sources.open import open_source


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
        "import sys; from jstr.data.sources import open_source; from jstr.core import InputError\n"
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
