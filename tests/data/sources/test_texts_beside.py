import pytest
from source_files import WORDS, fails, image, images, tsv, write_folder, write_tar

from jstr.data.analysis.set_summary import open_set
from jstr.data.sources.open import open_source
from jstr.data.sources.texts_beside import texts_beside


def write_texts(folder, words, end=".gt.txt"):
    for i, word in enumerate(words):
        (folder / f"{i}{end}").write_bytes(word if isinstance(word, bytes) else word.encode())


@pytest.mark.parametrize("end", [".gt.txt", ".txt"])
def test_a_text_beside_each_image_of_a_folder_is_its_label(tmp_path, end):
    write_folder(tmp_path / "b")
    write_texts(tmp_path / "b", [f"\ufeff{word}\r\n\n" for word in WORDS], end)
    source = open_source(tmp_path)
    assert list(source.labels()) == WORDS and not source.notes
    assert source[2] == {"image": image(2), "label": WORDS[2], "key": "b/2.png"}


def test_a_text_beside_each_image_of_a_tar_is_its_label(tmp_path):
    texts = {f"set/{i}.txt": word.encode() for i, word in enumerate(WORDS)}
    path = write_tar(tmp_path / "a.tar", {**images(prefix="set/"), **texts})
    source = open_source(path)
    assert [(s["key"], s["label"], s["image"]) for s in source] == [
        (f"set/{i}.png", word, image(i)) for i, word in enumerate(WORDS)
    ]
    fails(
        f"{path}:set/1.txt: ",
        "1 of the 5",
        path=write_tar(path, {**images(prefix="set/"), **texts, "set/1.txt": b"a\nb"}),
    )


def test_which_text_belongs_to_an_image():
    pages = ["a.png", "b.bin.png", "b.nrm.png", "c.tif", "d/e.f.jpg", "g.png"]
    texts = ["a.txt", "a.gt.txt", "b.gt.txt", "c.gt.txt", "c.bin.gt.txt", "d/e.f.txt", "d/e.txt", "h/g.txt"]
    assert texts_beside(pages, pages + texts) == {
        "a.png": "a.gt.txt",
        "b.bin.png": "b.gt.txt",
        "b.nrm.png": "b.gt.txt",
        "c.tif": "c.gt.txt",
        "d/e.f.jpg": "d/e.f.txt",
    }


def test_what_has_no_other_is_said(tmp_path):
    write_folder(tmp_path)
    write_texts(tmp_path, ["", "###", "c"])
    (tmp_path / "README.txt").write_text("a\nb\n")
    source = open_source(tmp_path)
    assert list(source.labels()) == ["", None, "c"]
    unreadable, images_alone, texts_alone = source.notes
    assert "1 words are marked unreadable: 1.png" in unreadable
    assert "2 images have no text file" in images_alone and "3.png, 4.png" in images_alone
    assert "1 text files have no image" in texts_alone and "README.txt" in texts_alone


def test_a_label_file_comes_first_and_unlabelled_reads_none(tmp_path):
    write_folder(tmp_path)
    write_texts(tmp_path, WORDS)
    unlabelled = open_source(tmp_path, labelled=False)
    assert list(unlabelled.labels()) == [None] * 5 and "5 text files beside images" in unlabelled.notes[0]
    (tmp_path / "labels.tsv").write_text(tsv(["x"]))
    source = open_source(tmp_path)
    assert list(source.labels()) == ["x"] and "5 text files beside images are not read" in source.notes[0]


def test_texts_that_are_no_labels(tmp_path):
    write_folder(tmp_path)
    write_texts(tmp_path, ["word", "two\nlines", *WORDS[2:]])
    fails("1.gt.txt: 1 of the 5 text files", "one line", path=tmp_path)
    write_texts(tmp_path, ["0 0.5 0.5 0.25 0.125", "a\nb", "10,20,30,20,30,40,10,40,word", *WORDS[3:]])
    fails("3 of the 5", "a box", "unlabelled", path=tmp_path)
    assert open_set(str(tmp_path), None).source.labelled is False  # inspect shows the images
    write_texts(tmp_path, [b"caf\xe9", *WORDS[1:]])
    fails("0.gt.txt line 1: not UTF-8", path=tmp_path)


@pytest.mark.parametrize("words", [["06 12 34 56 78", "01 23 45 67 89", "hello"], ["1, 2, 3, 4, 5", "a", "b"]])
def test_numbers_are_labels(tmp_path, words):
    write_folder(tmp_path)
    write_texts(tmp_path, words)
    assert list(open_source(tmp_path).labels()) == words
