"""What lies behind rendered words."""

import pickle

import numpy as np
import pytest
from synth_testing import SHARES
from testing import write_folder

from jstr.core import InputError
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
    (tmp_path / "bad.png").write_bytes(b"no picture")
    broken = RenderedWords(3, 60, NAMED["36"], style=style, backgrounds=tmp_path)
    with pytest.raises(InputError, match="bad.png is not an image"):
        [broken[i] for i in range(60)]
