"""Batches held back from training."""

import pytest
from testing import contrastive_config

from jstr.text.messages import InputError
from jstr.training import loop


def test_held_back_rows_are_checked(tmp_path):
    config = contrastive_config()
    config.held_back.labelled = config.streams.unlabelled
    with pytest.raises(InputError, match="config.held_back has \\['labelled'\\]; this objective reads"):
        loop.run(config, str(tmp_path))
