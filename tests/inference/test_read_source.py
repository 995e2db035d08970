"""Every sample of a source once, in order."""

import numpy as np
import pytest
from testing import REAL_WORDS, tiny_config

from jstr.data.images import ImageSpec
from jstr.data.patterns.pattern import Pattern
from jstr.data.patterns.spec import PatternSpec
from jstr.data.sources.open import open_source
from jstr.decoding.beam_search import Rules
from jstr.inference.read_source import Answer, read_source


class Counter:
    """Reads the mean of each image, by two heads, and notes the sizes of the batches."""

    spec, capacity, heads = ImageSpec.make(tiny_config().image), 99, ("vision", "fusion")
    rules = Rules("", None, 0.0, 1)

    def __init__(self):
        self.sizes = []

    def read_batch(self, images):
        self.sizes.append(len(images))
        return [f"{image.mean():.1f}" for image in images], images.mean(axis=(1, 2, 3)) / 255

    def read_heads(self, images):
        texts, values = self.read_batch(images)
        return {"vision": ([f"v{text}" for text in texts], values / 2), "fusion": (texts, values)}


@pytest.mark.parametrize("batch_size, sizes", [(1, [1] * 64), (7, [7] * 10), (64, [64]), (100, [64])])
def test_every_sample_once_in_batches_of_one_size(batch_size, sizes):
    source, reader = open_source(str(REAL_WORDS)), Counter()
    readings = list(read_source(reader, source, batch_size))
    assert reader.sizes == sizes
    assert [(r.index, r.key, r.label) for r in readings] == [
        (i, source[i]["key"], source[i]["label"]) for i in range(64)
    ]
    assert [r.answer.text for r in readings] == [f"{r.image.mean():.1f}" for r in readings]


def test_broken_images_keep_their_place(tmp_path):
    for i, path in enumerate(sorted(REAL_WORDS.glob("*.png"))[:5]):
        (tmp_path / f"{i}.png").write_bytes(b"broken" if i in (1, 4) else path.read_bytes())
    readings = list(read_source(Counter(), open_source(str(tmp_path), labelled=False), 2))
    assert [r.key for r in readings] == [f"{i}.png" for i in range(5)]
    assert (
        [r.answer is None for r in readings] == [False, True, False, False, True] == [r.image is None for r in readings]
    )


def test_heads_are_read_where_asked_for():
    source = open_source(str(REAL_WORDS))
    plain = next(read_source(Counter(), source, 4)).answer
    headed = next(read_source(Counter(), source, 4, heads=True)).answer
    assert not plain.heads and headed[:2] == plain[:2] == headed.heads["fusion"]
    assert headed.heads["vision"] == (f"v{plain.text}", plain.confidence / 2)


class Guided(Counter):
    """The same with a pattern, and the first pixel as confidence."""

    rules = Rules("", None, 0.0, 1, Pattern(PatternSpec.make("[0-9]+"), "0123456789"))

    def read_batch(self, images):
        return ["7"] * len(images), images[:, 0, 0, 0] / 255

    def read_heads(self, images):
        return {name: ([f"{i.mean():.1f}" for i in images], np.ones(len(images))) for name in self.heads}


@pytest.mark.parametrize("turn", ["never", "auto"])
def test_heads_beside_a_pattern_and_turned_crops(monkeypatch, turn):
    """A pattern guides the answer and no head, whose texts are shown beside it."""
    monkeypatch.setattr("jstr.inference.crops.UPSIDE_DOWN", 1.1)
    readings = list(read_source(Guided(), open_source(str(REAL_WORDS)), 4, heads=True, turn=turn))
    for reading in readings:
        image, turned = np.asarray(reading.image, float), bool(reading.answer.turned)
        assert (reading.answer.text, reading.answer.heads["fusion"]) == ("7", (f"{image.mean():.1f}", 1.0))
        assert turned == (reading.answer.confidence != pytest.approx(image[0, 0, 0] / 255))
    assert any(r.answer.turned for r in readings) == (turn == "auto")


def test_another_way_to_read():
    def read(images):
        return (Answer(str(i), 0.0, stacked=True) for i in range(len(images)))

    readings = list(read_source(Counter(), open_source(str(REAL_WORDS)), 64, read=read))
    assert [r.answer.text for r in readings] == [str(i) for i in range(64)]
    assert all(r.answer.stacked for r in readings) and not np.array_equal(readings[0].image, readings[1].image)
