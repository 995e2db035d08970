"""Paths of images: of files, and of what a label file names."""

import os

import pytest
from source_files import image

from jstr.inference.image_files import find_images
from jstr.inference.photographs import open_photographs

FILES = {
    "labels.json": ("images/a.png", '{"a.png": "x"}'),
    "labels.tsv": ("images/a.png", "{absolute}\tx\n"),
    "gt.txt": ("x/a.png", "x\\a.png\tx\n"),
    "labels.csv": ("cafe\u0301.png", "filename,words\ncaf\u00e9.png,x\n"),
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("whole", [True, False])
def test_the_file_that_a_label_file_means(tmp_path, monkeypatch, name, whole):
    monkeypatch.chdir(tmp_path)
    place, text = FILES[name]
    file = tmp_path / "set" / place
    file.parent.mkdir(parents=True)
    file.write_bytes(image(0))
    (tmp_path / "set" / name).write_text(text.replace("{absolute}", str(file)))
    path = "set" if whole else f"set/{name}"
    (named,) = find_images([path])
    (key,) = named.source.keys()
    assert os.path.samefile(named.path(0, key), file)
    (photograph,), _ = open_photographs([path])
    assert photograph.read() == image(0)
