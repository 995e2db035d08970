"""Rounds of self-training: a run reads its images again, learns what it is sure of, and goes on exactly."""

import functools

import cv2
import pytest
from ml_collections import ConfigDict
from testing import assert_same_weights, interrupted, metric_rows, saved_run, tiny_config

from jstr.checkpoints import checkpoint
from jstr.data.synth.source import RenderedWords
from jstr.inference import pseudo_labelling
from jstr.text import NAMED
from jstr.text.messages import InputError
from jstr.training import loop, self_training, setup, tracker
from jstr.training.evaluation import Evaluation

COUNT = 12


@pytest.fixture(autouse=True)
def believed(monkeypatch):
    """The texts of an untrained reader, too, which no image supports."""
    monkeypatch.setattr("jstr.decoding.ranking.BELIEVABLE", 1e-300)


def config_of(run, folder, **self_training):
    by = dict(workdir=run, language_model="english", threshold=0.0)
    config = tiny_config(read=dict(path=folder, read_by=by), rendered=dict(rendered=dict(seed=1, size=99)))
    config.evals, config.steps, config.save_every = {}, 6, 3
    config.self_training = dict(every=2) | self_training
    return config


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """(a run that reads, a folder of images without labels)."""
    folder, words = tmp_path_factory.mktemp("images"), RenderedWords(7, COUNT, NAMED["36"])
    for i in range(COUNT):
        cv2.imwrite(str(folder / f"{i:02d}.png"), words[i]["image"])
    return saved_run(tmp_path_factory.mktemp("run")), str(folder)


@pytest.fixture(scope="module")
def unbroken(places, tmp_path_factory):
    """A workdir after three rounds of two steps."""
    workdir = tmp_path_factory.mktemp("unbroken")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("jstr.decoding.ranking.BELIEVABLE", 1e-300)
        loop.run(config_of(*places), str(workdir))
    return workdir


def texts_of(workdir, name) -> dict:
    return pseudo_labelling.load_texts(workdir / "read" / name)[1]


def test_every_round_reads_with_the_weights_that_it_begins_with(places, unbroken):
    begun, first, second = (texts_of(unbroken, f"{n}labelled_read.tsv") for n in ("", "round1_", "round2_"))
    assert len(begun) == len(first) == len(second) == COUNT
    assert begun != first != second
    pictures = [cv2.imread(str(unbroken / f"read/round{n}_labelled_read.png")) for n in (1, 2)]
    assert all(picture.shape[1] % 520 == 0 and picture.std() > 10 for picture in pictures)
    assert not (unbroken / "read/round3_labelled_read.tsv").exists(), "nothing is read after the last step"


@pytest.mark.parametrize("call", [2, 3], ids=["where a round begins", "within a round"])
def test_a_stopped_run_goes_on_exactly(places, unbroken, call, tmp_path, monkeypatch):
    config = config_of(*places)
    with monkeypatch.context() as patch:
        patch.setattr(setup, "make_train_step", interrupted(setup.make_train_step, call=call))
        loop.run(config, str(tmp_path))
    assert len(metric_rows(tmp_path)) < len(metric_rows(unbroken))
    loop.run(config, str(tmp_path))
    assert metric_rows(tmp_path) == metric_rows(unbroken)
    assert_same_weights(tmp_path, unbroken)


def test_the_sure_readings_are_the_labels_of_a_round(places, tmp_path):
    """Of two thresholds the first counts in round 1 and the second from round 2 on; the lines say what has changed."""
    config, workdir = config_of(*places, thresholds=(0.3, 0.0)), str(tmp_path)
    begun = {f"{i:02d}.png": ("old", 0.9) for i in range(COUNT)}
    pseudo_labelling._save(tmp_path / "read/labelled_read.tsv", "[]", begun)
    read = {f"{i:02d}.png": ("new" if i < 5 else "old", round(0.1 * i, 6)) for i in range(COUNT)}
    pseudo_labelling._save(tmp_path / "read/round1_labelled_read.tsv", "[]", read)
    labels, lines = pseudo_labelling.read_round(config, workdir, pseudo_labelling.Round(1, None))
    expected = {key: (text, value) if value >= 0.3 else None for key, (text, value) in read.items()}
    assert labels == {"labelled/read": expected}
    changed = "2 changed, 3 lost, such as 'old' now 'new'"
    assert lines == [f"round 1: read: 9 of 12 images read with confidence 0.3 or more; labels: {changed}"]


def test_a_growing_share_takes_the_surest_first(places, tmp_path):
    config = config_of(*places, shares=(0.25, 0.5))
    read = {f"{i:02d}.png": ("word", 0.1 * i) for i in range(COUNT)}
    for name in ("", "round1_", "round2_", "round3_"):
        pseudo_labelling._save(tmp_path / f"read/{name}labelled_read.tsv", "[]", read)
    for number, count in ((1, 3), (2, 6), (3, 6)):
        labels, lines = pseudo_labelling.read_round(config, str(tmp_path), pseudo_labelling.Round(number, None))
        assert [key for key, label in labels["labelled/read"].items() if label] == list(read)[-count:]
    assert lines == ["round 3: read: 6 of 12 images read (the surest 50%); no label has changed"]


def test_drift():
    """Two falls in a row, from round to round, and no fewer."""
    config = ConfigDict(dict(keep_best="held_back/trust", self_training=dict(every=2, stop_after=2)))
    drift = functools.partial(self_training.drift, config)
    for values in ([], [0.5], [0.5, 0.4], [0.5, 0.4, 0.4], [0.5, 0.4, 0.45], [0.5, 0.6, 0.5]):
        assert drift(values, 0.0) == ""
    assert "held_back/trust has fallen 2 times in a row (0.6 > 0.5 > 0.4)" in drift([0.6, 0.5, 0.4], 0.0)
    assert drift([0.6, 0.5, 0.4], 0.25) == "" and drift([0.7, 0.5, 0.4], 0.25)
    config.self_training.stop_after = 0
    assert drift([0.6, 0.5, 0.4], 0.0) == "" and not self_training.ends_round(config, 2)


def guarded(places):
    """Six steps in three rounds, of which a falling figure ends the run after the second."""
    config = config_of(*places, stop_after=2)
    config.held_back.labelled = config.streams.labelled.copy_and_resolve_references()
    config.held_back.labelled.batches = 1
    config.keep_best, config.init_from = "held_back/right", (("model", places[0], "model"),)
    config.eval_every = 6  # rounds are compared nevertheless
    return config


def test_a_run_that_drifts_ends_with_its_best_weights(places, tmp_path, monkeypatch, capsys):
    """Here the start. Stopped within a round, it ends at the same step; called again, it says the same."""
    figures = {0: 0.9, 2: 0.8, 4: 0.7, 6: 1.0}
    monkeypatch.setattr(tracker, "evaluate", lambda _, state: Evaluation({}, {"right": figures[int(state.step)]}, {}))
    config = guarded(places)
    with monkeypatch.context() as patch:
        patch.setattr(setup, "make_train_step", interrupted(setup.make_train_step, call=3))
        loop.run(config, str(tmp_path))
    assert "rounds end here" not in capsys.readouterr().out
    for _ in range(2):
        loop.run(config, str(tmp_path))
        out = capsys.readouterr().out
        assert "rounds end here: held_back/right has fallen 2 times in a row (0.9 > 0.8 > 0.7)" in out
        assert "trained 4 steps" in out  # of 6
        assert "best by held_back/right: step 0 (0.9)" in out and "same command continues" not in out
    assert checkpoint.read_meta(tmp_path)["step"] == 0, "what is read with is the start"
    assert [row["step"] for row in metric_rows(tmp_path) if "held_back/right" in row] == [0, 2, 4]


def test_labels_of_a_round_that_are_gone(places, tmp_path, monkeypatch):
    config = config_of(*places)
    with monkeypatch.context() as patch:
        patch.setattr(setup, "make_train_step", interrupted(setup.make_train_step, call=3))
        loop.run(config, str(tmp_path))
    (tmp_path / "read/round1_labelled_read.tsv").unlink()
    with pytest.raises(InputError, match="round1_labelled_read.tsv, the labels of round 1, is gone"):
        loop.run(config, str(tmp_path))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (dict(every=0), "self_training.every=0"),
        (dict(every=2, thresholds=(0.5, 2.0)), "thresholds"),
        (dict(every=2, threshold=0.5), "threshold"),
        (dict(every=2, shares=(0.0,)), "give shares up to 1"),
        (dict(every=2, shares=(0.5,), thresholds=(0.5,)), "and then no thresholds"),
        (dict(every=2, stop_after=2), "give a number of rounds, and config.keep_best"),
    ],
)
def test_what_cannot_be(places, tmp_path, row, message):
    config = config_of(*places)
    config.self_training = row
    with pytest.raises(InputError, match=message):
        loop.run(config, str(tmp_path))


def test_without_images_to_read(tmp_path):
    config = tiny_config()
    config.self_training = dict(every=2)
    with pytest.raises(InputError, match="no source has read_by"):
        loop.run(config, str(tmp_path))


def test_the_weights_are_averaged_with_the_start_at_the_end_of_each_round(places, tmp_path, monkeypatch):
    """images: those of the round, and the 99 rendered ones. sure: the start's own share, also of a resumed run."""
    seen, config = [], config_of(*places, shares=(0.25, 0.5))
    config.init_from, config.average_with_start = (("model", places[0], "model"),), 0.5

    def average(_, state, workdir, mesh, images, sure):
        seen.append((int(state.step), images, sure))
        return state

    monkeypatch.setattr(loop, "average_with_start", average)
    with monkeypatch.context() as patch:
        patch.setattr(setup, "make_train_step", interrupted(setup.make_train_step, call=5))
        loop.run(config, str(tmp_path))
    loop.run(config, str(tmp_path))
    assert [step for step, *_ in seen] == [2, 4, 6]
    assert all(99 < images <= 99 + COUNT for _, images, _ in seen)  # nothing is read in some
    assert len({images for _, images, _ in seen}) > 1 and len({sure for *_, sure in seen}) == 1
    assert seen[0][1] - 99 <= seen[0][2] * COUNT <= COUNT  # a reading may not fit the charset
