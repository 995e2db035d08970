"""What a run says of itself before it begins."""

import json

import cv2
import numpy as np
import pytest
from testing import saved_run, tiny_config

from jstr.inference import outlook
from jstr.inference.reader import load
from jstr.inference.sure_readings import Gate

COUNT = 12


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """(a run that reads, a folder of images, one of them broken)."""
    folder, rng = tmp_path_factory.mktemp("images"), np.random.default_rng(0)
    for i in range(COUNT):
        cv2.imwrite(str(folder / f"{i:02d}.png"), rng.integers(0, 256, (32, 64, 1), np.uint8))
    (folder / "07.png").write_bytes(b"broken")
    return saved_run(tmp_path_factory.mktemp("run")), str(folder)


def config_of(places, images=8):
    by = dict(workdir=places[0], language_model="english", threshold=0.5)
    config = tiny_config(read=dict(path=places[1], read_by=by), rendered=dict(rendered=dict(seed=1, size=99)))
    config.outlook = images
    return config


def scripted(plain, other, unaided=None):
    """texts_of: what is read in images as they are, in their other view, and without words (None: as they are)."""
    calls = []

    def texts_of(reader, spec, source):
        calls.append([(source[i]["key"], source[i]["image"]) for i in range(len(source))])
        words = {2: other, 3: unaided or plain}.get(len(calls), plain)
        return {key: words[int(key[:2]) % len(words)] for key, _ in calls[-1]}

    return texts_of, calls


@pytest.mark.parametrize(
    "sure, alike, expected",
    [
        (0.77, 0.9, "adaptation should pay"),  # letterbooks, PP-OCRv6
        (0.49, 0.7, "adaptation should pay"),
        (0.02, 0.4, "adaptation hardly helps; correct 50 words (jstr review) and give --config.labels"),
        (0.19, 0.51, "adaptation may help; rather correct 50 words"),
        (0.8, 0.5, "adaptation may help; rather correct 50 words"),
        (0.8, 0.3, "adaptation hardly helps"),  # sure, but of something else in each view
        (0.3, 0.8, "adaptation may help; rather correct 50 words"),
        (0.985, 0.995, "hardly anything is left for adaptation"),
    ],
)
def test_advice(sure, alike, expected):
    line = outlook.Outlook(200, sure, alike).line(labelled=False)
    read = f"reads {sure:.0%} of 200 of your images surely, and {alike:.0%} alike in two views: "
    assert line.startswith(read + expected)
    assert "50 words" not in outlook.Outlook(200, sure, alike).line(labelled=True)


def test_advice_where_another_reader_is_stronger():
    line = outlook.Outlook(200, 0.02, 0.4, stronger="ppocrv6-small").line(labelled=False)
    assert "hardly helps; start from a stronger reader (adapt:start=ppocrv6-small), or correct 50 words" in line
    assert "stronger" not in outlook.Outlook(200, 0.8, 0.9, stronger="ppocrv6-small").line(labelled=False)


def test_advice_where_the_words_change_nothing():
    """Scene words and letterbooks, PP-OCRv6: the first got worse by adaptation, the second better."""
    line = outlook.Outlook(200, 0.81, 0.95, 0.977).line(labelled=False)
    assert line.endswith("in two views: 98% of the sure ones also without its words, so adaptation has little to teach")
    assert outlook.Outlook(200, 0.81, 0.95, 0.894).line(labelled=False).endswith("adaptation should pay")


def test_a_sample_is_read_in_two_views(places, tmp_path, monkeypatch):
    texts_of, calls = scripted(
        [("a", 0.9), ("b", 0.4), ("", 0.0)], [("a", 0.1), ("c", 0.1), ("", 0.0)], [("a", 0.1), ("x", 0.9)]
    )
    monkeypatch.setattr(outlook, "texts_of", texts_of)
    (line,) = outlook.outlook_lines(config_of(places, 999), str(tmp_path), load)
    assert line.startswith(f"read: {places[0]} reads 33% of 12 of your images surely, and 33% alike in two views: ")
    plain, other, again = map(dict, calls)
    assert set(again) == {key for key in plain if int(key[:2]) % 3 == 0}  # the sure ones, without words
    kept = json.loads((tmp_path / "read/outlook_labelled_read.json").read_text())
    assert kept["unaided"] == 0.5  # of 00, 03, 06 and 09
    assert set(plain) == set(other) and len(plain) == COUNT
    assert isinstance(other["00.png"], np.ndarray) and other["00.png"].shape == (32, 64, 1)
    before = cv2.imdecode(np.frombuffer(plain["00.png"], np.uint8), 0)
    assert (before != other["00.png"][..., 0]).mean() > 0.5
    assert plain["07.png"] == other["07.png"] == b"broken"


def test_it_is_judged_once(places, tmp_path, monkeypatch):
    """A run that goes on says the same without reading; with another threshold it reads again."""
    texts_of, calls = scripted([("a", 0.9)], [("a", 0.9)])
    monkeypatch.setattr(outlook, "texts_of", texts_of)
    config = config_of(places)
    first = outlook.outlook_lines(config, str(tmp_path), lambda *_: load(places[0]))
    assert len(calls[0]) == 8 and "100% of 8 of" in first[0]
    assert outlook.outlook_lines(config, str(tmp_path), None) == first
    assert json.loads((tmp_path / "read/outlook_labelled_read.json").read_text())["alike"] == 1
    config.streams.labelled.sources.read.read_by.threshold = 0.95
    assert "reads 0% of 8" in outlook.outlook_lines(config, str(tmp_path), lambda *_: load(places[0]))[0]
    config.outlook = 0
    assert outlook.outlook_lines(config, str(tmp_path), None) == []


def test_where_the_source_is_held_back_its_threshold_counts(places, tmp_path, monkeypatch):
    """Training may begin with what is surest (configs/adapt.py:rounds); what pays was measured at another threshold."""
    texts_of, _ = scripted([("a", 0.9)], [("a", 0.9)])
    monkeypatch.setattr(outlook, "texts_of", texts_of)
    config = config_of(places)
    config.held_back.labelled = config.streams.labelled.copy_and_resolve_references()
    config.streams.labelled.sources.read.read_by.threshold = 0.99
    (line,) = outlook.outlook_lines(config, str(tmp_path), lambda *_: load(places[0]))
    assert "reads 100% of 8" in line


def test_a_reader_judges_itself(places):
    """With a real one, which reads noise."""
    from jstr.data.source_config import parse_sources

    config = config_of(places)
    (spec,) = [s for s in parse_sources("", config.streams.labelled.sources, "") if s.read_by]
    found = outlook.judged(load(places[0]), None, spec, Gate(0.5), 8)
    assert found.images == 8 and 0 <= found.sure <= 1 and 0 <= found.alike <= 1
    assert outlook.judged(load(places[0]), None, spec, Gate(0.5), 8) == found
