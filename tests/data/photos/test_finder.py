"""Words of one photograph, with stand-ins for the networks."""

import importlib.util
import sys

import numpy as np
import pytest
from photos_testing import RedIsText, photograph, red_is_text  # noqa: F401
from PIL import Image, ImageDraw, ImageFont

from jstr.data.photos import detector, lines, models
from jstr.data.photos.boxes import Box, size
from jstr.data.photos.finder import Finder, FindOptions
from jstr.data.synth.fonts import LATIN
from jstr.text.messages import InputError


def found(pixels, **options):
    return [box.corners for box in Finder(FindOptions.make(options)).find(pixels)]


def ranges(corners):
    return corners.min(0).round().tolist(), corners.max(0).round().tolist()


@pytest.mark.usefixtures("red_is_text")
def test_boxes_lie_where_the_words_are():
    (corners,) = found(photograph((100, 200, 300, 240)), margin=0.0)
    low, high = ranges(corners)
    assert low[0] < 100 < 300 < high[0] and low[1] < 200 < 240 < high[1]
    assert high[0] - low[0] < 300


@pytest.mark.usefixtures("red_is_text")
def test_large_photographs_keep_their_small_words():
    pixels = photograph((3000, 2000, 3060, 2004), (200, 200, 1400, 500), size=(3000, 4000))
    small, large = sorted(found(pixels, min_height=4), key=lambda corners: size(corners)[0])
    assert np.abs(small.mean(0) - (3030, 2002)).max() < 6
    assert np.abs(large.mean(0) - (800, 350)).max() < 10
    assert len(found(pixels, min_height=4, reach=2000)) == 1  # 2 pixels there: noise


@pytest.mark.usefixtures("red_is_text")
def test_small_words_are_left_out():
    assert len(found(photograph((100, 200, 160, 212)), min_height=8)) == 1
    assert found(photograph((100, 200, 160, 212)), min_height=40) == []
    assert found(photograph((100, 200, 160, 212)), min_height=14, margin=-0.3) == []  # 28 without it


@pytest.mark.usefixtures("red_is_text")
def test_words_come_in_reading_order():
    bars = [(400, 300, 500, 320), (100, 300, 200, 320), (400, 100, 500, 120), (100, 100, 200, 120)]
    centres = [corners.mean(0).round(-1).tolist() for corners in found(photograph(*bars))]
    assert centres == [[150, 110], [450, 110], [150, 310], [450, 310]]


def test_boxes_at_the_cut_edges_of_a_window_are_left_to_others():
    all_cut = (True,) * 4
    for low, high, cuts in (((0, 20), (40, 30), 0), ((50, 1), (90, 30), 1), ((50, 20), (198, 30), 2)):
        corners = np.float32([low, (high[0], low[1]), high, (low[0], high[1])])
        only = tuple(side == cuts for side in range(4))
        assert detector._touches(corners, (100, 200, 3), all_cut) and detector._touches(corners, (100, 200, 3), only)
        assert not detector._touches(corners, (100, 200, 3), tuple(not cut for cut in only))
    inside = np.float32([(10, 10), (180, 10), (180, 90), (10, 90)])
    assert not detector._touches(inside, (100, 200, 3), all_cut)


def test_a_word_that_two_windows_see_is_found_once():
    boxes = [Box(np.float32([(0, 0), (w, 0), (w, 9), (0, 9)]), 0.9) for w in (40, 44)]
    assert len(detector._without_copies(boxes)) == 1


def test_large_sure_boxes_are_not_looked_at_again():
    pixels = np.ones((100, 200), np.float32)
    large, small = (Box(np.float32([(0, 0), (w, 0), (w, h), (0, h)]), 0.9) for w, h in ((300, 120), (60, 30)))
    assert detector._unsettled(pixels, [large], 0.5)[:60, :150].sum() == 0 and pixels.all()
    assert detector._unsettled(pixels, [small, large._replace(score=0.6)], 0.5).all()


def test_small_text_wins_over_an_unsure_patch():
    patch = Box(np.float32([(0, 0), (900, 0), (900, 500), (0, 500)]), 0.52)
    word = Box(np.float32([(100, 100), (200, 100), (200, 130), (100, 130)]), 0.8)
    assert detector._merged([patch], [word], 40) == [word]
    sure = patch._replace(score=0.85)
    assert detector._merged([sure], [word], 40) == [sure]


def test_only_boxes_that_meet_are_compared(monkeypatch):
    corners = [
        np.float32([(0, 0), (90, 0), (90, 20), (0, 20)]) + (100 * i, 30 * j) for i in range(10) for j in range(9)
    ]
    found, compared = [Box(c, 0.6) for c in corners for _ in range(2)], []
    overlap = detector.overlap
    monkeypatch.setattr(detector, "overlap", lambda a, b: compared.append(1) or overlap(a, b))
    assert len(detector._without_copies(found)) == 90 and len(compared) == 90
    whole = [Box(c, 0.6) for c in corners]
    assert len(detector._merged(whole, found, 30.0)) == 180
    assert len(detector._merged(whole, found, 10.0)) == 90
    assert len(compared) < 1500


def frames(classes, values=0.9):
    out = np.full((len(classes), 4), 0.01, np.float32)
    out[np.arange(len(classes)), classes] = values
    return out


def test_spaces_lie_between_letters():
    line = lines.line_of_frames(frames([0, 1, 1, 0, 3, 0, 2, 0, 1, 3]))  # 3 is the space, 0 the blank
    assert line.characters == 3
    assert line.spaces == [(0.3, 0.6)]
    assert line.confidence == pytest.approx(0.9)
    assert lines.line_of_frames(frames([0, 0])).characters == 0


def test_a_line_is_cut_where_it_is_emptiest():
    picture = photograph((10, 10, 50, 30), (60, 10, 120, 30), size=(40, 130))
    box = Box(np.float32([(0, 0), (130, 0), (130, 40), (0, 40)]), 0.9)
    one, two = lines.words_of(picture, box, lines.Line(9, 0.9, [(0.3, 0.6)]))
    assert 50 <= one.corners[1][0] <= 60
    assert one.corners[1][0] == two.corners[0][0]


class Confident:
    """Reads with the confidences given, one a call."""

    def __init__(self, *values, han=False):
        self.values, self.shapes, self.han = list(values), [], han

    def read(self, image):
        self.shapes.append(image.shape[:2])
        return lines.Line(3, self.values.pop(0), [(0.4, 0.6)], self.han)


def test_the_surest_turn_wins():
    picture = photograph(size=(100, 100))
    level = Box(np.float32([(10, 10), (90, 10), (90, 30), (10, 30)]), 0.9)
    assert lines.with_turn(picture, level, Confident(0.95))[0].corners[0].tolist() == [10, 10]
    assert lines.with_turn(picture, level, Confident(0.5, 0.9))[0].corners[0].tolist() == [90, 30]
    assert lines.with_turn(picture, level, Confident(0.5, 0.55))[0].corners[0].tolist() == [10, 10]
    standing = Box(np.float32([(10, 10), (30, 10), (30, 90), (10, 90)]), 0.9)
    reader = Confident(0.3, 0.8, 0.4)
    assert lines.with_turn(picture, standing, reader)[0].corners[0].tolist() == [30, 10]  # read downwards
    assert reader.shapes == [(20, 80), (20, 80), (80, 20)]


def test_columns_of_chinese_text():
    """What stands and runs down; they are not cut at gaps."""
    picture = photograph(size=(100, 100))
    level = Box(np.float32([(10, 10), (90, 10), (90, 30), (10, 30)]), 0.9)
    standing = Box(np.float32([(10, 10), (30, 10), (30, 90), (10, 90)]), 0.9)
    cases = [(level, (0.95,), True, False), (standing, (0.3, 0.95), True, True), (standing, (0.3, 0.95), False, False)]
    cases += [(standing, (0.95,), True, False), (standing, (0.3, 0.3, 0.8), True, True)]  # runs up; stacked
    for box, values, han, column in cases:
        found, line = lines.with_turn(picture, box, Confident(*values, han=han))
        assert found.column == column
        assert len(lines.words_of(picture, found, line)) == (1 if column else 2)


def test_the_script_of_a_line():
    """By most of its characters; spaces and blanks do not count."""
    for classes, han in (([1, 2, 0, 1], False), ([2, 0, 2, 3, 1, 3], True), ([2, 1], False), ([2, 2], True)):
        assert lines.line_of_frames(frames(classes), np.array([False, False, True])).han == han
    assert not lines.line_of_frames(frames([2])).han


@pytest.mark.usefixtures("red_is_text")
def test_the_line_reader_knows_the_scripts_of_its_characters(monkeypatch):
    picture = photograph((10, 10, 60, 40), size=(50, 100))
    assert not lines.LineReader().read(picture).han
    monkeypatch.setattr(RedIsText, "characters", "漢\nb")
    assert lines.LineReader().read(picture).han
    monkeypatch.setattr(RedIsText, "characters", None)  # a file without a dictionary
    assert not lines.LineReader().read(picture).han


def test_chinese_and_japanese_characters():
    assert [bool(lines._HAN.match(c)) for c in "漢かカ々Aé가"] == [True] * 4 + [False] * 3


@pytest.mark.parametrize(
    "options, message",
    [
        (dict(split="letters"), "choose one of words, lines"),
        (dict(min_score=2), "is a probability"),
        (dict(reach=5), "give 320 to 20000"),
        (dict(hight=5), "has no hight"),
    ],
)
def test_options_that_cannot_be(options, message):
    with pytest.raises(InputError, match=message):
        FindOptions.make(options)


def test_without_the_package_it_is_said_what_to_install(monkeypatch):
    monkeypatch.setattr(models.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="pip install"):
        Finder()
    monkeypatch.undo()
    monkeypatch.setattr(models, "model_file", lambda names: "x.onnx")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(InputError, match="onnxruntime"):
        models.OnnxModel(("x.onnx",))


@pytest.mark.skipif(not importlib.util.find_spec("rapidocr"), reason="needs the extra `photos`: rapidocr, onnxruntime")
def test_the_real_networks_find_printed_words_turned_upside_down():
    page = Image.new("RGB", (736, 736), "white")
    ImageDraw.Draw(page).text((80, 300), "STREET MARKET", fill="black", font=ImageFont.truetype(LATIN, 64))
    for turn in (0, 180):
        words = found(np.asarray(page.rotate(turn)))
        assert len(words) == 2
        assert all((corners[0, 0] < corners[1, 0]) == (turn == 0) for corners in words)
