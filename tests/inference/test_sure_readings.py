"""Which readings become labels, and what is said and shown of their changes."""

import numpy as np
import pytest

from jstr.data.source_config import ReadLabel
from jstr.inference.sure_readings import Changes, Gate, changes, draw_changes

TEXTS = {
    "a": ("The", 0.9),
    "b": ("qxz", 0.8),
    "c": ("", 0.7),
    "d": ("letters,", 0.7),
    "e": ("of", 0.7),
    "f": ("it", 0.1),
}


def kept(gate, texts=TEXTS) -> str:
    return "".join(key for key, label in gate.usable(texts).items() if label is not None)


@pytest.mark.parametrize(
    "gate, expected",
    [
        (Gate(0.8), "ab"),
        (Gate(0.0), "abdef"),
        (Gate(0.99, share=0.5), "abd"),  # of six images; the first of equals, whatever the threshold
        (Gate(0.99, share=1.0), "abdef"),
        (Gate(0.99, share=0.01), "a"),
        (Gate(0.85, fallback=0.7), "abd"),  # three quarters of four; the first of equals
        (Gate(0.8, fallback=0.8), "ab"),
        (Gate(0.7, fallback=0.7), "abde"),  # the threshold keeps more than three quarters of four
        (Gate(0.99, fallback=0.95), ""),
        (Gate(0.99, share=0.01, fallback=0.1), "a"),
        (Gate(0.7, lexicon="english"), "ade"),
        (Gate(0.7, share=0.5, lexicon="english"), "ade"),
    ],
    ids=str,
)
def test_gate(gate, expected):
    assert kept(gate) == expected
    assert list(gate.usable(TEXTS)) == list(TEXTS) and gate.usable(TEXTS)["a"] in (TEXTS["a"], None)


def test_a_lexicon_of_the_user(tmp_path):
    (tmp_path / "codes.txt").write_text("QXZ\t-2\nIt\t-1\n")
    assert kept(Gate(0.0, lexicon=str(tmp_path / "codes.txt"))) == "bf"
    (tmp_path / "words.txt").write_text("cafe\u0301\n")
    assert Gate(0.0, lexicon=str(tmp_path / "words.txt")).usable({"a": ("CAFÉ", 1.0)})["a"] is not None


def test_changes():
    before = {
        "a": ReadLabel("one", 0.9),
        "b": None,
        "c": ReadLabel("three", 0.9),
        "d": ReadLabel("four", 0.8),
        "e": None,
    }
    now = {"a": ReadLabel("one", 0.8), "b": ReadLabel("two", 0.7), "c": None, "d": ReadLabel("for", 0.8), "e": None}
    found = changes(before, now)
    assert found == Changes(gained=["b"], changed=["d"], lost=["c"])
    assert found.line(before, now) == "; labels: 1 gained, 1 changed, 1 lost, such as 'four' now 'for'"
    assert changes(now, now).line(now, now) == "; no label has changed"


def test_the_picture_has_a_column_for_each_kind():
    grey = np.full((20, 60, 1), 128, np.uint8)
    found = Changes(gained=["a", "b"], changed=[], lost=["f"])
    sheet = draw_changes(found, {"a": ("Tho", 0.2)}, TEXTS, lambda key: None if key == "b" else grey)
    assert sheet.shape == (2 * 48, 2 * 520, 3) and sheet.dtype == np.uint8
    assert all((sheet[48:, x : x + 180] == 128).mean() > 0.5 for x in (0, 520)), "the images"
    red, green = ((sheet[48:, 180:520] == colour).all(axis=-1) for colour in ((190, 0, 0), (0, 120, 0)))
    assert red[:, :170].any() and green[:, 170:].any() and not green[:, :170].any()
    assert draw_changes(Changes([], [], []), {}, TEXTS, lambda key: grey) is None
