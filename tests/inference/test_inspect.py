"""`jstr inspect --workdir`: labels beside what a reader can hold."""

import json

import pytest
from testing import saved_run, write_folder

import jstr
from jstr.data import inspect as sets
from jstr.inference import inspect
from jstr.text.messages import InputError


def test_labels_that_a_reader_cannot_hold(tmp_path, capsys):
    run, file = saved_run(tmp_path / "run"), tmp_path / "out.json"
    most = jstr.load(run, verbose=True).capacity
    said = capsys.readouterr().err.strip()
    assert said.startswith(f"{run}: 36 characters; a crop may show about {most} of them")
    folder = write_folder(tmp_path / "words", ["ab", "a" * most, "b" * (most + 1)])
    inspect.run([str(folder), f"--workdir={run}", "--compare=0", f"--json={file}"])
    out = capsys.readouterr().out
    assert out.startswith(said) and f"longer than {most} characters: 1 labels: 'bbb" in out
    (facts,) = json.loads(file.read_text())["sets"].values()
    assert facts["longer"] == dict(most=most, labels=1, examples=["b" * (most + 1)])
    jstr.load(run)
    assert not capsys.readouterr().err
    with pytest.raises(InputError, match="use jstr inspect"):
        sets.run([str(folder), f"--workdir={run}"])
