import pytest
from source_files import (
    WORDS,
    fails,
    image,
    tsv,
    write_folder,
)

from jstr.data.sources.files import FolderSource
from jstr.data.sources.label_files import parse_labels
from jstr.data.sources.open import open_source


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
