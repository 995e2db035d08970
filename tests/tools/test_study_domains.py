"""tools/study_domains.py: which images each arm has true labels of, and what its run is told."""

import json
from argparse import Namespace

import cv2
import numpy as np
import pytest
import study_domains

from jstr.data.source_config import Share
from jstr.text.messages import InputError

COUNT = 60


@pytest.fixture
def images(tmp_path):
    """Word images "a0.png", ... with labels "word0", ..."""
    folder = tmp_path / "images"
    folder.mkdir()
    for i in range(COUNT):
        cv2.imwrite(str(folder / f"a{i:02}.png"), np.full((32, 64), i, np.uint8))
    study_domains.write_labels(folder / "labels.tsv", {f"a{i:02}.png": f"word{i}" for i in range(COUNT)})
    return folder


@pytest.fixture
def commands(monkeypatch):
    """Arm -> options of its run, which reads the last images least surely."""
    seen = {}

    def train(arm, root, seed, more):
        seen[arm.name] = [*arm.options, *more]
        folder = next(o for o in arm.options if o.startswith("--config.images=")).partition("=")[2]
        names = sorted(p.name for p in study_domains.Path(folder).iterdir())
        (root / arm.name).mkdir(parents=True)
        (root / arm.name / "predictions.tsv").write_text("".join(f"{n}\tx\t0.5\n" for n in reversed(names)))
        (root / arm.name / "results.json").write_text('{"seconds": 7, "step": 3, "commit": "abc"}')
        (root / arm.name / "metrics.jsonl").write_text('{"step": 0}\n{"step": 3, "test/accuracy": 40.5}\n')
        return study_domains.result(root / arm.name)

    monkeypatch.setattr(study_domains, "train", train)
    row = dict(accuracy=50.0)
    monkeypatch.setattr(study_domains, "scores", lambda *_: {words: row for words in study_domains.WORDS})
    return seen


def labels_of(options):
    """File name -> label that a run is given."""
    file = next(o.partition("=")[2] for o in options if o.startswith("--config.labels="))
    lines = study_domains.Path(file).read_text().splitlines()
    return {study_domains.Path(line.split("\t")[0]).name: line.split("\t")[1] for line in lines}


def test_some_of_the_images(images, commands, tmp_path):
    """Evenly; what is left out is not a test word either."""
    out = tmp_path / "out"
    study_domains.run([f"--images={images}", f"--test={images}", f"--out={out}", "--count=3", "--arms=once"])
    last = COUNT - 1
    assert sorted(p.name for p in (out / "words").iterdir()) == [f"0_a{i:02}.png" for i in (0, round(last / 2), last)]
    for count in (-1, COUNT + 1):
        with pytest.raises(InputError, match=f"--count={count}: there are {COUNT} images"):
            study_domains.run([f"--images={images}", f"--test={images}", f"--out={out}", f"--count={count}"])


def test_arms_have_the_labels_that_they_say(images, commands, tmp_path, capsys):
    out = tmp_path / "out"
    study_domains.run([f"--images={images}", f"--out={out}", f"--json={out}.json", "--", "--config.steps=3"])
    shown = sorted(p.name for p in (out / "words").iterdir())
    kept = (out / "test" / "labels.tsv").read_text()
    assert shown == [f"0_a{i:02}.png" for i in range(0, COUNT, 2)]
    assert kept.splitlines() == [f"0_a{i:02}.png\tword{i}" for i in range(1, COUNT, 2)]
    assert all(options[-1] == "--config.steps=3" for options in commands.values())
    assert list(commands) == list(study_domains.ARMS)
    assert not any("labels=" in option for name in ("once", "rounds", "words") for option in commands[name])
    assert "--config.lexicon=english" in commands["words"] and ",rounds=4" in commands["words"][0]
    assert labels_of(commands["corrected-50"]) == {f"0_a{i:02}.png": f"word{i}" for i in range(0, COUNT, 2)}
    held_back = {shown[i] for i in Share(0.1, 0.9).choose(np.arange(len(shown)), len(shown))}
    assert set(labels_of(commands["labels"])) == set(shown) - held_back
    found = json.loads((tmp_path / "out.json").read_text())["arms"]
    assert found["labels"]["seed 0"]["labels"] == len(shown) - len(held_back)
    assert found["once"]["seed 0"]["curve"] == {"3": 40.5}
    assert found["once"]["seed 0"]["seconds"] == 7 and list(found["before"]) == ["start"]
    assert "corrected-50" in capsys.readouterr().out


def test_the_least_sure_are_corrected(images, commands, tmp_path, monkeypatch):
    monkeypatch.setitem(study_domains.ARMS, "corrected-2", ("",))
    arms = ["--arms=once,corrected-2", f"--test={images}"]
    file = tmp_path / "a.json"
    file.write_text('{"arms": {"before": 1}}')
    study_domains.run([f"--images={images}", f"--out={tmp_path / 'out'}", f"--json={file}", *arms])
    assert list(json.loads(file.read_text())["arms"]) == ["before", "once", "corrected-2"], "others stay"
    assert list(commands) == ["once", "corrected-2"]
    assert labels_of(commands["corrected-2"]) == {"0_a59.png": "word59", "0_a58.png": "word58"}


@pytest.mark.parametrize(
    "options, says",
    [
        (["--arms=never"], "--arms='never'"),
        (["--seeds=a"], "--seeds=a: give numbers"),
        (["--arms=corrected-50"], "give --arms=once,corrected-50"),
        (["--json=no/folder/a.json"], "its folder does not exist"),
    ],
)
def test_bad_input(options, says, images, commands, tmp_path):
    with pytest.raises(InputError, match=says):
        study_domains.run([f"--images={images}", f"--out={tmp_path / 'out'}", *options])


def test_images_of_one_name_stay_apart(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / "in" / folder).mkdir(parents=True)
        cv2.imwrite(str(tmp_path / "in" / folder / "1.png"), np.zeros((8, 8), np.uint8))
    study_domains.write_labels(tmp_path / "in/labels.tsv", {"a/1.png": "x", "b/1.png": "y"})
    labels = study_domains.unpack([str(tmp_path / "in")], str(tmp_path), tmp_path / "out")[2]
    assert labels == {"0_a_1.png": "x", "0_b_1.png": "y"}
    assert {p.name for p in (tmp_path / "out/words").iterdir()} == set(labels)


def test_keys_that_look_alike_and_unreadable_words_stay(tmp_path):
    images = tmp_path / "images"
    (images / "a").mkdir(parents=True)
    for value, name in enumerate(("a/b.png", "a_b.png", "c.png", "d.png", "e.png", "f.png")):
        cv2.imwrite(str(images / name), np.full((8, 16), value, np.uint8))
    rows = {"a/b.png": "one", "c.png": "x", "a_b.png": "two", "d.png": "y", "e.png": None, "f.png": None}
    study_domains.write_labels(images / "labels.tsv", rows)
    folder, test, labels = study_domains.unpack([str(images)], None, tmp_path / "out")
    assert labels == {"0_a_b.png": "one", "_0_a_b.png": "two", "0_e.png": None}
    assert [cv2.imread(str(folder / name))[0, 0, 0] for name in labels] == [0, 1, 4]
    assert (test / "labels.tsv").read_text() == "0_c.png\tx\n0_d.png\ty\n0_f.png\t###\n"
    given = study_domains.corrected("labels", tmp_path, folder, labels)
    study_domains.write_labels(tmp_path / "given.tsv", given)
    assert "None" not in (tmp_path / "given.tsv").read_text()


@pytest.mark.parametrize("zeros", [True, False])
def test_plates_are_compared_as_they_are_labelled(monkeypatch, zeros):
    monkeypatch.setattr("jstr.load", lambda *_: None)
    monkeypatch.setattr("jstr.data.sources.open.open_source", lambda _: None)
    monkeypatch.setattr(study_domains, "measure", lambda reader, source, fold: fold("O1") == fold("01"))
    found = study_domains.scores("run", study_domains.Path("test"), Namespace(zeros=zeros))
    assert found == {"none": zeros, "english": zeros}
