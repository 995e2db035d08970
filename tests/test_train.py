"""The loop: what a run writes, how it stops and continues, and that devices make no difference."""

import json
import signal
import time

import jax
import numpy as np
import pytest
from testing import ROOT, call, start, tiny_config, write_folder

import jstr
from jstr.checkpoints import checkpoint
from jstr.core import InputError, NonFinite
from jstr.training import loop, setup


def metrics(workdir):
    """metrics.jsonl without what depends on the clock."""
    rows = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    timed = ("seconds", "images_per_second", "data_wait")
    return [{k: v for k, v in row.items() if k not in timed} for row in rows]


def leaves(workdir):
    return jax.tree.leaves(checkpoint.load_variables(workdir))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """An unbroken run of six steps."""
    workdir = tmp_path_factory.mktemp("whole")
    config = tiny_config()
    config.steps = 6
    loop.run(config, str(workdir))
    return workdir


def test_a_run_writes_what_it_promises(whole, capsys):
    rows = metrics(whole)
    assert [r["step"] for r in rows if "train/loss" in r] == [2, 4, 6]
    assert [r["step"] for r in rows if "rendered/accuracy" in r] == [2, 4, 6]
    assert all(np.isfinite(r["train/grad_norm"]) for r in rows if "train/loss" in r)
    results = json.loads((whole / "results.json").read_text())
    assert results["sets"]["rendered"]["words"] == 10 and results["step"] == 6
    assert json.loads((whole / "config.json").read_text())["steps"] == 6
    assert checkpoint.Checkpoints(whole).steps == [4, 6]


def test_resume_equals_an_unbroken_run(whole, tmp_path, monkeypatch):
    """Stopped after step 3, between two saves and in the middle of a logging interval."""
    config = tiny_config()
    config.steps = 6
    step = setup.make_train_step

    def stopping(*args, **options):
        run, count = step(*args, **options), 0

        def counted(state, batch):
            nonlocal count
            count += 1
            if count == 3:
                signal.raise_signal(signal.SIGTERM)
            return run(state, batch)

        return counted

    monkeypatch.setattr(setup, "make_train_step", stopping)
    loop.run(config, str(tmp_path))
    assert checkpoint.Checkpoints(tmp_path).steps[-1] == 3
    assert not (tmp_path / "results.json").exists()
    monkeypatch.undo()
    loop.run(config, str(tmp_path))
    assert metrics(tmp_path) == metrics(whole)
    for a, b in zip(leaves(tmp_path), leaves(whole), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_finished_run_is_not_trained_again(whole):
    before = metrics(whole)
    config = tiny_config()
    config.steps = 6
    scores = loop.run(config, str(whole))
    assert scores["rendered"].words == 10
    assert [r for r in metrics(whole) if "train/loss" in r] == [r for r in before if "train/loss" in r]


COMMAND = ["-m", "jstr.main", "--config=tests/tiny.py"]


def test_kill_nine_and_continue(whole, tmp_path):
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
    assert metrics(tmp_path) == metrics(whole)
    for a, b in zip(leaves(tmp_path), leaves(whole), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_cut_off_checkpoint_is_not_loaded(whole, tmp_path, capsys):
    """Not committed: not listed. Committed and damaged afterwards: named, and the one before is taken."""
    config = tiny_config()
    loop.run(config, str(tmp_path))
    folder = tmp_path / "checkpoints"
    (folder / "9.orbax-checkpoint-tmp" / "variables").mkdir(parents=True)
    assert checkpoint.Checkpoints(tmp_path).steps == [2, 4]
    for file in (folder / "4" / "variables").rglob("*"):
        if file.is_file() and file.stat().st_size > 1000:
            file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    config.steps = 6
    loop.run(config, str(tmp_path))
    captured = capsys.readouterr()
    assert "cannot read checkpoint" in captured.err and "continuing from step 2" in captured.out


def test_no_readable_checkpoint(tmp_path):
    loop.run(tiny_config(), str(tmp_path))
    for file in (tmp_path / "checkpoints").rglob("*"):
        if file.is_file() and file.stat().st_size > 1000:
            file.write_bytes(b"")
    with pytest.raises(InputError, match="no checkpoint can be read"):
        loop.run(tiny_config(), str(tmp_path))


def test_another_config_is_refused(whole):
    config = tiny_config()
    config.streams.labelled.batch_size = 16
    with pytest.raises(InputError, match="streams.labelled.batch_size: 8 -> 16.*another --workdir"):
        loop.run(config, str(whole))
    config = tiny_config()
    config.model.width = 0.125
    with pytest.raises(InputError, match="model.width: 0.0625 -> 0.125"):
        loop.run(config, str(whole))


def test_what_fails_late_is_checked_early(tmp_path):
    for change, message in [
        ({"steps": 0}, "config.steps=0 must be at least 1"),
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


def test_what_may_change_is_named(whole, tmp_path, capsys):
    loop.run(tiny_config(), str(tmp_path))
    config = tiny_config()
    config.steps, config.log_every = 6, 3
    loop.run(config, str(tmp_path))
    assert "changed since the checkpoint: config.log_every: 2 -> 3" in capsys.readouterr().out


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


def test_init_from_another_run(whole, tmp_path):
    config = tiny_config()
    config.init_from = (("model", str(whole), "model"),)
    config.steps, config.optimizer.schedule.peak = 2, 0.0
    loop.run(config, str(tmp_path / "a"))
    params = [jax.tree.leaves(checkpoint.load_variables(w)["params"]) for w in (whole, tmp_path / "a")]
    for a, b in zip(*params, strict=True):
        np.testing.assert_array_equal(a, b)
    config.model.width = 0.125
    with pytest.raises(InputError, match="init_from .* has shape"):
        loop.run(config, str(tmp_path / "b"))


def test_reader_reads_as_the_run_did(whole):
    reader = jstr.load(whole)
    images = np.random.default_rng(0).integers(0, 256, (3, 20, 50, 3), np.uint8)
    texts, confidences = reader.read(list(images))
    assert len(texts) == 3 and confidences.shape == (3,)
    assert reader.read(images[0])[0] == texts[:1]
    assert reader.logits(list(images)).shape == (3, 15, 40)


@pytest.mark.parametrize("name", ["ctc", "attention"])
def test_eight_devices_equal_one(name):
    """Loss and parameters after three steps, batch statistics included, in a process with eight fake devices."""
    outputs = []
    for devices in (1, 8):
        status, out, err = call("tests/sharded.py", name, XLA_FLAGS=f"--xla_force_host_platform_device_count={devices}")
        assert status == 0, err
        outputs.append(json.loads(out.splitlines()[-1]))
    one, eight = outputs
    assert one["devices"] == 1 and eight["devices"] == 8
    np.testing.assert_allclose(one["losses"][0], eight["losses"][0], rtol=1e-6)
    np.testing.assert_allclose(one["grad_norm"], eight["grad_norm"], rtol=1e-5)
    # Adam divides gradients near zero by their own size, so rounding shows in the later steps.
    np.testing.assert_allclose(one["losses"], eight["losses"], rtol=3e-4)
    np.testing.assert_allclose(one["statistics"], eight["statistics"], rtol=1e-3, atol=1e-5)


def test_batch_must_divide_over_devices():
    status, _, err = call(*COMMAND, "--workdir=/nowhere", XLA_FLAGS="--xla_force_host_platform_device_count=3")
    assert status == 2
    assert err.strip().endswith("batch_size=8 must be a positive multiple of the 3 devices")
    assert (ROOT / "tests/tiny.py").exists()
