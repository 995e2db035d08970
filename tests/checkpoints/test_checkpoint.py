"""Checkpoints: what may be continued, what is refused, and weights of other runs."""

import jax
import numpy as np
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


def test_another_config_is_refused(trained):
    config = tiny_config()
    config.streams.labelled.batch_size = 16
    with pytest.raises(InputError, match="streams.labelled.batch_size: 8 -> 16.*another --workdir"):
        loop.run(config, str(trained))
    config = tiny_config()
    config.model.width = 0.125
    with pytest.raises(InputError, match="model.width: 0.0625 -> 0.125"):
        loop.run(config, str(trained))


def test_what_may_change_is_named(trained, tmp_path, capsys):
    loop.run(tiny_config(), str(tmp_path))
    config = tiny_config()
    config.steps, config.log_every = 6, 3
    loop.run(config, str(tmp_path))
    assert "changed since the checkpoint: config.log_every: 2 -> 3" in capsys.readouterr().out


def test_init_from_another_run(trained, tmp_path):
    config = tiny_config()
    config.init_from = (("model", str(trained), "model"),)
    config.steps, config.optimizer.schedule.peak = 2, 0.0
    loop.run(config, str(tmp_path / "a"))
    params = [jax.tree.leaves(checkpoint.load_variables(w)["params"]) for w in (trained, tmp_path / "a")]
    for a, b in zip(*params, strict=True):
        np.testing.assert_array_equal(a, b)
    config.model.width = 0.125
    with pytest.raises(InputError, match="init_from .* has shape"):
        loop.run(config, str(tmp_path / "b"))
