"""tools/study.py: arms of a file become runs, in order, once each."""

import ast
import importlib
import json
import os
import signal
import time

import pytest
import study
from testing import ROOT, start

from jstr.text.messages import InputError


@pytest.mark.parametrize("name", sorted(p.name for p in (ROOT / "configs/studies").glob("*.txt")))
def test_studies_name_configs_that_exist(name, tmp_path):
    for arm in study.read_study(ROOT / "configs/studies" / name):
        options = study.command(arm, tmp_path, 1, ["--config.steps=3"])
        assert options[-3:] == [f"--workdir={tmp_path / arm.name}", "--config.seed=1", "--config.steps=3"]
        path, _, arguments = options[0].removeprefix("--config=").partition(":")
        config = importlib.import_module(path.removesuffix(".py").replace("/", ".")).get_config(arguments)
        config.lock()
        for option in options[1:-3]:
            name, _, value = option.removeprefix("--config.").partition("=")
            config.update_from_flattened_dict({name: ast.literal_eval(value) if value[0] in "0123456789(" else value})


@pytest.mark.parametrize(
    "text, says",
    [
        ("", "defines no arm"),
        ("# a", "defines no arm"),
        ("a", "a config"),
        ("a x.py\na y.py", ":2: expected a new name"),
        ("a x.py:from={b}", "b, which"),
        ("a x.py:from={a}", "a, which"),
        ("../a x.py", ":1: expected a new name"),
        ('a x.py "b', ":1: No closing quotation"),
        (b"a \xff.py", "not UTF-8"),
    ],
)
def test_invalid_studies(text, says, tmp_path):
    (tmp_path / "study.txt").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputError, match=says):
        study.read_study(tmp_path / "study.txt")


def test_arms_run_once_and_are_tabulated(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    lines = "first configs/crnn_real.py:runlocal\nsecond configs/crnn_real.py:runlocal --config.nothing={first}\n"
    (tmp_path / "study.txt").write_text(lines)
    arguments = [str(tmp_path / "study.txt"), f"--out={tmp_path / 'runs'}", f"--json={tmp_path / 'a.json'}"]
    study.run([*arguments, "--only=first", "--", "--config.steps=1"])
    assert "first (0)" in capsys.readouterr().out
    found = json.loads((tmp_path / "a.json").read_text())["arms"]["first"]["seed 0"]
    assert found["step"] == 1 and found["sets"]["rendered"]["words"] == 16
    assert "--workdir=OUT/seed0/first" in found["command"]
    log = (tmp_path / "runs/seed0/first/log.txt").read_text()
    with pytest.raises(InputError, match="second of seed 0 failed: error: .*nothing"):
        study.run(arguments)
    assert (tmp_path / "runs/seed0/first/log.txt").read_text() == log


RUN = """
import signal, sys, time
stopped = []
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, lambda number, _: stopped.append(number))
print("runs", flush=True)
while not stopped:
    time.sleep(0.01)
time.sleep(1)
print("saved", stopped[0], flush=True)
"""
STUDY = """
import sys
sys.path.insert(0, "tools")
import study
from jstr.cli import cli
cli(lambda: study.wait_for([sys.executable, "-c", RUN], open(LOG, "w")))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_study_lets_its_run_save(number, tmp_path):
    """Ctrl-C in a terminal goes to the whole group; the run hears it once, and is not killed while it saves."""
    log = tmp_path / "log.txt"
    process = start("-c", f"RUN, LOG = {RUN!r}, {str(log)!r}\n{STUDY}", new_session=True)
    while not log.exists() or "runs" not in log.read_text():
        time.sleep(0.02)
        assert process.poll() is None
    os.killpg(process.pid, number)
    process.communicate(timeout=60)
    assert process.returncode == 130 and log.read_text() == f"runs\nsaved {int(number)}\n"


def test_results_that_are_cut_off_are_made_again(tmp_path):
    (tmp_path / "results.json").write_text('{"step": 1')
    assert study.result(tmp_path) is None and study.result(tmp_path / "nowhere") is None


def test_a_run_that_fails_after_its_results_has_failed(tmp_path, monkeypatch):
    def fails(arguments, out):
        (tmp_path / "a/results.json").write_text("{}")
        print("no space left", file=out, flush=True)
        return 1

    monkeypatch.setattr(study, "wait_for", fails)
    with pytest.raises(InputError, match="a of seed 3 failed: no space left"):
        study.train(study.Arm("a", ["--config=x.py"]), tmp_path, 3, [])


def test_the_folder_of_json_is_there_before_anything_trains(tmp_path):
    (tmp_path / "study.txt").write_text("a quickstart:runlocal")
    with pytest.raises(InputError, match="--json=.*its folder does not exist"):
        study.run([str(tmp_path / "study.txt"), f"--out={tmp_path}", f"--json={tmp_path}/no/a.json"])
