"""MATLAB files: damaged ones end in one line, even those that scipy crashes on or that fill the memory."""

import struct

import numpy as np
import pytest
import scipy.io

from jstr.data.importers.matlab import load_mat, mat_text
from jstr.text.messages import InputError


def saved(path):
    row = np.array([("a.png", "X")], dtype=[("ImgName", "O"), ("GroundTruth", "O")])
    scipy.io.savemat(path, {"traindata": row})
    return path


def test_what_was_saved_is_loaded(tmp_path):
    found = load_mat(saved(tmp_path / "a.mat"), ["traindata"])["traindata"].ravel()
    assert [(mat_text(row["ImgName"]), mat_text(row["GroundTruth"])) for row in found] == [("a.png", "X")]


def unknown_type(path):
    """scipy reads a table of types beyond its end."""
    data = bytearray(saved(path).read_bytes())
    at = data.rindex(b"X") - 4  # a tag of type and length, then the text
    data[at : at + 2] = struct.pack("<H", 41)
    return bytes(data)


def version_4_of_4_gb(path):
    return struct.pack("<iiiii", 0, 1 << 15, 1 << 14, 0, 10) + b"traindata\0"


@pytest.mark.parametrize(
    "make, message",
    [
        (unknown_type, "not a readable .mat file"),
        (version_4_of_4_gb, "holds far more than a file of its size"),
    ],
)
def test_hostile_files_are_one_line(tmp_path, make, message):
    path = tmp_path / "a.mat"
    path.write_bytes(make(path))
    with pytest.raises(InputError, match=message):
        load_mat(path, ["traindata"])
