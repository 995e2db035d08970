"""tools/study_weight.py: what is counted, and that weights matter."""

import json

import cv2
import numpy as np
import pytest
import study_weight
from study_promises import Word
from testing import saved_run

from jstr.text.messages import InputError


def test_row():
    words = [Word(0.9, True, "", "", 0), Word(0.8, False, "", "", 1), Word(0.7, True, "", "", 2)]
    assert study_weight.row(words, 0.8) == dict(words=3, accuracy=66.67, sure=66.67, right_of_sure=50.0)
    assert study_weight.row(words, 0.95)["right_of_sure"] == 0


def test_weights_change_what_is_read(tmp_path, monkeypatch):
    """By an untrained reader, in noise, so that the words that are expected decide."""
    monkeypatch.setattr("jstr.decoding.ranking.BELIEVABLE", 1e-300)
    rng = np.random.default_rng(0)
    for i in range(16):
        cv2.imwrite(str(tmp_path / f"{i}.png"), rng.integers(0, 256, (32, 64), np.uint8))
    (tmp_path / "labels.tsv").write_text("".join(f"{i}.png\tword\n" for i in range(16)))
    seen = []
    monkeypatch.setattr(study_weight, "row", lambda words, _: seen.append([w.text for w in words]) or {})
    file = tmp_path / "a.json"
    options = [
        f"--workdir={saved_run(tmp_path / 'run')}",
        f"--data=noise={tmp_path}",
        "--weights=0,3",
        f"--json={file}",
    ]
    study_weight.run(options)
    assert list(json.loads(file.read_text())["sets"]["noise"]) == ["0.0", "3.0"]
    assert len(seen[0]) == 16 and seen[0] != seen[1]
    with pytest.raises(InputError, match="--weights=a: give numbers"):
        study_weight.run([*options, "--weights=a"])
