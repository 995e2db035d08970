"""Checkpoints: what may be continued, what is refused, and weights of other runs."""

import pytest
from testing import tiny_config

from jstr.checkpoints import checkpoint
from jstr.core import InputError
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


def test_no_readable_checkpoint(tmp_path):
    loop.run(tiny_config(), str(tmp_path))
    for file in (tmp_path / "checkpoints").rglob("*"):
        if file.is_file() and file.stat().st_size > 1000:
            file.write_bytes(b"")
    with pytest.raises(InputError, match="no checkpoint can be read"):
        loop.run(tiny_config(), str(tmp_path))
