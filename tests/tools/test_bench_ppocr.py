"""The bench of PP-OCR: sides take turns, and what is missing is one line."""

import bench_ppocr
import pytest

from jstr.interop import weights
from jstr.text.messages import InputError


def test_sides_take_turns():
    calls = []
    times = bench_ppocr.in_turns(3, a=lambda: calls.append("a"), b=lambda: calls.append("b"))
    assert calls == ["a", "b"] * 5 and set(times) == {"a", "b"} and all(ms["wall"] >= 0 for ms in times.values())


def test_a_reader_that_is_not_installed(monkeypatch):
    monkeypatch.setitem(weights.PLACES, "ppocrv6-small", (weights.Place("p", "no_such_package", "a.onnx", ""),))
    with pytest.raises(InputError, match="not installed"):
        bench_ppocr.train_step("ppocrv6-small", 1)
