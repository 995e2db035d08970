"""Checkpoints: what may be continued, what is refused, and weights of other runs."""

import shutil

import pytest
from orbax.checkpoint import v1 as ocp
from testing import assert_same_weights, metric_rows, tiny_config

from jstr.checkpoints import checkpoint
from jstr.text.messages import InputError
from jstr.training import loop


def test_a_cut_off_checkpoint_is_not_loaded(trained, tmp_path, capsys):
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


def test_a_damaged_step_is_saved_again(trained, tmp_path, capsys):
    """Also by a run that ends with it, which would else leave nothing to read with; what was there is kept."""
    workdir = shutil.copytree(trained, tmp_path / "run")
    for file in (workdir / "checkpoints" / "6" / "variables").rglob("*"):
        if file.is_file():
            file.write_bytes(b"")
    config = tiny_config()
    config.steps = 6
    loop.run(config, str(workdir))
    captured = capsys.readouterr()
    assert f"moved to {workdir / 'unreadable'}: 6" in captured.err and "continuing from step 4" in captured.out
    assert (workdir / "unreadable" / "6" / "variables").is_dir()
    assert_same_weights(workdir, trained)


def test_no_readable_checkpoint(tmp_path, caplog):
    """One line each, without the log of orbax."""
    loop.run(tiny_config(), str(tmp_path))
    for file in (tmp_path / "checkpoints").rglob("*"):
        if file.is_file() and file.stat().st_size > 1000:
            file.write_bytes(b"")
    caplog.clear()
    with pytest.raises(InputError, match="no checkpoint can be read"):
        loop.run(tiny_config(), str(tmp_path))
    with pytest.raises(InputError, match="metadata is missing"):
        checkpoint.load_variables(tmp_path)
    assert [r.getMessage()[:200] for r in caplog.records if r.name == "absl"] == []


def test_a_full_disk_is_one_line_and_the_run_goes_on_when_there_is_room(trained, tmp_path, monkeypatch):
    config = tiny_config()
    config.steps = 6
    save = ocp.training.Checkpointer.save_checkpointables

    def full(self, step, *args, **options):
        if step == 4:
            raise ValueError("RESOURCE_EXHAUSTED: Failed to write: No space left on device [os_error_code='28']")
        return save(self, step, *args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(ocp.training.Checkpointer, "save_checkpointables", full)
        message = (
            "checkpoints: No space left on device while saving step 4; the last good checkpoint is step 2; make room"
        )
        with pytest.raises(InputError, match=message):
            loop.run(config, str(tmp_path))
    loop.run(config, str(tmp_path))
    assert metric_rows(tmp_path) == metric_rows(trained)
    assert_same_weights(tmp_path, trained)
