"""Words of a text as a source, and streams of them."""

import gzip
import lzma
from collections import Counter

import numpy as np
import pytest
from testing import language_config

from jstr.data.pipeline import TrainData
from jstr.data.sources.text_corpus import TextWords
from jstr.data.word_lists import count_words
from jstr.text import Charset
from jstr.text.messages import InputError

CHARSET = Charset.make("abcdefghij0123456789", "abinet", 5, lower=True, drop_outside=True)
LETTERS = list("abcdefghij")


def source(tmp_path, text, name="words.txt", **options):
    path = tmp_path / name
    path.write_text(text)
    return TextWords("w", CHARSET, str(path), **options)


def draws(words, count=4000):
    return [words[i]["label"] for i in range(count)]


def test_text_is_counted_word_by_word(tmp_path):
    for name, opener in (("a.txt", open), ("a.txt.gz", gzip.open), ("a.txt.xz", lzma.open)):
        with opener(tmp_path / name, "wt") as file:
            file.write("A bad  dad\nbad,\n\n bad\n")
        assert count_words(tmp_path / name) == {"A": 1, "bad": 2, "dad": 1, "bad,": 1}
    words = TextWords("w", CHARSET, str(tmp_path / "a.txt"))
    assert words.words == ["a", "bad", "dad"]  # "bad," is bad where the charset drops what is outside
    share = Counter(draws(words))["bad"] / 4000
    assert abs(share - 0.6) < 0.03


def test_frequency_list_and_power(tmp_path):
    text = "bad\t2.0\ndad\t1\nface\t-3.5\n"
    shares = Counter(draws(source(tmp_path, text)))
    assert abs(shares["bad"] / 4000 - 100 / 110) < 0.02 and shares["face"] < 5
    even = Counter(draws(source(tmp_path, text, power=0.0)))
    assert all(abs(count / 4000 - 1 / 3) < 0.03 for count in even.values()) and len(even) == 3


def test_draws_depend_on_seed_and_place_alone(tmp_path):
    text = "\n".join(f"{a}{b}" for a in LETTERS for b in LETTERS)
    words = source(tmp_path, text, seed=3)
    order = [5000, 0, 20_000, 5000, 1]
    assert [words[i]["label"] for i in order] == [source(tmp_path, text, seed=3)[i]["label"] for i in order]
    assert draws(words, 50) != draws(source(tmp_path, text, seed=4), 50)
    assert len(set(draws(words, 2000))) == 100


def test_words_that_do_not_fit_are_counted_and_named(tmp_path):
    words = source(tmp_path, "bad\nabcdefghij\n!!\nxyz\n")
    assert words.words == ["bad"]
    notes = "\n".join(words.notes)
    assert "1 of 4 different words used" in notes and "longer than max_length=5: 'abcdefghij'" in notes
    assert "2 empty" in notes
    with pytest.raises(InputError, match="no usable sample"):
        source(tmp_path, "xyz")
    with pytest.raises(InputError, match="line 2: 'often' is not the logarithm"):
        source(tmp_path, "bad\t1\ndad\toften\n")
    with pytest.raises(InputError, match="there is no file .*none.txt"):
        TextWords("w", CHARSET, str(tmp_path / "none.txt"))


def test_a_list_with_counts_is_refused(tmp_path):
    with pytest.raises(InputError, match="line 2: '151' is not the logarithm .*of a count of 1000: 3"):
        source(tmp_path, "a\t7.3\nb\t151\nc\t12\n")


@pytest.mark.parametrize(
    "options, says",
    [
        (dict(power=float("nan")), "w: power=nan cannot be"),
        (dict(power=400), "w: power=400 cannot be"),
        (dict(power=-400), "w: power=-400 cannot be"),
        (dict(seed=-1), "w: seed=-1 size=1000000000: give whole numbers"),
        (dict(size=0), "w: seed=0 size=0: give"),
    ],
)
def test_options_that_cannot_be(tmp_path, options, says):
    with pytest.raises(InputError, match=says):
        source(tmp_path, "a\t7.3\nb\t2.5\n", **options)


def test_stream_of_text(tmp_path):
    made = language_config(tmp_path, noised=dict(spelling=dict(edits=(0.0, 1.0))))
    charset = Charset.make(**made.charset)
    data = TrainData(made, charset, {"text": ("tokens", "noised")})
    batch = next(data.batches(0))
    tokens, noised = batch["arrays"]["text"]["tokens"], batch["arrays"]["text"]["noised"]
    words = [charset.decode(row[1:]) for row in tokens.tolist()]
    assert set(words) <= {"bad", "cafe", "bee", "hide", "fade", "deaf", "a"}
    assert [key.split("/")[1] for key in batch["keys"]] == words
    changed = (tokens != noised).any(axis=1)
    assert changed.any() and not any(c for c, w in zip(changed, words, strict=True) if w == "a")
    again = next(TrainData(made, charset, {"text": ("tokens", "noised")}).batches(0))
    np.testing.assert_array_equal(again["arrays"]["text"]["noised"], noised)
    clean = next(TrainData(language_config(tmp_path), charset, {"text": ("tokens", "noised")}).batches(0))["arrays"][
        "text"
    ]
    np.testing.assert_array_equal(clean["tokens"], clean["noised"])
    assert any("7 of 7 different words used" in note for note in data.notes)


def test_share_of_the_words(tmp_path):
    first, second = language_config(tmp_path), language_config(tmp_path)
    first.streams.text.sources["list"].share = 0.5
    second.streams.text.sources["list"].update(share=0.5, share_start=0.5)
    charset = Charset.make(**first.charset)
    seen = [
        set(next(TrainData(c, charset, {"text": ("tokens", "noised")}).batches(0))["keys"]) for c in (first, second)
    ]
    assert seen[0] and seen[1] and not seen[0] & seen[1]


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda row: row.views.update(image={}), "a stream of text has only noised"),
        (lambda row: row.views.update(noised=dict(blur={})), "unknown text operation 'blur'"),
        (lambda row: row.views.update(noised=dict(one_edit=dict(amount=1))), "one_edit has no amount"),
        (lambda row: row.sources["list"].words.update(speed=1), "words has no speed"),
    ],
)
def test_stream_refuses(tmp_path, change, message):
    made = language_config(tmp_path)
    with made.unlocked():
        change(made.streams.text)
    with pytest.raises(InputError, match=message):
        TrainData(made, Charset.make(**made.charset), {"text": ("tokens", "noised")})


def test_stream_of_pictures_refuses_text(tmp_path):
    made = language_config(tmp_path)
    with pytest.raises(InputError, match="text without images"):
        TrainData(made, Charset.make(**made.charset), {"text": ("image", "tokens")})
