"""Methods that go on from PP-OCR, traced at full size and not compiled: its network takes long to."""

import importlib

from testing import traced_step


def test_consistency_with_a_moving_average_in_bfloat16():
    config = importlib.import_module("configs.adapt").get_config("start=ppocrv6-small,consistency")
    config.model.dtype = "bfloat16"
    after, metrics = traced_step(config)
    assert after.teacher is not None and {"consistency", "supervised", "trust"} <= set(metrics)


def test_contrast_of_its_frames():
    config = importlib.import_module("configs.seqclr").get_config("compact,start=ppocrv6-small")
    _, metrics = traced_step(config)
    assert {"contrast", "picked"} <= set(metrics)
