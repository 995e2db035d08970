"""Batches held back from training."""

import threading

import pytest
from testing import contrastive_config

from jstr.parallel import sharding
from jstr.text.messages import InputError
from jstr.training import loop, setup
from jstr.training.validation import Validation


def test_held_back_rows_are_checked(tmp_path):
    config = contrastive_config()
    config.held_back.labelled = config.streams.unlabelled
    with pytest.raises(InputError, match="config.held_back has \\['labelled'\\]; this objective reads"):
        loop.run(config, str(tmp_path))


def test_no_thread_goes_on():
    """One that prepares batches which nobody takes would fail when the program ends, after the program's last line."""
    config = contrastive_config()
    config.held_back.unlabelled = config.streams.unlabelled.copy_and_resolve_references()
    parts, before = setup.prepare(config), set(threading.enumerate())
    mesh = sharding.make_mesh(config.mesh)
    assert Validation(config, parts.validation_objective, parts.reader.charset, parts.frames, mesh)
    assert set(threading.enumerate()) <= before
