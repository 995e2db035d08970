"""Step 0 of a run that starts from another one."""

import pytest
from testing import tiny_config

from jstr.messages import InputError
from jstr.training import loop
from jstr.training.initial_weights import other_characters


def test_parameters_that_belong_to_characters(trained):
    config = tiny_config()
    rows = (("model", str(trained), "model"),)
    assert other_characters(config, rows) == {}
    config.charset.characters = "abcdefghijklmnopqrstuvwxyz9876543210"
    head = {"model/decoder/classifier_kernel", "model/decoder/classifier_bias"}
    assert other_characters(config, rows) == {str(trained): head}


def test_fine_tuning_with_another_charset(trained, tmp_path, capsys):
    config = tiny_config()
    config.charset.update(characters="94", lower=False)
    config.init_from = (("model", str(trained), "model"),)
    config.steps, config.evals = 1, {}
    with pytest.raises(InputError, match="other characters.*--config.init_allow_missing=\\('model/decoder',\\)"):
        loop.run(config, str(tmp_path))
    config.init_allow_missing = ("model/decoder",)
    loop.run(config, str(tmp_path))
    assert "not loaded, starts fresh: model/decoder\n" in capsys.readouterr().out
