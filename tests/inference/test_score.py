"""Scores of a reader on a source."""

import numpy as np
import pytest
from testing import REAL_WORDS, saved_run, tiny_config

import jstr
from jstr.data.images import ImageSpec
from jstr.data.sources.open import open_source
from jstr.inference.score import check_scorable, comparable, remarks, score
from jstr.text import Charset
from jstr.text.messages import InputError


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

    spec, heads, capacity = ImageSpec.make(tiny_config().image), (), 10**6

    def __init__(self, text, characters="94", **charset):
        self._text, self.charset = text, Charset.make(characters, "cr_ctc", 25, **charset)

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
        "any: 2 words left out, without a label that the protocol can score: 2 (no label), 3 ('!!')",
        "any: 1 broken or missing images not scored: 4",
    ]
    with pytest.raises(InputError, match="none of its 2 samples can be scored by protocol alnum36"):
        score(Fixed("ab"), Words(["!", None]), "any")
    with pytest.raises(InputError, match="protocol='alnum': choose one of alnum36, case, exact"):
        score(Fixed("ab"), Words(["ab"]), "any", "alnum")


@pytest.mark.parametrize(
    "read, label, protocol, charset",
    [
        ("santa", "santa ", "exact", {}),
        ("santa", "\tsanta\u3000", "exact", {}),
        ("\u00e9", "e\u0301", "exact", dict(characters="\u00e9", nfkc=True)),
        ("12", "\uff11\uff12", "case", dict(nfkc=True)),
        ("office", "O\ufb03ce", "exact", dict(nfkc=True, lower=True)),
        ("it's", "It's", "exact", dict(lower=True)),
        ("SANTA", "SANTA", "exact", dict(lower=True)),  # as a pattern writes it
    ],
)
def test_labels_are_normalised_as_in_training(read, label, protocol, charset):
    result = score(Fixed(read, **charset), Words([label]), "any", protocol)
    assert (result.words, result.correct) == (1, 1)


@pytest.mark.parametrize(
    "read, label, charset",
    [("its", "it's", dict(drop_outside=True, characters="36")), ("santa", "Santa", {}), ("ab", "a b", {})],
)
def test_exact_forgives_nothing_else(read, label, charset):
    assert score(Fixed(read, **charset), Words([label]), "any", "exact").correct == 0


def test_letters_that_the_protocol_deletes_are_named():
    """Letters and digits of any script that the reader knows; not punctuation, and not what it cannot read."""
    known = "\u00e9\ud55c\u00e0\u0967\u0e34a1'"
    labels = ["\u00e91", "a\ud55c", "it's1", "\u00fc1", "\u00e9\u00e0", "1\u0967", "a\u0e34", "aa"]
    result = score(Fixed("a", known), Words(labels), "any")
    (line,) = [line for line in remarks("any", result) if "lose letters or spaces" in line]
    assert line.startswith("any: 5 labels lose letters or spaces that this reader knows; --protocol=exact ")
    assert line.endswith(
        ": '\u00e91' is scored as '1', 'a\ud55c' is scored as 'a', '\u00e9\u00e0' is scored as '', ..."
    )
    assert not [line for line in remarks("any", score(Fixed("a", known), Words(labels), "any", "exact"))]
    with pytest.raises(InputError, match="none of its 1 samples .* protocol alnum36: 1 labels lose .*--protocol=exact"):
        score(Fixed("a", known), Words(["\ud55c"]), "any")
    with pytest.raises(InputError, match="none of its 1 samples .* protocol alnum36: 1 labels lose .*--protocol=exact"):
        check_scorable(Fixed("a", known).charset, Words(["\ud55c"]), "any", "alnum36")


def test_spaces_count_where_the_reader_knows_them():
    spaced = Fixed("a b", "ab ")
    assert score(spaced, Words(["a b", "a  b", " a\u00a0b"]), "any", "exact").correct == 3
    assert score(spaced, Words(["ab"]), "any", "exact").correct == 0
    assert "1 labels lose letters or spaces" in remarks("any", score(spaced, Words(["a b", "ab"]), "any"))[0]
    assert not remarks("any", score(Fixed("a b", "ab"), Words(["a b"]), "any")), "as for any other mark"


def test_case_that_the_reader_was_not_taught_is_said():
    result = score(Fixed("santa", lower=True), Words(["Santa", "santa"]), "any", "case")
    assert result.correct == 2
    assert remarks("any", result) == ["any: 1 labels compared in lower case, as this reader was trained: 'Santa'"]
    assert not remarks("any", score(Fixed("santa", lower=True), Words(["Santa", "santa"]), "any"))


def test_images_listed_more_than_once():
    class Repeated(Words):
        def __getitem__(self, i):
            return super().__getitem__(i) | {"key": "abb"[i]}

    result = score(Fixed("x"), Repeated(["x", "y", "z"]), "any")
    assert remarks("any", result) == ["any: 1 images listed with different labels: b ('y' and 'z')"]
    result = score(Fixed("x"), Repeated(["x", "y", "y"]), "any")
    assert remarks("any", result) == ["any: 1 images listed more than once, each scored every time: b"]


def test_labels_of_a_subset():
    """What a subset leaves out is not scored; a set of another name has it."""
    charset = Charset.make("36", "cr_ctc", 25, lower=True)
    labels = ["It's", "AB", "Abc1", None]
    for name, expected in {"IIIT5K": ["its", "ab", "abc1", ""], "IC13_857": ["", "", "abc1", ""]}.items():
        assert [comparable(charset, label, name, "alnum36") for label in labels] == expected
