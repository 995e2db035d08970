import os
import string

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jstr.text import LAYOUTS, Charset, literal, read_characters
from jstr.text.label_report import LabelReport
from jstr.text.messages import InputError, escape, first_line, unescape


def test_named_charsets_are_the_fields():
    assert read_characters("36") == "0123456789abcdefghijklmnopqrstuvwxyz"
    assert read_characters("62") == string.digits + string.ascii_lowercase + string.ascii_uppercase
    assert read_characters("94") == string.digits + string.ascii_letters + "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"
    assert read_characters("한국어") == "한국어"
    assert read_characters("ascii") == read_characters("94") and set("94ßőŁ€") < set(read_characters("latin"))


def test_the_space_is_a_character_of_some_charsets(tmp_path):
    assert read_characters("36+space") == read_characters("36") + " "
    (tmp_path / "a").write_text("ab \n")
    assert read_characters(f"file:{tmp_path / 'a'}+space") == "ab "
    spaced, plain = (Charset.make(characters, "dtrb_ctc", 25) for characters in ("36+space", "36"))
    assert spaced.fold("\u3000a \t b\n") == "a b" and plain.fold(" a  b ") == "a  b"
    assert spaced.decode([37, 11, 37, 37, 12, 37]) == "a b"
    np.testing.assert_array_equal(spaced.encode("a b")[:4], [11, 37, 12, 0])
    dropping = Charset.make("ab ", "dtrb_ctc", 25, drop_outside=True)
    assert dropping.normalise("a - b -") == "a b"


def test_characters_that_look_like_a_name():
    for characters in ("latin", "36+space"):
        assert read_characters(literal(characters)) == characters


def test_charset_from_a_file(tmp_path):
    path = tmp_path / "chars.txt"
    path.write_bytes("\ufeffab\r\nשל\n".encode())
    assert read_characters(f"file:{path}") == "abשל"
    with pytest.raises(InputError, match="no.txt cannot be read"):
        read_characters(f"file:{tmp_path}/no.txt")


@pytest.mark.parametrize("spec, message", [("aba", "'a' more than once"), ("", "empty")])
def test_bad_characters(spec, message):
    with pytest.raises(InputError, match=message):
        read_characters(spec)


def test_files_that_never_end_are_no_charsets(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in ("/dev/zero", tmp_path / "pipe", tmp_path):
        with pytest.raises(InputError, match="no file of characters"):
            read_characters(f"file:{path}")


@pytest.mark.parametrize("length", [0, "25", None])
def test_bad_lengths(length):
    with pytest.raises(InputError, match="config.charset.max_length"):
        Charset.make("36", "cr_ctc", length)


def test_unknown_layout():
    with pytest.raises(InputError, match="cr_attention, cr_ctc"):
        Charset.make("36", "crnn", 25)


@pytest.mark.parametrize("characters", [string.digits + string.ascii_uppercase, "abcX", "ΑΒ", "İi"])
def test_capitals_that_no_label_would_have(characters):
    with pytest.raises(InputError, match="config.charset.lower=True makes labels lower-case.*only in upper case"):
        Charset.make(characters, "cr_ctc", 25, lower=True)
    Charset.make(characters, "cr_ctc", 25, lower=False)


@pytest.mark.parametrize("characters", ["36", "62", "94", "0123456789", "korean", "αβΑ", "ß한"])
def test_charsets_that_go_with_lower(characters):
    Charset.make(characters, "cr_ctc", 25, lower=True)


# Index layout and class counts of the four published label converters.
@pytest.mark.parametrize(
    "layout, characters, classes, tokens",
    [
        ("dtrb_attention", "36", 38, [0, 12, 3, 1, 0, 0]),
        ("dtrb_ctc", "36", 37, [11, 2, 0, 0]),
        ("cr_attention", "94", 99, [2, 15, 6, 3, 0, 0]),
        ("cr_ctc", "94", 98, [14, 5, 1, 1]),
    ],
)
def test_token_layouts(layout, characters, classes, tokens):
    charset = Charset.make(characters, layout, 4)
    assert charset.num_classes == classes
    assert charset.encode("a1").tolist() == tokens
    assert charset.encode("a1").dtype == np.int32
    assert charset.decode(tokens) == "a1"


@given(st.sampled_from(sorted(LAYOUTS)), st.text(alphabet=read_characters("94") + "é한ש\u0301", max_size=25))
def test_decode_inverts_encode(layout, text):
    charset = Charset.make(read_characters("94") + "é한ש\u0301", layout, 25)
    assert charset.decode(charset.encode(text)) == text


def test_decode_without_end_token_keeps_the_whole_string():
    assert Charset.make("36", "dtrb_attention", 4).decode([12, 13, 14]) == "abc"


def test_specials_never_become_text():
    assert Charset.make("36", "cr_attention", 4).decode([0, 1, 2, 4, 15, 3, 16]) == "a"


def test_normalisation_is_off_unless_asked():
    assert Charset.make("36", "cr_ctc", 9).normalise(" Aﬁ- ") == "Aﬁ-"
    asked = Charset.make("36", "cr_ctc", 9, lower=True, nfkc=True, drop_outside=True)
    assert asked.normalise(" Aﬁ- ") == "afi"


def test_report_counts_every_reason():
    charset = Charset.make("36", "cr_ctc", 6, lower=True)
    report = LabelReport(charset, frames=6)
    labels = ["Word", "sixsix", "it's", "", None, "toolong", "aaaa", "é!"]
    assert [report.usable(label) for label in labels] == [True] * 2 + [False] * 6
    assert dict(report.skipped) == {
        "outside the charset": 2,
        "empty": 1,
        "no label": 1,
        "longer than max_length=6": 1,
        "longer than the 6 frames of the model": 1,  # aaaa needs three blanks between its four characters
    }
    text = "\n".join(report.lines("set"))
    assert "set: 2 of 8 labels used, 1 changed by normalisation" in text
    assert "  skipped 1 no label\n" in text and "  skipped 1 longer than max_length=6: 'toolong'" in text
    assert "'toolong'" in text and '"\'" (1)' in text and "'é' (1)" in text


def test_each_label_that_is_left_out_is_shown_once():
    lines = LabelReport.of(Charset.make("36", "cr_ctc", 6, lower=True), ["é"] * 9 + list("àèìò")).lines("set")
    assert lines[1] == "  skipped 13 outside the charset: 'é', 'à', 'è', 'ì', 'ò'"


def test_no_usable_label_names_rule_and_characters():
    report = LabelReport(Charset.make("36", "cr_ctc", 25))
    for label in ("HE", "LO"):
        report.usable(label)
    with pytest.raises(InputError, match="2 outside the charset.*'HELO'"):
        report.require_some("train")


@given(st.text(alphabet=st.characters() | st.sampled_from("\\tnrxu0189"), max_size=12))
def test_an_escaped_field_is_one_field_of_one_line(text):
    line = escape(text)
    assert unescape(line) == text
    assert line.encode().decode() == line and len(line.splitlines()) <= 1 and "\t" not in line


def test_plain_text_is_not_escaped():
    for text in ("a b", "caf\u00e9", "\ud55c\uad6d\uc5b4", "a/b.png"):
        assert escape(text) == text
    assert escape("caf\udce9") == r"caf\udce9" and unescape(r"C:\q") == r"C:\q"


def test_labels_are_compared_without_deletions():
    charset = Charset.make("36", "cr_ctc", 25, lower=True, nfkc=True, drop_outside=True)
    assert charset.fold(" It\u2019s\uff11 ") == "it\u2019s1" and charset.normalise(" It\u2019s\uff11 ") == "its1"


def test_first_line_of_an_exception():
    assert first_line(ValueError("\n one\ntwo")) == "one" and len(first_line(OSError("x" * 999))) == 200
    assert first_line(KeyError()) == "KeyError"


def test_labels_are_written_as_the_charset_can():
    composed, apart = "café", "cafe\u0301"
    for characters, label in (("cafeé", composed), ("cafe\u0301", apart), ("literal:cafeé\u0301", None)):
        charset = Charset.make(characters, "cr_ctc", 9)
        for form in (composed, apart):
            assert charset.normalise(form) == charset.fold(form) == (label or form)
    assert {Charset.make("36", "cr_ctc", 9).fold(form) for form in (composed, apart)} == {composed}
