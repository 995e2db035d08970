"""tools/study_codes.py: what is measured."""

from types import SimpleNamespace

import study_codes

from jstr.inference import read_source


def test_words_without_a_label_do_not_count(monkeypatch):
    answer = SimpleNamespace(text="AB1", confidence=0.8)
    read = [SimpleNamespace(answer=answer, label=label) for label in ("ab-1", "x", None, "-")]
    monkeypatch.setattr(read_source, "read_source", lambda *_, **__: read)
    found = study_codes.measure(None, None, study_codes.comparable)
    assert found == dict(words=2, accuracy=50.0, brier=0.34, confidence=0.8)
    assert study_codes.zeros("O-0 a") == "00a"
