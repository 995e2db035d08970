"""tools/study_weight.py: what is counted, and a run on the shipped words."""

import json

import pytest
import study_weight
from study_promises import Word
from testing import ROOT

from jstr.text.messages import InputError


def test_row():
    words = [Word(0.9, True, "", "", 0), Word(0.8, False, "", "", 1), Word(0.7, True, "", "", 2)]
    assert study_weight.row(words, 0.8) == dict(words=3, accuracy=66.67, sure=66.67, right_of_sure=50.0)
    assert study_weight.row(words, 0.95)["right_of_sure"] == 0


def test_weights_change_what_is_read(tmp_path):
    file, words = tmp_path / "a.json", ROOT / "tests/data/real_words"
    options = ["--workdir=bundled", f"--data=shipped={words}", "--weights=0,3", "--most=16", f"--json={file}"]
    study_weight.run(options)
    rows = json.loads(file.read_text())["sets"]["shipped"]
    assert list(rows) == ["0.0", "3.0"] and rows["0.0"] != rows["3.0"] and rows["0.0"]["words"] == 16
    with pytest.raises(InputError, match="--weights=a: give numbers"):
        study_weight.run([*options, "--weights=a"])
