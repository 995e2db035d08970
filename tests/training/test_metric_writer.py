"""What a run writes while it trains."""

import json

import numpy as np
import pytest
from testing import tiny_config

from jstr.text.messages import NonFinite
from jstr.training.clock import Clock
from jstr.training.metric_writer import MetricWriter


def writer_of(workdir, saved=None) -> MetricWriter:
    config = tiny_config()
    config.steps, config.log_every = 6, 3
    return MetricWriter(str(workdir), config, lambda step: 0.5, Clock(), saved)


def metrics(loss, **others):
    return {name: (np.float32(2 * x), np.float32(2)) for name, x in dict(loss=loss, grad_norm=1.0, **others).items()}


def rows(workdir) -> list[dict]:
    return [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]


def test_means_over_an_interval_weigh_counts(tmp_path):
    """A metric without a count in the interval is left out."""
    writer = writer_of(tmp_path)
    for step in (1, 2, 3):
        writer.step(step, metrics(step) | {"words": (step, step), "none": (0.0, 0.0)}, ["a"])
    writer.close()
    (row,) = rows(tmp_path)
    assert row["step"] == 3 and row["train/loss"] == 2 and row["train/words"] == 1 and "train/none" not in row
    assert row["train/lr"] == 0.5 and writer.sums == {}


def test_rows_after_the_checkpoint_are_cut_and_its_sums_continue(tmp_path):
    """Also a row that a kill cut off."""
    lines = [json.dumps({"step": step, "train/loss": 1.0}) for step in (3, 4, 6)]
    (tmp_path / "metrics.jsonl").write_text("\n".join([*lines, '{"step": 2, "tr']))
    writer = writer_of(tmp_path, {"step": 4, "sums": {"loss": [7.0, 1.0]}})
    writer.step(5, metrics(1.0), ["a"])
    writer.step(6, metrics(1.0), ["a"])
    writer.close()
    assert [row["step"] for row in rows(tmp_path)] == [3, 4, 6]
    assert rows(tmp_path)[-1]["train/loss"] == pytest.approx((7 + 2 + 2) / (1 + 2 + 2))


def test_a_dispatch_of_several_steps_is_checked_step_by_step(tmp_path):
    writer = writer_of(tmp_path)
    several = {name: (np.stack([a, a, a]), np.stack([b, b, b])) for name, (a, b) in metrics(1.0).items()}
    several["loss"][0][1] = np.nan
    with pytest.raises(NonFinite, match="loss not finite at step 2; its samples: b; nothing was saved yet"):
        writer.step(3, several, ["a"], ["b"], ["c"])
    writer.close()


def test_images_are_written_for_people(tmp_path):
    writer = writer_of(tmp_path)
    writer.evaluation(3, {}, {"loss": 0.25}, {"words": np.zeros((4, 5, 3), np.uint8)})
    writer.close()
    assert (tmp_path / "pictures/words_3.png").exists() and rows(tmp_path)[0]["held_back/loss"] == 0.25
