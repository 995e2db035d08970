"""Every config, made tiny, trains a step and ends in a workdir that reads."""

import importlib

import numpy as np
import pytest
from testing import ROOT

import jstr
from jstr import train

SHARED = ("__init__", "common", "common_abinet")
NAMES = sorted(p.stem for p in (ROOT / "configs").glob("*.py") if p.stem not in SHARED)


@pytest.mark.parametrize("name", NAMES)
def test_config_trains_and_reads(name, tmp_path):
    config = importlib.import_module(f"configs.{name}").get_config("runlocal")
    config.lock()
    scores = train.run(config, str(tmp_path))
    if name == "abinet_language":
        texts, confidences = jstr.load(tmp_path).correct(["hause", "a"])
        assert len(texts) == 2 and ((confidences >= 0) & (confidences <= 1)).all()
        return
    assert scores["rendered"].words == 16
    texts, confidences = jstr.load(tmp_path).read(np.zeros((32, 100, 3), np.uint8))
    assert isinstance(texts[0], str) and 0 <= confidences[0] <= 1


@pytest.mark.parametrize("name", NAMES)
def test_config_refuses_unknown_argument(name):
    with pytest.raises(ValueError, match="runlocal"):
        importlib.import_module(f"configs.{name}").get_config("runlocl")
