"""Sources whose labels another run reads."""

import re
import shutil

import cv2
import numpy as np
import pytest
from testing import saved_run, tiny_config

import jstr
from jstr.data.pipeline import TrainData
from jstr.inference.pseudo_labelling import read_rows
from jstr.inference.reader import make_charset
from jstr.text.messages import InputError
from jstr.training import loop, setup

COUNT = 40


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """(a run that reads, a folder of images without labels, one of them broken)."""
    folder = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    for i in range(COUNT):
        cv2.imwrite(str(folder / f"{i:02d}.png"), rng.integers(0, 256, (32, 64, 1), np.uint8))
    (folder / "07.png").write_bytes(b"broken")
    return saved_run(tmp_path_factory.mktemp("run")), str(folder)


@pytest.fixture(autouse=True)
def believed(monkeypatch):
    """The texts of an untrained reader, too, which no image supports."""
    monkeypatch.setattr("jstr.decoding.ranking.BELIEVABLE", 1e-300)


def config_of(places, threshold: float):
    run, folder = places
    by = dict(workdir=run, language_model="english", threshold=threshold)
    config = tiny_config(read=dict(path=folder, read_by=by), rendered=dict(rendered=dict(seed=1, size=99)))
    config.evals = {}
    return config


def test_readings_follow_a_pattern(places, tmp_path):
    config = config_of(places, 0.0)
    config.streams.labelled.sources.read.read_by.pattern = dict(regex=("[0-9]{3}",))
    found, _ = read_rows(config, str(tmp_path / "a"))
    config.streams.labelled.sources.read.read_by.language_weight = 3.0  # codes are no words
    assert read_rows(config, str(tmp_path / "b"))[0] == found
    labels = [label.text for label in found["labelled/read"].values() if label]
    assert len(labels) > 30 and all(re.fullmatch("[0-9]{3}", label) for label in labels)


def test_words_weigh_more_where_labels_are_read(places, tmp_path):
    """With none the image decides alone; another weight is another reading, which is not taken from the file."""
    run, folder = places
    paths = [f"{folder}/{i:02d}.png" for i in range(COUNT) if i != 7]
    found = {}
    for weight in (None, 0.0, 3.0):
        config = config_of(places, 0.0)
        if weight is not None:
            config.streams.labelled.sources.read.read_by.language_weight = weight
        labels, _ = read_rows(config, str(tmp_path))
        found[weight] = [label.text for label in labels["labelled/read"].values() if label]
    assert found[None] == list(filter(None, jstr.load(run, "english").read(paths)[0]))
    assert found[3.0] == list(filter(None, jstr.load(run, "english").weighing(3.0).read(paths)[0]))
    assert found[3.0] != found[None] != found[0.0]


def test_the_sure_readings_are_labels(places, tmp_path):
    run, folder = places
    paths = [f"{folder}/{i:02d}.png" for i in range(COUNT) if i != 7]
    texts, sure = jstr.load(run, "english").read(paths)
    threshold = float(np.median(sure))
    found, lines = read_rows(config_of(places, threshold), str(tmp_path))
    labels = [found["labelled/read"][f"{i:02d}.png"] for i in range(COUNT)]
    expected = [t if t and c >= threshold else None for t, c in zip(texts, sure, strict=True)]
    assert labels[7] is None and [label and label.text for label in labels[:7] + labels[8:]] == expected
    known = {f"{i:02d}.png": c for i, c in zip([*range(7), *range(8, COUNT)], sure, strict=True)}
    for key, label in found["labelled/read"].items():
        assert label is None or label.confidence == pytest.approx(float(known[key]), abs=2e-6)
    count = sum(label is not None for label in labels)
    assert 10 < count < 30
    assert lines == [f"read: {count} of 40 images read by {run} with confidence {threshold} or more"]
    file = tmp_path / "read/labelled_read.tsv"
    rows = [row.split("\t") for row in file.read_text().splitlines()[1:]]
    assert [row[0] for row in rows] == [f"{i:02d}.png" for i in range(COUNT)] and rows[7][1:] == ["", "0.000000"]
    assert read_rows(config_of(places, threshold), str(tmp_path)) == (found, lines)
    other = config_of(places, threshold)
    other.streams.labelled.sources.read.read_by.language_model = "none"
    assert read_rows(other, str(tmp_path))[0] != found, "another reader reads again"


def test_what_a_person_has_corrected_is_not_overwritten(places, tmp_path):
    labels = tmp_path / "labels.tsv"
    labels.write_text(f"filename\tlabel\n{places[1]}/03.png\tcafe\n{places[1]}/05.png\t###\n")
    config = config_of(places, 0.0)
    config.streams.labelled.sources.read.read_by.corrected = str(labels)
    config.streams.labelled.sources.corrected = dict(path=str(labels), optional=True, weight=0.25)
    found, lines = read_rows(config, str(tmp_path))
    assert found["labelled/read"]["03.png"] is None and found["labelled/read"]["05.png"] is None
    assert sum(label is None for label in found["labelled/read"].values()) < 10
    assert "read: 2 images have been corrected by hand" in lines[0]
    data = TrainData(config, make_charset(config.charset), {"labelled": ("image", "tokens")}, None, read=found)
    assert data.sizes["corrected"] == 1


def test_corrected_images_are_known_in_another_folder(places, tmp_path):
    """As when a second run finds the words of photographs again."""
    run, folder = places
    again = shutil.copytree(folder, tmp_path / "again")
    labels = tmp_path / "labels.tsv"
    labels.write_text(f"filename\tlabel\n{folder}/03.png\tcafe\n{folder}/gone.png\tbee\n")
    config = config_of((run, str(again)), 0.0)
    config.streams.labelled.sources.read.read_by.corrected = str(labels)
    found, lines = read_rows(config, str(tmp_path))
    assert found["labelled/read"]["03.png"] is None and "read: 1 images have been corrected by hand" in lines[0]


def test_words_held_back(places, tmp_path, monkeypatch):
    """They are those of the stream where it has read them; else read, once."""
    run, folder = places
    config = config_of(places, 0.0)
    config.held_back.labelled = config.streams.labelled.copy_and_resolve_references()
    found, _ = read_rows(config, str(tmp_path))
    assert read_rows(config, str(tmp_path), "held_back")[0] == found
    assert [f.name for f in (tmp_path / "read").iterdir()] == ["labelled_read.tsv"]
    config.held_back.labelled.sources.read.read_by.language_model = "none"
    other, lines = read_rows(config, str(tmp_path), "held_back")
    assert other != found and (tmp_path / "read/held_back_labelled_read.tsv").exists()
    monkeypatch.setattr("jstr.inference.pseudo_labelling.load", lambda *_: pytest.fail("read again"))
    assert read_rows(config, str(tmp_path), "held_back") == (other, lines)


def test_training_uses_them_and_goes_on_with_them(places, tmp_path):
    """A second start takes what was read before, also when the reader is gone."""
    run, folder = places
    other = shutil.copytree(run, tmp_path / "other")
    config = config_of((str(other), folder), 0.0)
    batch = train_batch(config, tmp_path / "a")
    shutil.rmtree(other)
    again = train_batch(config, tmp_path / "a")
    assert any(key.startswith("read/") for key in batch["keys"])
    np.testing.assert_array_equal(batch["arrays"]["labelled"]["tokens"], again["arrays"]["labelled"]["tokens"])
    loop.run(config, str(tmp_path / "a"))
    file = tmp_path / "a/read/labelled_read.tsv"
    file.write_text("".join(file.read_text().splitlines(keepends=True)[:-1]))
    with pytest.raises(InputError, match=r"not those that were read \(1 new, such as '39.png'\)"):
        train_batch(config, tmp_path / "a")
    with pytest.raises(InputError, match="other"):
        loop.run(config, str(tmp_path / "b"))


def test_the_weight_of_a_label_is_its_confidence(places, tmp_path):
    config = config_of(places, 0.0)
    config.objective.weighted = True
    found, batch = read_rows(config, str(tmp_path))[0]["labelled/read"], train_batch(config, tmp_path)
    read = [found[key.removeprefix("read/")].confidence if key.startswith("read/") else 1.0 for key in batch["keys"]]
    np.testing.assert_allclose(batch["arrays"]["labelled"]["weight"], read, rtol=1e-6)
    assert 0 < sum(weight < 1 for weight in read) < len(read)


def train_batch(config, workdir):
    prepared = setup.prepare(config)
    read, _ = read_rows(config, str(workdir))
    data = TrainData(config, prepared.reader.charset, prepared.objective.streams, prepared.frames, read=read)
    return next(data.batches(0))


def test_labels_are_found_by_key(places, tmp_path):
    """Labels never move to other images: renaming one is an error that names the folder; another order is none."""
    run, folder = places
    folder = shutil.copytree(folder, tmp_path / "images")
    config, workdir = config_of((run, str(folder)), 0.0), str(tmp_path / "run")
    found, _ = read_rows(config, workdir)
    file = tmp_path / "run/read/labelled_read.tsv"
    header, *lines = file.read_text().splitlines(keepends=True)
    file.write_text(header + "".join(reversed(lines)))
    assert read_rows(config, workdir)[0] == found
    (folder / "00.png").rename(folder / "zz.png")
    changed = "1 new, such as 'zz.png'; 1 gone, such as '00.png'"
    with pytest.raises(InputError, match=f"{changed}.*remove the folder {tmp_path}/run/read"):
        read_rows(config, workdir)


def test_any_file_name_keeps_its_label(places, tmp_path):
    run, folder = places
    names = ["two\nlines.png", "tab\there.png", "caf\udce9.png", "return\r.png", "back\\nslash.png", "a.png"]
    images = tmp_path / "images"
    images.mkdir()
    for i, name in enumerate(names):
        shutil.copy(f"{folder}/{i:02d}.png", images / name)
    config = config_of((run, str(images)), 0.0)
    assert read_rows(config, str(tmp_path / "run")) == read_rows(config, str(tmp_path / "run"))


def test_a_damaged_file_is_named(places, tmp_path):
    config = config_of(places, 0.0)
    read_rows(config, str(tmp_path))
    file = tmp_path / "read/labelled_read.tsv"
    file.write_text(file.read_text().replace("05.png\t", "05.png "))
    with pytest.raises(InputError, match=r"labelled_read.tsv line 7: expected key, text and confidence"):
        read_rows(config, str(tmp_path))


def test_nothing_is_sure(places, tmp_path):
    config = config_of(places, 1.1)
    config.lock()
    assert not any(key.startswith("read/") for key in train_batch(config, tmp_path)["keys"])
    config.unlock()
    del config.streams.labelled.sources.rendered
    with pytest.raises(InputError, match="of 40 images none is read surely enough"):
        train_batch(config, tmp_path)


def test_only_what_is_trained_on(places):
    config = config_of(places, 0.5)
    prepared = setup.prepare(config)
    with pytest.raises(InputError, match="read_by is for labelled data sets"):
        TrainData(config, prepared.reader.charset, prepared.objective.streams, prepared.frames)
