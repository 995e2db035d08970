"""Rounds of self-training: a run reads its images again, learns what it is sure of, and goes on exactly."""

import cv2
import pytest
from testing import assert_same_weights, interrupted, metric_rows, saved_run, tiny_config

from jstr.data.synth.source import RenderedWords
from jstr.inference import pseudo_labelling
from jstr.messages import InputError
from jstr.text import NAMED
from jstr.training import loop, setup

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
    return pseudo_labelling._load(workdir / "read" / name)[1]


def test_every_round_reads_with_the_weights_that_it_begins_with(places, unbroken):
    begun, first, second = (texts_of(unbroken, f"{n}labelled_read.tsv") for n in ("", "round1_", "round2_"))
    assert len(begun) == len(first) == len(second) == COUNT
    assert begun != first != second
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
    read = {f"{i:02d}.png": ("new" if i < 5 else "old", 0.1 * i) for i in range(COUNT)}
    pseudo_labelling._save(tmp_path / "read/round1_labelled_read.tsv", "[]", read)
    labels, lines = pseudo_labelling.read_round(config, workdir, pseudo_labelling.Round(1, 0.3, None))
    expected = {key: text if value >= 0.3 else None for key, (text, value) in read.items()}
    assert labels == {"labelled/read": expected}
    changed = "5 have changed, such as 'old' now 'new'"
    assert lines == [f"round 1: read: 9 of 12 images read with confidence 0.3 or more; {changed}"]


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
