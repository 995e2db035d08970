"""Scores of a reader on a source."""

import numpy as np
import pytest
from testing import REAL_WORDS, saved_run, tiny_config

import jstr
from jstr.core import InputError
from jstr.data.images import ImageSpec
from jstr.data.sources.open import open_source
from jstr.inference.score import remarks, score


class Words:
    """A source of (label, image) in memory."""

    path, notes = "words", ()

    def __init__(self, labels):
        self._labels = labels

    def __len__(self):
        return len(self._labels)

    def __getitem__(self, i):
        label = self._labels[i]
        image = None if label == "BROKEN" else np.full((20, 60, 3), i, np.uint8)
        return {"image": image, "label": label, "key": str(i)}

    def labels(self):
        return iter(self._labels)


class Fixed:
    """Reads the same text in every image."""

    spec, heads = ImageSpec.make(tiny_config().image), ()

    def __init__(self, text):
        self._text = text

    def read_batch(self, images):
        return [self._text] * len(images), np.full(len(images), 0.5, np.float32)


def test_counts_do_not_depend_on_the_batch(tmp_path):
    reader, source = jstr.load(saved_run(tmp_path / "run")), open_source(str(REAL_WORDS))
    results = [score(reader, source, "real", batch_size=size) for size in (1, 7, 64)]
    assert {r.words for r in results} == {64}
    assert len({(r.correct, r.errors, round(r.confidence_sum, 3)) for r in results}) == 1


def test_what_is_not_scored_is_counted():
    result = score(Fixed("ab"), Words(["ab", "AB!", None, "!!", "BROKEN", "abc"]), "any")
    assert (result.words, result.correct, result.left_out, result.broken) == (3, 2, 2, ("4",))
    assert remarks("any", result) == [
        "any: 2 words left out, without a label that the protocol can score",
        "any: 1 broken or missing images not scored: 4",
    ]
    with pytest.raises(InputError, match="none of its 2 samples can be scored by protocol alnum36"):
        score(Fixed("ab"), Words(["!", None]), "any")
    with pytest.raises(InputError, match="protocol='alnum': choose one of alnum36, case, exact"):
        score(Fixed("ab"), Words(["ab"]), "any", "alnum")
