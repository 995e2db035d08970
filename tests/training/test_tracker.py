"""What a run measures, and which of its checkpoints is the best."""

import json
import shutil

import cv2
import numpy as np
import pytest
from testing import consistency_config, metric_rows

import jstr
from jstr.checkpoints import checkpoint
from jstr.training import loop, tracker
from jstr.training.evaluation import Evaluation
from jstr.training.tracker import _other_figure


def test_a_run_shows_what_a_user_watches(trained_with_teacher):
    trained = [row for row in metric_rows(trained_with_teacher) if "train/loss" in row]
    names = {"supervised", "consistency", "coral", "confident", "confidence", "agreement", "trust"}
    assert names <= {name.removeprefix("train/") for name in trained[0]}
    watched = [row for row in metric_rows(trained_with_teacher) if "held_back/trust" in row]
    assert [row["step"] for row in watched] == [2, 4]
    assert {"held_back/teacher_accuracy", "held_back/brier"} <= set(watched[0])
    results = json.loads((trained_with_teacher / "results.json").read_text())
    assert set(results["sets"]) == {"rendered"} and set(results["other_weights"]["sets"]) == {"teacher"}
    for step in (2, 4):
        assert cv2.imread(str(trained_with_teacher / f"pictures/words_{step}.png")).shape[1] == 740


def test_the_best_checkpoint_is_read(trained_with_teacher):
    values = {
        row["step"]: row["held_back/trust"] for row in metric_rows(trained_with_teacher) if "held_back/trust" in row
    }
    best = max(values, key=lambda step: (values[step], step))
    meta = checkpoint.read_meta(trained_with_teacher)
    assert meta["step"] == best and meta["best"]["value"] == pytest.approx(values[best])
    assert json.loads((trained_with_teacher / "results.json").read_text())["step"] == best


def test_the_best_checkpoint_outlives_the_newest(tmp_path, monkeypatch):
    config = consistency_config(watched=True)
    config.steps, config.eval_every, config.save_every, config.keep_checkpoints, config.evals = 5, 1, 1, 1, {}
    values = iter([0.5, 0.5, 0.1, 0.2, 0.3])  # of equals, the later
    monkeypatch.setattr(Evaluation, "value", lambda *_: next(values))
    loop.run(config, str(tmp_path))
    assert checkpoint.Checkpoints(tmp_path).steps == [2, 5]
    assert checkpoint.read_meta(tmp_path)["step"] == 2
    assert jstr.load(tmp_path).read(np.zeros((32, 64), np.uint8))[1].shape == (1,)


def kept_steps(values, noise, one=0.0):
    """The step that is read with after each evaluation, the first at step 0, the start."""
    best, kept = None, []
    for step, value in enumerate(values):
        if tracker.is_better(value, best, noise, one):
            best = tracker.choice(step, value, {}, best)
        kept.append(best["step"])
    return kept


@pytest.mark.parametrize(
    ("values", "noise", "kept"),
    [
        ([0.5, 0.6, 0.5, 0.6, 0.59], 0.0, [0, 1, 1, 3, 3]),
        (
            [0.5, 0.6, 0.5, 0.59, 0.57, 0.58],
            0.02,
            [0, 1, 1, 3, 3, 5],
        ),  # against the highest, not the last that was kept
        ([0.5, 0.49, 0.5, 0.495], 0.02, [0, 0, 2, 2]),  # never below the start
        ([0.5, 0.52, 0.51, 0.49], 0.04, [0, 1, 2, 2]),
    ],
)
def test_what_is_no_more_than_noise_below_the_best_is_used_if_it_is_later(values, noise, kept):
    assert kept_steps(values, noise) == kept


def test_one_held_back_image_says_nothing():
    config = consistency_config()
    config.keep_best, config.keep_best_noise = "held_back/right", 0.014
    one = tracker.one_image(config, 15)
    assert one == 0.1 and tracker.one_image(config, 0) == 0.0
    assert kept_steps([0.93, 0.93, 1.0, 0.93, 0.87], 0.014, one) == [0, 1, 2, 3, 3]
    assert kept_steps([0.93, 0.87, 0.8], 0.014, one) == [0, 1, 1], "nor where it is one less than the start's"
    for name, noise in (("rendered/accuracy", 0.014), ("held_back/right", 0.0)):
        config.keep_best, config.keep_best_noise = name, noise
        assert tracker.one_image(config, 15) == 0.0


def test_the_last_within_the_noise_outlives_others(tmp_path, monkeypatch):
    config = consistency_config(watched=True)
    config.steps, config.eval_every, config.save_every, config.keep_checkpoints, config.evals = 5, 1, 1, 1, {}
    config.keep_best_noise = 0.05
    values = iter([0.5, 0.6, 0.57, 0.2, 0.3])
    monkeypatch.setattr(Evaluation, "value", lambda *_: next(values))
    loop.run(config, str(tmp_path))
    assert checkpoint.Checkpoints(tmp_path).steps == [3, 5]
    best = checkpoint.read_meta(tmp_path)["best"]
    assert (best["step"], best["value"], best["highest"]) == (3, 0.57, 0.6)


def test_the_best_on_other_words_is_forgotten():
    """Where the words lie does not matter."""

    def config(keep_best="held_back/right", path="a/words", count=2, more=()):
        held_back = dict(labelled=dict(batches=count, sources=dict(own=dict(path=path, share=(1, 2)))))
        evals = dict(test=dict(path=path, count=count), **{name: {} for name in more})
        return dict(keep_best=keep_best, held_back=held_back, evals=evals)

    for name, key in (("held_back/right", "held_back"), ("test/accuracy", "evals.test")):
        before = json.loads(json.dumps(config(name)))
        assert _other_figure(before, config(name)) == _other_figure(before, config(name, "b/words", more=["b"])) == ""
        assert _other_figure(before, config(name, count=3)) == _other_figure(before, config(name, "a/others")) == key
    assert _other_figure(config(), config("test/accuracy")) == "keep_best"
    assert _other_figure(config(""), config("", count=3)) == ""


@pytest.mark.parametrize("keep_best", ["", "held_back/consistency"])
def test_the_best_by_another_figure_is_forgotten(keep_best, trained_with_teacher, tmp_path, capsys):
    """Values of two figures are not compared, and a step that nothing keeps any more is not read with."""
    workdir = shutil.copytree(trained_with_teacher, tmp_path / "run")
    config = consistency_config(watched=True)
    config.keep_best, config.keep_checkpoints, config.evals = keep_best, 1, {}
    config.steps = 6
    loop.run(config, str(workdir))
    assert "is no longer the best: config.keep_best has changed" in capsys.readouterr().out
    best = checkpoint.read_meta(workdir)["best"]
    assert (best or {}).get("step") == (6 if keep_best else None)
    assert jstr.load(workdir).read(np.zeros((32, 64), np.uint8))[1].shape == (1,)
