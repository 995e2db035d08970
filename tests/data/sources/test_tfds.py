import os
import sys
from pathlib import Path

import pytest
from source_files import (
    WORDS,
    TinyClasses,
    TinyImages,
    TinyWords,
    fails,
    image,
    write_tfds,
)

from jstr.data.sources.open import open_source
from jstr.data.sources.tfds import TfdsSource
from jstr.text.messages import InputError


def test_tfds_splits(tmp_path):
    path = write_tfds(TinyWords, tmp_path)
    fails("train, test", "#", path=path)
    fails("no split 'val'", "train, test", path=path + "#val")
    fails("labels=", path=path + "#train", labels="gt.txt")
    test = open_source(path + "#test")
    assert isinstance(test, TfdsSource) and list(test.labels()) == ["zz"] and test.split == "test"
    assert len(open_source(os.path.dirname(path) + "#train[:40%]")) == 2  # the folder above the version will do
    unlabelled = open_source(path + "#test", labelled=False)
    assert unlabelled[0] == {"image": image(0), "label": None, "key": "test/0"} and list(unlabelled.labels()) == [None]
    assert "tensorflow" not in sys.modules


def test_tfds_features(tmp_path):
    path = write_tfds(TinyImages, tmp_path)
    fails("no feature label or text", "unlabelled", path=path)
    assert len(open_source(path, labelled=False)) == len(WORDS)
    classes = open_source(write_tfds(TinyClasses, tmp_path))
    assert sorted(classes.labels()) == ["no", "yes"] and classes[0]["label"] in ("no", "yes")


def test_tfds_errors(tmp_path):
    fails("not_a_data_set", "cannot open", path="tfds:not_a_data_set")
    (tmp_path / "dataset_info.json").write_text("{")
    fails("cannot open", path=tmp_path)
    path = write_tfds(TinyImages, tmp_path / "cut")
    record = next(Path(path).glob("*array_record*"))
    whole = record.read_bytes()
    for size in (0, 100, len(whole) // 2, len(whole) - 1):
        record.write_bytes(whole[:size])
        with pytest.raises(InputError, match="cannot be read"):
            open_source(path, labelled=False)[0]
    record.unlink()
    with pytest.raises(InputError, match="cannot be read"):
        open_source(path, labelled=False)[0]
