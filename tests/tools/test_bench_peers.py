"""The comparison with other readers: the same words and protocol for each, and a line where there is none."""

import importlib.util
import json

import bench_peers
import pytest
from testing import REAL_WORDS

from jstr.data.sources.open import open_source
from jstr.text.messages import InputError


def truth(shout):
    """A reader that knows the labels; where `shout`, in capitals with a full stop, which the protocol drops."""
    source = open_source(str(REAL_WORDS))
    by_image = {source[i]["image"]: source[i]["label"] for i in range(len(source))}
    return lambda encoded: by_image[encoded].upper() + "." if shout else "x" + by_image[encoded]


def test_every_reader_reads_every_word_and_is_scored_alike(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(bench_peers, "readers", lambda data: {"right": truth(True), "wrong": truth(False)})
    file = tmp_path / "peers.json"
    bench_peers.run([f"--data=real={REAL_WORDS}", "--count=30", f"--json={file}"])
    found = json.loads(file.read_text())["readers"]
    assert (found["right"]["real"]["words"], found["right"]["real"]["accuracy"]) == (30, 100)
    assert (found["wrong"]["real"]["words"], found["wrong"]["real"]["accuracy"]) == (30, 0)
    assert "right: real 100.0 % of 30 words" in capsys.readouterr().out


def test_without_another_reader_there_is_nothing_to_compare(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="no other reader is installed"):
        bench_peers.readers(None)
