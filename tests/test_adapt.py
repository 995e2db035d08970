"""configs/adapt.py: from a folder of pictures without labels to predictions, in one command."""

import importlib
import json

import cv2
import numpy as np
import pytest
from testing import REAL_WORDS, call, tiny_config

from jstr import predictions, train
from jstr.core import InputError
from jstr.data.sources import open_source

SMALL = (
    "--config.steps=4", "--config.log_every=2", "--config.eval_every=2", "--config.save_every=2",
    "--config.streams.labelled.batch_size=4", "--config.streams.unlabelled.batch_size=4",
    "--config.held_back.labelled.batch_size=4", "--config.held_back.unlabelled.batch_size=4",
    "--config.held_back.labelled.batches=1", "--config.held_back.unlabelled.batches=1",
)  # fmt: skip


@pytest.fixture(scope="module")
def started(tmp_path_factory):
    """A recogniser to start from."""
    workdir = tmp_path_factory.mktemp("start")
    config = tiny_config()
    config.model.update(sequence="none")
    config.charset.characters, config.steps, config.evals = "abcdefghij", 1, {}
    train.run(config, str(workdir))
    return workdir


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """A user's folder: 30 pictures, one of them broken, in two sub-folders, and no label."""
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    for i in range(30):
        path = folder / "ab"[i % 2] / f"{i}.png"
        path.parent.mkdir(exist_ok=True)
        cv2.imwrite(str(path), rng.integers(0, 256, (20, 60, 3), np.uint8))
    return folder


def test_a_folder_becomes_predictions(started, pictures, tmp_path):
    words = tmp_path / "words.txt"
    words.write_text("bad\nface\ncafe\n")
    workdir = tmp_path / "adapted"
    command = ["-m", "jstr.main", f"--config=configs/adapt.py:start={started}", f"--workdir={workdir}", *SMALL]
    status, out, err = call(*command, f"--config.images={pictures}", f"--config.words={words}")
    assert status == 0, err
    assert "images: 30 images without labels" in out and "images: of these 27 chosen (share=0.9" in out
    assert f"model starts from model of {started}" in out and "best by held_back/trust: step" in out
    lines = (workdir / "predictions.tsv").read_text().splitlines()
    rows = [line.split("\t") for line in lines]
    assert len(rows) == 30 and {r[0] for r in rows} == {f"{'ab'[i % 2]}/{i}.png" for i in range(30)}
    confidences = [float(r[2]) for r in rows]
    assert confidences == sorted(confidences)
    assert all(set(r[1]) <= set("abcdefghij") for r in rows)
    assert cv2.imread(str(workdir / "doubtful.png")).shape[:2] == (8 * 70, 4 * 220)
    saved = json.loads((workdir / "config.json").read_text())
    assert saved["charset"]["characters"] == "abcdefghij" and saved["model"]["width"] == 0.0625
    assert saved["streams"]["labelled"]["sources"]["varied"]["rendered"]["words"] == str(words)
    metrics = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    assert [m["step"] for m in metrics if "held_back/trust" in m] == [2, 4]


@pytest.mark.parametrize("flags, message", [
    ((), "give --config.images=FOLDER"),
    (("--config.images=/nowhere",), "/nowhere does not exist; check the path"),
])  # fmt: skip
def test_bad_pictures(flags, message, started, tmp_path):
    command = ["-m", "jstr.main", f"--config=configs/adapt.py:start={started}", f"--workdir={tmp_path}", *flags]
    status, _, err = call(*command)
    assert status == 2 and message in err and len(err.strip().splitlines()) == 1, err


def test_a_start_that_is_not_there():
    get = importlib.import_module("configs.adapt").get_config
    with pytest.raises(ValueError, match="start=/nowhere: No such file or directory; give a workdir, or start=none"):
        get("start=/nowhere")
    scratch = get("start=none")
    assert not scratch.init_from and scratch.streams.unlabelled.sources.images.labelled is False
    scratch.images, scratch.fonts = "a", "b"
    assert scratch.streams.unlabelled.sources.images.path == scratch.held_back.unlabelled.sources.images.path == "a"
    assert scratch.streams.labelled.sources.plain.rendered.fonts == "b"


def test_pictures_that_cannot_be_read_come_first(tmp_path):
    class Reader:
        spec = train.Reader(tiny_config().to_dict()).spec

        @staticmethod
        def read_batch(images):
            return [f"w{i}" for i in range(len(images))], np.linspace(1, 0.5, len(images))

    folder = tmp_path / "pictures"
    folder.mkdir()
    names = sorted(REAL_WORDS.glob("*.png"))[:5]
    for i, path in enumerate(names):
        (folder / f"{i}.png").write_bytes(path.read_bytes() if i != 3 else b"broken")
    said = predictions.write(Reader, open_source(str(folder), labelled=False), str(tmp_path))
    rows = [line.split("\t") for line in (tmp_path / "predictions.tsv").read_text().splitlines()]
    assert rows[0] == ["3.png", "", "0.0000"]
    assert [r[0] for r in rows[1:]] == ["4.png", "2.png", "1.png", "0.png"]
    assert "1 broken or missing pictures, at the top: 3.png" in said[-1]


def test_images_are_opened_before_training(tmp_path):
    config = tiny_config()
    config.images = str(tmp_path / "none")
    with pytest.raises(InputError, match="none does not exist"):
        train.run(config, str(tmp_path / "run"))
