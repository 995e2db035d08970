"""Letters probed in the features of an encoder."""

import json

import numpy as np
import probe_letters
import pytest
from testing import REAL_WORDS, write_folder

from jstr.text.messages import InputError


def test_letters_are_found_in_features_that_hold_them(pretrained):
    rng = np.random.default_rng(0)
    labels = ["".join(rng.choice(list("abcd"), 5)) for _ in range(400)]
    found = rng.normal(size=(400, 10, 8))
    assert 15 < probe_letters.accuracy(found, labels) < 35, "by chance"
    for row, label in zip(found, labels, strict=True):
        row[range(1, 10, 2), ["abcd".index(letter) for letter in label]] += 4
    assert probe_letters.accuracy(found, labels) > 90
    with pytest.raises(InputError, match="words of 3 to 9 letters; 100 are needed"):
        probe_letters.run([f"--data={REAL_WORDS}", str(pretrained)])


def test_letters_of_a_pretrained_encoder(pretrained, tmp_path, capsys):
    rng = np.random.default_rng(0)
    folder = write_folder(tmp_path / "words", ["".join(rng.choice(list("abcd"), 5)) for _ in range(120)])
    probe_letters.run([f"--data={folder}", "--random", f"--json={tmp_path / 'a.json'}", str(pretrained)])
    rows = json.loads((tmp_path / "a.json").read_text())["letters_named_percent"]
    assert list(rows) == ["random", str(pretrained)] and all(0 < x < 60 for row in rows.values() for x in row.values())
    assert "visual" in capsys.readouterr().out
