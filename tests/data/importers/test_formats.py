"""Readers of published sets: damaged and hostile files end in one line, and nothing is written."""

import numpy as np
import pytest
import scipy.io
from published import TREES

from jstr.data.importers import matlab
from jstr.data.importers.formats import open_published
from jstr.data.importers.tfds_builder import problem
from jstr.text.messages import InputError


def read_all(name, src):
    """The words of every split that can be used, and that cannot."""
    reader = open_published(name, src)
    words = [w for split in reader.index for entry in reader.entries(split) for w in reader.words(entry)]
    return [word for word in words if problem(word, check=True) is None]


TOKENS = (b"\0", b"\n", b"<", b'"', b"/", b"../", b"\t", b"9" * 30)


def try_here(path, names):
    try:
        scipy.io.loadmat(path, variable_names=names)
    except Exception as error:
        return type(error).__name__
    return ""


@pytest.mark.parametrize("name", TREES)
def test_damaged_files_of_every_format(name, tmp_path, monkeypatch):
    monkeypatch.setattr(matlab, "_try", try_here)  # another process takes half a second, see test_matlab.py
    src, words, _ = TREES[name](tmp_path / "published")
    assert len(read_all(name, src)) == sum(map(len, words.values()))
    rng, before = np.random.default_rng(0), sorted(tmp_path.rglob("*"))
    for file in open_published(name, src).files():
        if file.suffix == ".mdb":  # it must not change while it is mapped; see test_lmdb.py
            continue
        whole = file.read_bytes()
        for _ in range(25):
            at, length = int(rng.integers(len(whole) + 1)), int(rng.integers(1, 40))
            noise = (
                rng.bytes(length) if rng.integers(2) else rng.choice([b"\0", b"\n", b"<", b'"', b"/", b"../"]).tobytes()
            )
            damaged = whole[:at] + noise + whole[at + length :]
            only_cut = file.suffix == ".mat" or not rng.integers(4)  # scipy itself crashes on damage within a file
            file.write_bytes(whole[:at] if only_cut else damaged)
            try:
                read_all(name, src)
            except InputError as error:
                assert "\n" not in str(error) and len(str(error)) < 600
        file.write_bytes(whole)
    assert sorted(tmp_path.rglob("*")) == before


def test_names_that_lead_out_of_the_set(tmp_path):
    """They are read where they are files, and never written."""
    (tmp_path / "set").mkdir()
    lines = ["/dev/zero", "../secret.png", "a\0b.png", "/proc/self/mem", "." * 5000]
    rows = "".join(f'{{"filename": "{name}", "text": "x"}}\n'.replace("\0", "\\u0000") for name in lines)
    (tmp_path / "set" / "train.jsonl").write_text(rows + '{"a":' * 100_000 + "\n")
    before = sorted(tmp_path.rglob("*"))
    assert read_all("union14m", tmp_path / "set") == [] and sorted(tmp_path.rglob("*")) == before
