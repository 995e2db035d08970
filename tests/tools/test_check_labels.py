"""tools/check_labels.py: texts and labels of the same images, whatever their order."""

import json

import check_labels
import cv2
import numpy as np
import pytest

from jstr.text.messages import InputError


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    for name in "abcd":
        cv2.imwrite(str(folder / f"{name}.png"), np.zeros((8, 8), np.uint8))
    (folder / "labels.tsv").write_text("a.png\tOne!\nb.png\ttwo\nc.png\tthree\nd.png\tfour\n")
    return folder


def test_right_and_sure(images, tmp_path, capsys):
    file = tmp_path / "read.tsv"
    file.write_text('["images"]\nd.png\tfive\t0.9\nc.png\tthree\t0.8\na.png\tone\t0.95\nb.png\ttwo\t0.3\ne.png\tx\t1\n')
    check_labels.run([str(file), f"--data={images}", f"--json={tmp_path}/a.json"])
    found = json.loads((tmp_path / "a.json").read_text())["files"]["read.tsv"]
    assert found == dict(words=4, accuracy=75.0, sure=75.0, right_of_sure=66.67)
    check_labels.run([str(file), f"--data={images}", "--threshold=0.92"])
    assert "'sure': 25.0, 'right_of_sure': 100.0" in capsys.readouterr().out


@pytest.mark.parametrize(
    "text, says", [(None, "give a file of WORKDIR/read"), ('["x"]\nz.png\ta\t1\n', "holds no labelled image")]
)
def test_bad_input(text, says, images, tmp_path):
    file = tmp_path / "read.tsv"
    if text:
        file.write_text(text)
    with pytest.raises(InputError, match=says):
        check_labels.run([str(file), f"--data={images}"])


def test_where_the_figures_go_is_checked_first(tmp_path):
    with pytest.raises(InputError, match="or it is a folder"):
        check_labels.run(["gone.tsv", "--data=gone", f"--json={tmp_path}"])
