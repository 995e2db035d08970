"""The loop: what a run writes, how it stops and continues."""

import json
import os
import shutil
import signal
import time

import numpy as np
import pytest
from testing import assert_same_weights, call, interrupted, metric_rows, start, tiny_config, write_folder

import jstr
from jstr.checkpoints import checkpoint
from jstr.text.messages import InputError, NonFinite
from jstr.training import loop, setup


def test_a_run_writes_what_it_promises(trained, capsys):
    rows = metric_rows(trained)
    assert [r["step"] for r in rows if "train/loss" in r] == [2, 4, 6]
    assert [r["step"] for r in rows if "rendered/accuracy" in r] == [2, 4, 6]
    assert all(np.isfinite(r["train/grad_norm"]) for r in rows if "train/loss" in r)
    results = json.loads((trained / "results.json").read_text())
    assert results["sets"]["rendered"]["words"] == 10 and results["step"] == 6
    assert json.loads((trained / "config.json").read_text())["steps"] == 6
    assert checkpoint.Checkpoints(trained).steps == [4, 6]


def test_resume_equals_an_unbroken_run(trained, tmp_path, monkeypatch):
    """Stopped after step 3, between two saves and in the middle of a logging interval."""
    config = tiny_config()
    config.steps = 6
    with monkeypatch.context() as patch:
        patch.setattr(setup, "make_train_step", interrupted(setup.make_train_step, call=3))
        loop.run(config, str(tmp_path))
    assert checkpoint.Checkpoints(tmp_path).steps[-1] == 3
    assert not (tmp_path / "results.json").exists()
    loop.run(config, str(tmp_path))
    assert metric_rows(tmp_path) == metric_rows(trained)
    assert_same_weights(tmp_path, trained)


def test_a_finished_run_is_not_trained_again(trained, tmp_path, capsys):
    workdir = shutil.copytree(trained, tmp_path / "copy")
    before = metric_rows(workdir)
    config = tiny_config()
    config.steps = 6
    scores = loop.run(config, str(workdir))
    assert scores["rendered"].words == 10
    line = f"continuing from step 6 of {workdir}; it has ended: a higher --config.steps trains on\n"
    assert line in capsys.readouterr().out
    assert [r for r in metric_rows(workdir) if "train/loss" in r] == [r for r in before if "train/loss" in r]


def test_a_run_that_cannot_start_closes_its_checkpoints(tmp_path, monkeypatch):
    """Orbax writes metadata in a thread of its own: one that the end of Python overtakes prints a traceback."""
    closed = []

    class Watched(checkpoint.Checkpoints):
        def close(self):
            closed.append(self.folder.parent.name)
            super().close()

    config = tiny_config()
    config.init_from = (("model", str(tmp_path / "nothing"), "model"),)
    monkeypatch.setattr(loop, "Checkpoints", Watched)
    with pytest.raises(InputError, match="nothing"):
        loop.run(config, str(tmp_path / "run"))
    assert closed == ["run"]


COMMAND = ["-m", "jstr.main", "--config=tests/tiny.py"]


def test_kill_nine_and_continue(trained, tmp_path):
    """Killed without warning after its first checkpoint, in a process of its own; the same command goes on."""
    process = start(*COMMAND, f"--workdir={tmp_path}", "--config.steps=6")
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob("checkpoints/[0-9]")) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.kill()
    process.communicate()
    status, out, err = call(*COMMAND, f"--workdir={tmp_path}", "--config.steps=6")
    assert status == 0, err
    assert "continuing from step" in out
    assert metric_rows(tmp_path) == metric_rows(trained)
    assert_same_weights(tmp_path, trained)


def test_what_fails_late_is_checked_early(tmp_path):
    for change, message in [
        ({"steps": 0}, "config.steps=0 must be a whole number, 1 or more"),
        ({"log_every": 0}, "config.log_every=0"),
        ({"evals.rendered.protocol": "alnum"}, "config.evals.rendered.protocol='alnum': choose one of alnum36"),
    ]:
        config = tiny_config()
        config.update_from_flattened_dict(change)
        with pytest.raises(InputError, match=message):
            loop.run(config, str(tmp_path / "run"))
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="--workdir=.*file is a file; give a folder"):
        loop.run(tiny_config(), str(tmp_path / "file"))


def test_ctrl_c_to_workers_and_all_saves(trained, tmp_path):
    """As a terminal sends it: to every process of the group."""
    process = start(*COMMAND, f"--workdir={tmp_path}", "--config.steps=6", "--config.num_workers=2", new_session=True)
    printed = next(line for line in process.stdout if line.startswith("step 2/6"))
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert "stopped and saved at step" in printed + out or "trained 6 steps" in out
    assert "leaked" not in err and "Traceback" not in err, err
    config = tiny_config()
    config.steps = 6
    loop.run(config, str(tmp_path))
    assert metric_rows(tmp_path) == metric_rows(trained)
    assert_same_weights(tmp_path, trained)


def test_non_finite_loss_is_named(tmp_path):
    config = tiny_config()
    config.optimizer.schedule.peak = 1e30
    config.optimizer.clip_norm = None
    config.steps = 8
    with pytest.raises(NonFinite, match=r"not finite at step \d+; its samples: rendered/rendered-\d+.*saved"):
        loop.run(config, str(tmp_path))


def test_too_many_broken_images_stop_training(tmp_path):
    folder = write_folder(tmp_path / "words", ["word"] * 100)
    for i in range(3):
        (folder / f"{i:04d}.png").write_bytes(b"broken")
    config = tiny_config(words=dict(path=str(folder)))
    config.steps = 40
    with pytest.raises(InputError, match="of 100 images of words are broken or missing, more than 1%"):
        loop.run(config, str(tmp_path / "run"))


def test_reader_reads_as_the_run_did(trained):
    reader = jstr.load(trained)
    images = np.random.default_rng(0).integers(0, 256, (3, 20, 50, 3), np.uint8)
    texts, confidences = reader.read(list(images))
    assert len(texts) == 3 and confidences.shape == (3,)
    assert reader.read(images[0])[0] == texts[:1]
    assert reader.logits(list(images)).shape == (3, 15, 40)
