"""Details of answers, and crops that are wide, tall or upside down."""

import jax
import numpy as np
import pytest
from testing import quick_jit, saved_run, tiny_config

import jstr
from jstr.data.images import ImageSpec
from jstr.decoding.beam_search import Rules
from jstr.decoding.ranking import Found
from jstr.inference.crops import answers_of, capacity, is_unusual
from jstr.inference.details import Character, Details
from jstr.inference.reader import Reader
from jstr.text import Charset
from jstr.text.messages import InputError

RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    return jstr.load(saved_run(tmp_path_factory.mktemp("run")))


def test_details_agree_with_what_is_read(reader):
    images = [RNG.integers(0, 255, (32, width), np.uint8) for width in (64, 50, 900)]
    for options in (dict(), dict(allow="abc"), dict(pattern="[A-Z]{2}[0-9]+")):
        texts, confidences = reader.read(images, **options)
        for text, value, found in zip(texts, confidences, reader.read(images, details=True, **options), strict=True):
            assert (found.text, found.confidence) == (text, pytest.approx(value, rel=1e-5))
            assert "".join(c.character for c in found.characters) == text
            assert sum(p for _, p in found.alternatives) <= 1 + 1e-6
            edges = [x for c in found.characters for x in (c.left, c.right)]
            assert edges == sorted(edges) and all(0 <= x <= 1 for x in edges)
            if options and found.alternatives:
                assert found.alternatives[0] == (text, pytest.approx(found.confidence, rel=1e-4))
                assert all(c.probability >= found.confidence - 1e-6 for c in found.characters)


def test_details_of_an_attention_decoder():
    config = tiny_config()
    config.charset.layout, config.model.prediction = "dtrb_attention", "attention"
    reader = Reader(config.to_dict())
    images = RNG.integers(0, 255, (2, *reader.spec.size, 1), np.uint8)
    reader.variables = quick_jit(lambda: reader.model.init(jax.random.PRNGKey(3), images, train=False))()
    found = reader.read(list(images), details=True, pattern="[a-z]{2}")
    assert all(len(one.characters) == 2 and len(one.text) == 2 for one in found)


@pytest.mark.parametrize("words", ["none", "list"])
def test_spaces_that_no_label_has(tmp_path, words):
    """Random weights read them at the ends and doubled, in whole crops and in parts."""
    (tmp_path / "list").write_text("ab\nba\n")
    config = tiny_config()
    config.charset.characters = "literal:ab "
    config.language_model.update(words=words if words == "none" else str(tmp_path / words), weight=0.01)
    reader = Reader(config.to_dict())
    start = np.zeros((1, *reader.spec.size, 1), np.uint8)
    reader.variables = quick_jit(lambda: reader.model.init(jax.random.PRNGKey(3), start, train=False))()
    images = [np.random.default_rng(i).integers(0, 256, (32, w), np.uint8) for i in range(6) for w in (64, 900)]
    texts, _ = reader.read(images)
    for text, found in zip(texts, reader.read(images, details=True), strict=True):
        assert "".join(c.character for c in found.characters) == found.text == text == " ".join(text.split())
        assert len({other for other, _ in found.alternatives}) == len(found.alternatives)


def test_padding_is_no_part_of_a_crop():
    details = Details("ab", 1.0, (Character("a", 1.0, 0.0, 0.2), Character("b", 1.0, 0.2, 0.5)))
    assert [c[2:] for c in details.within(0.4).characters] == [(0.0, 0.5), (0.5, 1.0)]
    assert [c[2:] for c in details.within(0.1).characters] == [(0.0, 1.0), (1.0, 1.0)], "what is read in the padding"


class Turnable:
    """Reads the mean of the left upper quarter as its confidence: more if white stands there."""

    capacity = 99

    def __init__(self, reader):
        self.spec = reader.spec

    def read_batch(self, images):
        h, w = images.shape[1:3]
        return ["w"] * len(images), images[:, : h // 2, : w // 2].mean(axis=(1, 2, 3)) / 255

    read_checked = read_batch


def test_turned_crops(reader):
    turnable, (h, w) = Turnable(reader), reader.spec.size
    upright = np.zeros((h, w, 1), np.uint8)
    upright[: h // 2, : w // 2] = 255
    crops = [upright, np.rot90(upright, 1), np.rot90(upright, 2), np.rot90(upright, 3)]
    images = [reader.spec.fit(np.ascontiguousarray(crop)) for crop in crops]
    assert [a.turned for a in answers_of(turnable, images, crops, 4)] == [0] * 4
    found = answers_of(turnable, images, crops, 4, turn="auto")
    assert [a.turned for a in found] == [0, 3, 2, 1] and min(a.confidence for a in found) > 0.9
    upright[h // 2 :, w // 2 :] = 150  # upside down it is read, too, but less surely
    crop = np.ascontiguousarray(np.rot90(upright, 3))
    (answer,) = answers_of(turnable, [reader.spec.fit(crop)], [crop], 4, turn="auto")
    assert answer.turned == 1 and answer.confidence == 1
    with pytest.raises(InputError, match="turn='left'"):
        reader.read([upright], turn="left")


class Located(Turnable):
    """The same, whose details are the columns that are white; images keep their ratio."""

    charset = Charset.make("36", "cr_ctc", 25)

    def __init__(self):
        self.spec = ImageSpec((32, 128), 1, keep_ratio=True, pad="grey")

    def read_batch(self, images):
        return ["w"] * len(images), (images[:, :16, :14] > 200).mean(axis=(1, 2, 3))

    read_checked = read_batch

    @staticmethod
    def details(reader, images, texts, values):
        columns = [np.flatnonzero((image[:16] > 200).any(axis=(0, 2))) for image in images]
        places = [(c[0] / 128, (c[-1] + 1) / 128) if len(c) else (0.0, 0.0) for c in columns]
        return [Details("w", 1.0, (Character("w", 1.0, *place),)) for place in places]


@pytest.mark.parametrize("quarters", [0, 1, 2, 3])
def test_places_are_those_in_the_turned_crop(monkeypatch, quarters):
    monkeypatch.setattr("jstr.inference.crops.details_of", Located.details)
    upright, reader = np.zeros((32, 64, 1), np.uint8), Located()
    upright[:16, :16] = 255
    crop = np.ascontiguousarray(np.rot90(upright, quarters))
    (answer,) = answers_of(reader, [reader.spec.fit(crop)], [crop], 1, turn="auto", details=True)
    assert answer.turned == (4 - quarters) % 4
    assert answer.details.characters[0][2:] == pytest.approx((0, 0.25), abs=0.02)


def test_long_crops_are_read_in_parts_once_turned(monkeypatch):
    monkeypatch.setattr("jstr.inference.crops.read_long", lambda reader, image, spec: Found([("long", 0.9)]))
    reader, crop = Located(), np.zeros((640, 32, 1), np.uint8)
    reader.capacity, reader.rules = 11, Rules("", None, 0.0, 1)
    (answer,) = answers_of(reader, [reader.spec.fit(crop)], [crop], 1, turn="auto")
    assert (answer.text, answer.in_parts, answer.turned) == ("long", True, 1)


@pytest.mark.parametrize(
    "width, whole, part, in_parts",
    [
        (160, 0.4, 0.9, True),
        (160, 0.6, 0.9, False),  # wide letters rather than many
        (160, 0.4, 0.3, False),
        (320, 0.9, 0.1, True),  # more than twice as many characters as it can hold
        (120, 0.4, 0.9, False),
        (60, 0.4, 0.9, False),  # as wide as it, where it can hold 2: labels may be short
    ],
)
def test_doubtful_wide_crops_are_read_in_parts(monkeypatch, width, whole, part, in_parts):
    """For 14, 28 and 10 narrow characters, by a reader of 11; and for 5, by one of 2."""
    monkeypatch.setattr("jstr.inference.crops.read_long", lambda reader, image, spec: Found([("long", part)]))
    reader, crop = Located(), np.zeros((32, width, 1), np.uint8)
    reader.capacity, reader.rules = 2 if width == 60 else 11, Rules("", None, 0.0, 1)
    reader.read_checked = lambda images: (["w"], [whole])
    (answer,) = answers_of(reader, [reader.spec.fit(crop)], [crop], 1)
    assert (answer.in_parts, answer.confidence) == (in_parts, part if in_parts else whole)


def test_how_many_characters_a_reader_can_hold():
    """5.5 pixels each, two frames each, and with a single width those that labels may have."""
    charset = Charset.make("36", "cr_ctc", 15)
    single, several = ImageSpec((32, 100), 1, True), ImageSpec((32, 100), 1, True, widths=(200, 300))
    assert [capacity(single, charset, frames) for frames in (None, 24, 50)] == [15, 12, 15]
    assert [capacity(several, charset, frames) for frames in (None, 24, 50)] == [54, 36, 54]


def test_crops_that_are_kept():
    """Those that may be turned, and those that are wider than the widest image."""
    shapes = [(30, 20), (29, 20), (32, 100), (32, 101), (16, 51)]
    found = [is_unusual(np.zeros((*shape, 1), np.uint8), ImageSpec((32, 100), 1)) for shape in shapes]
    assert found == [True, False, False, True, True]
    assert not is_unusual(np.zeros((32, 200, 1), np.uint8), ImageSpec((32, 100), 1, True, widths=(200,)))


class Tall:
    """Reads a crop that fills its image, as tall ones do not, as `turned`, and others as `upright`."""

    capacity = 99

    def __init__(self, reader, upright, turned):
        self.spec, self.texts = reader.spec, (upright, turned)

    def read_batch(self, images):
        is_turned = images[:, :, -1].min(axis=(1, 2)) > 0
        return [self.texts[i] for i in is_turned.astype(int)], np.where(is_turned, 0.6, 0.5)

    read_checked = read_batch


@pytest.mark.parametrize(
    "upright, turned, counts",
    [("i", "word", True), ("", "ab", False), ("in", "wor", True), ("i", "wo", False), ("ink", "words", False)],
)
def test_a_letter_or_two_are_no_evidence_against_a_word(reader, upright, turned, counts):
    """0.6 against 0.5: enough for more characters than a tall crop of a word has room for, and for no others."""
    crop = np.full((reader.spec.size[1] - 1, reader.spec.size[0], 1), 255, np.uint8)
    image = np.zeros((*reader.spec.size, 1), np.uint8)
    (answer,) = answers_of(Tall(reader, upright, turned), [image], [crop], 1, turn="auto")
    assert answer.text == (turned if counts else upright) and bool(answer.turned) == counts
