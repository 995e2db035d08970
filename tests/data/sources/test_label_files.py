import codecs

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from source_files import (
    WORDS,
    fails,
    image,
    images,
    tsv,
    write_folder,
    write_tar,
)

from jstr.data.sources.files import FolderSource
from jstr.data.sources.label_files import LABEL_FILES, parse_labels
from jstr.data.sources.label_notes import label_notes
from jstr.data.sources.open import open_source
from jstr.text.messages import InputError


@pytest.mark.parametrize(
    "name, data",
    [
        ("labels.tsv", tsv()),
        ("labels.tsv", b"\xef\xbb\xbf" + tsv().replace("\n", "\r\n").encode() + b"\r\n\r\n"),
        ("labels.tsv", "filename\tlabel\n" + tsv()),
        ("gt.txt", tsv()),
        ("gt.txt", '\ufeff0.png, "Coffee"\r\n1.png, "7"\r\n2.png, "a \\"b\\""\r\n3.png, "Größe"\r\n4.png, "x,y"'),
        ("labels.csv", '0.png,Coffee\n1.png,7\n2.png,"a ""b"""\n3.png,Größe\n4.png,"x,y"\n'),
        ("labels.csv", '\ufefffilename,label\r\n0.png,Coffee\n1.png,7\r\n2.png,"a ""b"""\r\n3.png,Größe\n4.png,"x,y"'),
        ("labels.csv", 'id,text,file\n0,Coffee,0.png\n1,7,1.png\n2,"a ""b""",2.png\n3,Größe,3.png\n4,"x,y",4.png\n'),
    ],
)
def test_label_files(tmp_path, name, data):
    source = open_source(write_folder(tmp_path, data, name))
    assert isinstance(source, FolderSource) and source.notes == []
    assert [(s["key"], s["label"], s["image"]) for s in source] == [
        (f"{i}.png", word, image(i)) for i, word in enumerate(WORDS)
    ]


def test_odd_line_ends_stay_in_the_label():
    pairs, notes = parse_labels("a.png\tx\u2028y\nb.png\t\n".encode(), "labels.tsv")
    assert pairs == [("a.png", "x\u2028y"), ("b.png", "")] and not notes


@pytest.mark.parametrize(
    "name, data, expected",
    [
        ("labels.tsv", "0.png\ta\n1.png,b\n", ["labels.tsv line 2", "'1.png,b'", "TAB"]),
        ("labels.tsv", "0.png a\n", ["labels.tsv line 1", "'0.png a'", "TAB"]),
        ("gt.txt", '0.png, "a"\n1.png b\n', ["gt.txt line 2", "'1.png b'", "TAB"]),
        ("labels.csv", "0.png\ta\n", ["labels.csv line 1", "comma"]),
        ("labels.csv", '0.png,"a"b\n', ["labels.csv line 1", "not CSV"]),
        ("labels.tsv", b"0.png\ta\n1.png\t\xff\n", ["labels.tsv line 2", "UTF-8"]),
        ("labels.csv", b"0.png,a\n1.png,\xe4\n", ["labels.csv line 2", "UTF-8"]),
        ("labels.tsv", "\n\n", ["holds no lines"]),
        ("labels.tsv", "x/0.png\ta\nx/1.png\tb\n", ["none of the 2 files", "x/0.png"]),
    ],
)
def test_label_file_errors(tmp_path, name, data, expected):
    fails(*expected, path=write_folder(tmp_path, data, name))


def parsed(text, name="labels.tsv"):
    return parse_labels(text if isinstance(text, bytes) else text.encode(), name)


def refused(text, name="labels.tsv"):
    with pytest.raises(InputError) as error:
        parsed(text, name)
    message = str(error.value)
    assert "\n" not in message and len(message) < 400 and message.startswith(name)
    return message


AB = [("a.png", "x"), ("b.png", "y")]


@pytest.mark.parametrize(
    "name, text",
    [
        ("labels.tsv", "a.png\tx\rb.png\ty\r"),
        ("labels.tsv", "a.png\tx\r\n\r\nb.png\ty"),
        ("labels.tsv", "\ufeffa.png\tx\n\ufeffb.png\ty"),
        ("labels.tsv", "a.png\tx\nb.png\ty".encode("utf-16")),
        ("labels.tsv", codecs.BOM_UTF16_BE + "a.png\tx\nb.png\ty".encode("utf-16-be")),
        ("labels.tsv", "a.png\tx\nb.png\ty".encode("utf-32")),
        ("labels.tsv", "# Image Path\tGround-Truth\na.png\tx\nb.png\ty"),
        ("labels.tsv", "filename\ttext\tconfidence\na.png\tx\t0.5\nb.png\ty\t1"),
        ("labels.csv", "filename,words\na.png,x\nb.png,y\n"),
        ("labels.csv", "filename,words\ra.png,x\rb.png,y\r"),
        ("labels.csv", '"file_name","text"\n"a.png","x"\n"b.png","y"\n'),
        ("labels.csv", 'filename, words\na.png, "x"\n  \nb.png, y\n\t\n'),
        ("metadata.csv", "file_name,text,split\na.png,x,train\nb.png,y,train\n"),
        ("gt.txt", 'a.png, "x"\rb.png, "y"'),
        ("metadata.jsonl", '{"file_name": "a.png", "text": "x"}\n\n{"text": "y", "id": 3, "file_name": "b.png"}\n'),
        ("labels.json", '{"a.png": "x", "b.png": "y"}'),
    ],
)
def test_accepted_forms(name, text):
    assert parsed(text, name) == (AB, [])


def test_a_third_column_is_never_part_of_a_label():
    """As `predict` and predictions.tsv write it."""
    pairs, (note,) = parsed("b.png\t\t0.0000\na.png\tx\t0.9983\n")
    assert pairs == [("b.png", ""), ("a.png", "x")] and "third column (0.0000, ...)" in note
    assert "line 2: 3 columns in 'b.png\\ty\\tz'" in refused("a.png\tx\t0.5\nb.png\ty\tz\n")
    assert "line 2: 2 columns" in refused("a.png\tx\t0.5\nb.png\ty\n")
    assert "line 1: 3 columns" in refused("a.png\tRoom\t101\nb.png\tRoom\t102\n")
    assert "line 2: 3 columns" in refused("a.png\tx\nb.png\ty\t0.5\n")
    assert "line 1: 4 columns" in refused("a.png\tx\t0.5\t7\n")
    assert "line 3: 3 columns" in refused("filename\tlabel\na.png\tx\nb.png\ty\t1\n")


def test_a_label_is_never_cut_at_a_comma():
    hint = "put labels that hold commas in quotes"
    assert hint in refused("filename,words\na.png,music, hall\n", "labels.csv")
    assert "line 2: 3 columns in 'b.png,music,hall'" in refused("a.png,x\nb.png,music, hall\n", "labels.csv")
    assert "labels that hold commas in quotes" in refused("a.png,music, hall\nb.png,x\n", "labels.csv")
    assert "line 1: 3 columns in 'a.png,Room,1'" in refused("a.png,Room, 1\n", "labels.csv")
    assert parsed('a.png,"music, hall"\n', "labels.csv").pairs == [("a.png", "music, hall")]


@pytest.mark.parametrize(
    "name, text, says",
    [
        ("labels.tsv", "a.png\tx\nb.png\ty\0z", "line 2: holds a zero byte"),
        ("labels.tsv", "a.png\tx".encode("utf-16-le"), "line 1: holds a zero byte"),
        ("labels.tsv", codecs.BOM_UTF16_LE + b"a", "line 1: not UTF-8"),
        (
            "labels.tsv",
            "id\tocr\na.png\tx\n",
            "line 1: a header with the columns id, ocr; call them",
        ),
        ("labels.csv", "filename,ocr\na.png,x\n", "line 1: a header with the columns filename, ocr"),
        ("labels.csv", "filename;words\na.png;x\n", "line 1: no comma"),
        ("labels.csv", 'a.png,"x\nb.png,y"\n', "line 1: a line end inside quotes"),
        ("labels.csv", 'a.png,x\nb.png,"y\nc.png,z\n', "not CSV"),
        (
            "metadata.jsonl",
            '{"file_name": "a.png", "text": "x"}\n{"file_name": "b.png"}',
            "line 2: no file name and text",
        ),
        ("metadata.jsonl", '{"file_name": "a.png", "text": 7}', "line 1: no file name and text"),
        ("metadata.jsonl", '{"file_name": "a.png", "text": "x"', "line 1: not JSON"),
        ("labels.json", '{"a.png": {"polygons": []}}', "the label of 'a.png' is not text"),
        ("labels.json", '["a.png"]', "not one JSON object"),
        ("labels.json", "[" * 100_000, "not JSON"),
        ("labels.json", '{"a.png": "\\ud800"}', "not a line of Unicode text"),
        ("labels.json", '{"a.png": "x\\u0000"}', "not a line of Unicode text"),
    ],
)
def test_everything_else_is_one_line_that_says_what_was_expected(name, text, says):
    assert says in refused(text, name)


def test_marks_of_unreadable_words_are_no_labels(tmp_path):
    data = "0.png\t###\n1.png\tx\n2.png\tDon't care\n3.png\t-\n4.png\t#\n"
    source = open_source(write_folder(tmp_path, data))
    assert list(source.labels()) == [None, "x", None, "-", "#"]
    assert source.notes == [f"{tmp_path}/labels.tsv: 2 words are marked unreadable: 0.png, 2.png"]
    assert label_notes({"-": 3}, 12) == ["label '-' on 3 of 12 words: it may stand for none"]
    assert label_notes({"-": 2}, 3) == label_notes({"-": 3}, 400) == []


def test_hugging_face_and_doctr_folders(tmp_path):
    hugging_face = write_folder(tmp_path / "a", '{"file_name": "0.png", "text": "x"}\n', "metadata.jsonl", count=1)
    write_folder(tmp_path / "b" / "images", count=1)
    (tmp_path / "b" / "labels.json").write_text('{"0.png": "x"}')
    archive = write_tar(tmp_path / "c.tar", {"b/labels.json": b'{"0.png": "x"}', **images(1, "b/images/")})
    for path in (hugging_face, tmp_path / "b", archive, f"{hugging_face}/metadata.jsonl"):
        source = open_source(path)
        assert [(s["label"], s["image"]) for s in source] == [("x", image(0))] and source.notes == []


CHARACTERS = "ab.png\t,\"'\\{}[]:;\r\n\0#é\u2028"


@settings(max_examples=300, deadline=None)
@given(
    st.binary(max_size=60) | st.text("ab.png\t,\"'\\{}[]:;\r\n\0#é\u2028", max_size=60), st.sampled_from(LABEL_FILES)
)
def test_any_file_is_read_or_refused_in_one_line(text, name):
    try:
        pairs, notes = parsed(text, name)
    except InputError as error:
        assert "\n" not in str(error) and name in str(error) and len(str(error)) < 400
    else:
        assert all(isinstance(file, str) and isinstance(label, str | None) for file, label in pairs)
        assert not any("\n" in (label or "") or "\0" in (label or "") for _, label in pairs) and len(notes) < 3
