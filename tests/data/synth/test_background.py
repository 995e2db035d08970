"""What lies behind rendered words."""

import pickle

import cv2
import numpy as np
import pytest
from synth_testing import SHARES
from testing import write_folder

from jstr.core import InputError
from jstr.data.synth import background
from jstr.data.synth.background import Photographs
from jstr.data.synth.source import RenderedWords
from jstr.data.synth.style import Style
from jstr.text import NAMED


def test_photographs_behind_words(tmp_path):
    write_folder(tmp_path, ["a"] * 3, shape=(80, 100, 3))
    style = Style(**dict.fromkeys(SHARES, 0.0) | dict(photographed=1.0), contrast=(200, 200))
    source = RenderedWords(2, 20, NAMED["36"], style=style, backgrounds=tmp_path)
    copy = pickle.loads(pickle.dumps(source))
    for i in range(20):
        image = source[i]["image"]
        assert np.array_equal(image, copy[i]["image"])
        assert len(np.unique(image.reshape(-1, 3), axis=0)) > 100  # not a flat background


def test_photographs_that_cannot_be_used_are_named(tmp_path, capsys):
    write_folder(tmp_path, ["a"] * 2, shape=(80, 100, 3))
    (tmp_path / "none.png").write_bytes(b"no image")
    (tmp_path / "._hidden.png").write_bytes(b"macOS leaves such files")
    cv2.imwrite(str(tmp_path / "thin.png"), np.zeros((1, 9000, 3), np.uint8))
    photographs = Photographs(tmp_path)
    assert photographs.notes == ["backgrounds: 1 of 4 photographs cannot be used: none.png"]
    damaged = (tmp_path / "0000.png").read_bytes()
    (tmp_path / "0000.png").write_bytes(damaged[:60])  # after the folder was opened, as a disk may fail
    assert [photographs.crop(np.random.default_rng(i), i, (32, 90)).shape for i in range(20)] == [(3, 32, 90)] * 20
    assert capsys.readouterr().err.count("0000.png is damaged; another photograph is used") == 1
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no photograph"):
        Photographs(tmp_path / "empty")
    (tmp_path / "empty" / "a.jpg").write_bytes(b"no image")
    with pytest.raises(InputError, match="1 of 1 photographs cannot be used: a.jpg"):
        Photographs(tmp_path / "empty")


def test_large_photographs_are_decoded_small(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    image = cv2.resize(rng.integers(0, 256, (9, 8, 3), np.uint8), (2000, 1200), interpolation=cv2.INTER_CUBIC)
    cv2.imwrite(str(tmp_path / "a.jpg"), image)
    whole = background._decode(tmp_path / "a.jpg")
    background._decode.cache_clear()
    monkeypatch.setattr(background, "LARGE", 10**6)
    small = background._decode(tmp_path / "a.jpg")
    assert small.shape[1] in (500, 512) and whole.shape == (307, 512, 3)
    resized = cv2.resize(small, (512, 307), interpolation=cv2.INTER_LINEAR)
    assert np.abs(resized.astype(int) - whole).mean() < 5, "same colours"
    monkeypatch.setattr(background, "MOST_PIXELS", 10**6)
    with pytest.raises(InputError, match="cannot be used: a.jpg"):
        Photographs(tmp_path)
    background._decode.cache_clear()
