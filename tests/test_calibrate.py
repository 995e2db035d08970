"""The command that stores what a confidence is worth, and `predict --precision`, which reads that."""

import json

import pytest
from testing import REAL_WORDS, saved_run

from jstr import calibrate, predict
from jstr.inference import calibration
from jstr.text.messages import InputError


def test_from_labelled_words_to_doubtful_ones(tmp_path, capsys):
    run = saved_run(tmp_path / "run")
    calibrate.run([f"--workdir={run}", f"--data={REAL_WORDS}"])
    assert "64 words, 0.0 % right" in capsys.readouterr().out
    file = calibration.file_of(run)
    image = str(REAL_WORDS / "iiit5k_6_7.png")
    with pytest.raises(InputError, match="no confidence promises it"):
        predict.run([f"--workdir={run}", "--precision=0.9", image])
    found = json.loads(file.read_text())
    found["confidences"], found["rights"] = [1.0] * 64, [1] * 64
    file.write_text(json.dumps(found))
    assert predict.run([f"--workdir={run}", "--precision=0.9", "--allow=ab", image]) == 0
    captured = capsys.readouterr()
    assert captured.out.endswith("\tdoubtful\n") and "calibrated with pattern=None" in captured.err
    file.write_text("{}")
    with pytest.raises(InputError, match="holds no calibration"):
        predict.run([f"--workdir={run}", "--precision=0.9", image])
    with pytest.raises(InputError, match="--precision needs"):
        predict.run(["--precision=0.9", image])


def test_check_names_other_words(tmp_path, capsys):
    run = saved_run(tmp_path / "run")
    calibrate.run([f"--workdir={run}", f"--data={REAL_WORDS}", f"--check=again={REAL_WORDS}"])
    *lines, file = capsys.readouterr().out.splitlines()
    own, again = lines[: len(lines) // 2], lines[len(lines) // 2 :]
    assert own[0] == f"data {REAL_WORDS}:" and again[0] == "again:" and file == str(calibration.file_of(run))
    assert own[1:] == again[1:] and len(own) == 2 + len(calibration.PRECISIONS)
    with pytest.raises(InputError, match="NAME=PATH"):
        calibrate.run([f"--workdir={run}", f"--data={REAL_WORDS}", "--check=nowhere"])


def test_several_sets(tmp_path, capsys, monkeypatch):
    run, out = saved_run(tmp_path / "run"), tmp_path / "both.json"
    words = calibration.Calibration.of([0.5] * 64, [1] * 64, {})
    monkeypatch.setattr(calibration, "measure", lambda reader, source, protocol, about: words)
    calibrate.run([f"--workdir={run}", f"--data={REAL_WORDS}", f"--data={REAL_WORDS}/labels.tsv", f"--out={out}"])
    assert capsys.readouterr().out.count("64 words, 100.0 % right") == 2
    found = calibration.read(out)
    assert sorted(found.sets) == [0] * 64 + [1] * 64 and f"{REAL_WORDS}, " in found.about["data"]
