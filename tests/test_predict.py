"""python -m jstr.predict."""

import json
import shutil

import pytest
from testing import REAL_WORDS, saved_run

from jstr import predict


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    return saved_run(tmp_path_factory.mktemp("run"))


def test_predict(workdir, tmp_path, capsys):
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("iiit5k_6_7.png", "svt_0138.jpg"):
        shutil.copy(REAL_WORDS / name, folder / name)
    (folder / "notes.txt").write_text("not an image")
    assert predict.run([f"--workdir={workdir}", str(folder)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("\t")[0] for line in lines] == [str(folder / n) for n in ("iiit5k_6_7.png", "svt_0138.jpg")]
    assert all(0 <= float(line.split("\t")[2]) <= 1 for line in lines)

    bad = folder / "bad.png"
    bad.write_bytes(b"broken")
    assert predict.run([f"--workdir={workdir}", "--json", str(folder), str(tmp_path / "none.jpg")]) == 1
    captured = capsys.readouterr()
    assert [json.loads(line)["path"] for line in captured.out.splitlines()] == [line.split("\t")[0] for line in lines]
    assert captured.err.splitlines() == [
        f"{bad}: not an image that can be decoded",
        f"{tmp_path}/none.jpg: No such file or directory",
    ]


def test_predict_of_an_empty_folder(workdir, tmp_path, capsys):
    assert predict.run([f"--workdir={workdir}", str(tmp_path)]) == 1
    assert "no image files" in capsys.readouterr().err
