"""configs/adapt.py: from a folder of images without labels to predictions, in one command."""

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from testing import call, tiny_config

from configs import adapt, korean
from configs.adapt import get_config
from jstr.checkpoints import packed, safetensors_file
from jstr.data.source_config import eval_specs
from jstr.text.messages import InputError
from jstr.training import loop

SMALL = (
    "--config.steps=4",
    "--config.log_every=2",
    "--config.eval_every=2",
    "--config.save_every=2",
    "--config.streams.labelled.batch_size=4",
    "--config.streams.unlabelled.batch_size=4",
    "--config.held_back.labelled.batch_size=4",
    "--config.held_back.unlabelled.batch_size=4",
    "--config.held_back.labelled.batches=1",
    "--config.held_back.unlabelled.batches=1",
)


@pytest.fixture(scope="module")
def started(tmp_path_factory):
    """A recogniser to start from."""
    workdir = tmp_path_factory.mktemp("start")
    config = tiny_config()
    config.model.update(sequence="none")
    config.charset.characters, config.steps, config.evals = "abcdefghij", 1, {}
    loop.run(config, str(workdir))
    return workdir


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """A user's folder: 30 images in two sub-folders, and no label."""
    folder = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    for i in range(30):
        path = folder / "ab"[i % 2] / f"{i}.png"
        path.parent.mkdir(exist_ok=True)
        cv2.imwrite(str(path), rng.integers(0, 256, (20, 60, 3), np.uint8))
    return folder


def test_a_folder_becomes_predictions(started, images, tmp_path):
    words = tmp_path / "words.txt"
    words.write_text("bad\nface\ncafe\n")
    workdir = tmp_path / "adapted"
    command = ["-m", "jstr.main", f"--config=configs/adapt.py:start={started}", f"--workdir={workdir}", *SMALL]
    status, out, err = call(*command, f"--config.images={images}", f"--config.words={words}")
    assert status == 0, err
    assert "images: 30 images without labels" in out and "images: of these 27 chosen (share=0.9" in out
    assert f"model starts from model of {started}" in out
    assert "starts fresh" not in out
    lines = (workdir / "predictions.tsv").read_text().splitlines()
    rows = [line.split("\t") for line in lines]
    assert len(rows) == 30 and {r[0] for r in rows} == {f"{'ab'[i % 2]}/{i}.png" for i in range(30)}
    confidences = [float(r[2]) for r in rows]
    assert confidences == sorted(confidences)
    assert all(set(r[1]) <= set("abcdefghij") for r in rows)
    assert cv2.imread(str(workdir / "doubtful.png")).shape[:2] == (8 * 72, 4 * 240)
    saved = json.loads((workdir / "config.json").read_text())
    assert saved["charset"]["characters"] == "abcdefghij" and saved["model"]["width"] == 0.0625
    assert saved["streams"]["labelled"]["sources"]["varied"]["rendered"]["words"] == str(words)
    metrics = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    assert [m["step"] for m in metrics if "held_back/trust" in m] == [2, 4]


@pytest.mark.parametrize(
    "start, flags, message",
    [
        ("STARTED", ("--config.images=/nowhere",), "error: /nowhere does not exist; check the path"),
        (
            "/nowhere",
            (),
            "error: config argument start=/nowhere: No such file or directory; give a workdir, or start=none",
        ),
        (
            "bundled:latin",
            (),
            "error: config argument start=bundled:latin: bundled reads its own characters only; give start=bundled, or "
            "start=ppocrv6-small:latin",
        ),
    ],
)
def test_bad_commands(start, flags, message, started, tmp_path):
    start = start.replace("STARTED", str(started))
    config = f"--config=configs/adapt.py:start={start}"
    status, _, err = call("-m", "jstr.main", config, f"--workdir={tmp_path}", *flags)
    assert status == 2 and err.strip() == message


def test_bad_images(started, images, tmp_path):
    def fails(message, folder):
        config = get_config(f"start={started}")
        config.images, config.held_back.labelled.batches, config.held_back.unlabelled.batches = folder, 1, 1
        with pytest.raises(InputError, match=message):
            loop.run(config, str(tmp_path / "run"))

    fails("give --config.images=FOLDER", "")
    (tmp_path / "empty").mkdir()
    fails("empty holds no word images in a known form", str(tmp_path / "empty"))
    shutil.copytree(images, tmp_path / "mixed")
    for name in ("0", "2"):
        (tmp_path / "mixed/a" / f"{name}.png").write_bytes(b"broken")
    fails(r"of 27 images of images are broken or missing, .*images/a/\d.png", str(tmp_path / "mixed"))


def test_where_it_starts(started, tmp_path, monkeypatch):
    monkeypatch.setattr(adapt.common, "BUNDLED", tmp_path / "none.npz")
    with pytest.raises(ValueError, match="no reader comes with this copy of jstr; give configs/adapt.py:start=WORKDIR"):
        get_config()
    saved = json.loads((started / "config.json").read_text())
    packed.save(tmp_path / "reader.npz", {}, {}, {"config": saved})
    monkeypatch.setattr(adapt.common, "BUNDLED", tmp_path / "reader.npz")
    bundled = get_config()
    assert bundled.init_from == (("model", "bundled", "model"),)
    assert bundled.charset.characters == "abcdefghij" and bundled.image.size == (32, 64)
    assert "projection" not in bundled.model and bundled.objective.labels == "hard", "frames of a CTC reader move"
    (tmp_path / "junk.npz").write_text("junk")
    with pytest.raises(ValueError, match="junk.npz holds neither a run nor a packed reader"):
        get_config(f"start={tmp_path / 'junk.npz'}")
    saved["model"] = dict(name="abinet", width=1.0)
    (tmp_path / "config.json").write_text(json.dumps(saved))
    with pytest.raises(ValueError, match="is abinet; only four-stage recognisers"):
        get_config(f"start={tmp_path}")
    saved["model"] = dict(name="four_stage", prediction="attention", projection="linear")
    (tmp_path / "config.json").write_text(json.dumps(saved))
    attention = get_config(f"start={tmp_path}")
    assert attention.objective.labels == "soft" and attention.model.projection == "linear"


def test_labels_only(started, images, tmp_path, capsys):
    """Without the unlabelled stream; what the start reads is learned, here however unsure, and so are corrections."""
    config = get_config(f"start={started},labels_only")
    assert list(config.streams) == list(config.held_back) == ["labelled"] and config.objective.name == "supervised"
    config.images, config.steps, config.held_back.labelled.batches = str(images), 1, 1
    config.streams.labelled.sources.read.read_by.threshold = 0.0
    config.labels = str(tmp_path / "labels.tsv")  # as the page of jstr review writes it
    answers = {"a/0.png": "bad", "a/2.png": "###", "b/1.png": "cafe"}
    lines = ["filename\tlabel", *(f"{images / name}\t{text}" for name, text in answers.items())]
    Path(config.labels).write_text("\n".join(lines) + "\n")
    loop.run(config, str(tmp_path))
    out = capsys.readouterr().out
    assert "corrected: 2 of 3 labels used" in out and "1 words are marked unreadable" in out
    assert "read: 3 images have been corrected by hand, and what was read in them is not used" in out
    assert "trained 1 steps" in out
    assert len((tmp_path / "read/labelled_read.tsv").read_text().splitlines()) == 1 + 30  # who read, and the images
    assert len((tmp_path / "predictions.tsv").read_text().splitlines()) == 30
    with pytest.raises(ValueError, match="labels_only and rounds need a trained start"):
        get_config("start=none,labels_only")


def test_codes(started):
    """Rendered words follow the pattern, and so do the readings that become labels."""
    config = get_config(f"start={started},labels_only")
    config.pattern.regex = ("[A-D]{3}",)
    sources = config.streams.labelled.sources
    for pattern in (sources.read.read_by.pattern, sources.varied.rendered.pattern):
        assert pattern.regex == ("[A-D]{3}",) and pattern.checksum == ()


def test_from_nothing():
    scratch = get_config("start=none")
    assert not scratch.init_from and scratch.streams.unlabelled.sources.images.labelled is False
    scratch.images, scratch.fonts = "a", "b"
    assert scratch.streams.unlabelled.sources.images.path == scratch.held_back.unlabelled.sources.images.path == "a"
    assert scratch.streams.labelled.sources.plain.rendered.fonts == "b"


def test_images_are_opened_before_training(tmp_path):
    config = tiny_config()
    config.images = str(tmp_path / "none")
    with pytest.raises(InputError, match="none does not exist"):
        loop.run(config, str(tmp_path / "run"))


def test_a_start_of_ppocr(tmp_path):
    """Its upper layers learn from what it reads with its own prior; nothing else is trained."""
    model = dict(name="ppocr", space_as_blank=True, dtype="float32")
    image = dict(size=(48, 320), channels=3, keep_ratio=True, backend="cv2_linear", pad="grey")
    charset = dict(characters="94", layout="dtrb_ctc", max_length=25, lower=False, nfkc=False, drop_outside=False)
    prior = dict(words="english", weight=0.5, width=16)
    saved = dict(charset=charset, image=image, model=model, language_model=prior)
    (tmp_path / "config.json").write_text(json.dumps(saved))
    config = get_config(f"start={tmp_path}")
    assert set(config.streams.labelled.sources) == {"corrected", "read"} and config.language_model.width == 16
    assert config.held_back.labelled.sources.read.read_by.workdir == str(tmp_path)
    rules = config.optimizer.rules
    assert rules["model/block_9"].frozen and "model/block_10" not in rules and rules["model"].fixed_statistics
    both = get_config(f"start={tmp_path},consistency")
    assert both.objective.name == "cr_str" and list(both.streams) == ["labelled", "unlabelled"]
    assert set(both.held_back) == set(both.streams)


def test_words_to_follow(started):
    """config.test is measured, and no source of training or of validation reads it."""
    config = get_config(f"start={started}")
    assert eval_specs(config) == {}
    config.test = "test.tar"
    assert [spec.path for spec in eval_specs(config).values()] == ["test.tar"]
    rows = [
        source
        for part in (config.streams, config.held_back)
        for row in part.values()
        for source in row.sources.values()
    ]
    assert not any(row.get("path") == "test.tar" for row in rows)
    assert (config.keep_best, config.average_with_start, config.average_as_sure) == ("", 0.5, True)
    scratch = get_config("start=none")
    assert (scratch.keep_best, scratch.average_with_start) == ("held_back/trust", 0.0)


def test_rounds():
    config = adapt.get_config("rounds=3")
    assert config.steps == 4_500 and config.self_training.every == 1_500
    assert config.streams.labelled.sources.read.read_by.threshold == 0.9 and not config.self_training.thresholds
    assert not adapt.get_config("").self_training
    with pytest.raises(ValueError, match="trained start"):
        adapt.get_config("start=none,rounds=2")
    with pytest.raises(ValueError, match="rounds=0"):
        adapt.get_config("rounds=0")


def test_ppocr_begins_with_what_is_surest():
    for rounds in (1, 4):
        config = adapt.get_config(f"start=ppocrv6-small,rounds={rounds}")
        learned, held_back = (part.labelled.sources.read.read_by for part in (config.streams, config.held_back))
        assert (learned.threshold, learned.fallback) == (0.99, 0.8)
        assert held_back.threshold == 0.8 and "fallback" not in held_back  # what is held back measures
    thresholds = [learned.threshold, *config.self_training.thresholds]
    assert thresholds == sorted(thresholds, reverse=True) and thresholds[-1] < thresholds[0]


def test_what_the_start_was_rendered_from_is_rendered(tmp_path):
    """A reader of another language would forget it on English words; yours come before both."""
    config = korean.get_config()
    config.steps = 1
    (tmp_path / "config.json").write_text(config.to_json())
    config = get_config(f"start={tmp_path}")
    assert (config.words, config.fonts) == ("korean", "korean")
    rendered = config.streams.labelled.sources.varied.rendered
    assert (rendered.words, rendered.fonts, config.language_model.words) == ("korean", "korean", "korean")
    config.words = "mine.txt"
    assert rendered.words == "mine.txt"
    assert get_config().words == "english" and get_config().fonts is None


def test_options_of_another_start():
    with pytest.raises(ValueError, match="whole and consistency are for PP-OCR; start=bundled"):
        get_config("whole")


def test_codes_are_rendered_beside_consistency():
    config = get_config("start=ppocrv6-small,consistency")
    config.pattern.regex = ("[A-Z]{3}[0-9]{4}",)
    assert config.streams.labelled.sources.varied.rendered.pattern.regex == ("[A-Z]{3}[0-9]{4}",)


def test_a_start_in_safetensors(tmp_path):
    pytest.importorskip("safetensors")
    meta, variables = packed.load(packed.BUNDLED)
    safetensors_file.save(tmp_path / "reader.safetensors", variables["params"], variables["model_state"], meta)
    config = get_config(f"start={tmp_path / 'reader.safetensors'}")
    assert config.model == get_config().model and config.image == get_config().image
