import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jstr.text.metrics import PROTOCOLS, SUBSETS, Score, averages, edit_distance, table, wilson


@pytest.mark.parametrize("a, b, d", [("kitten", "sitting", 3), ("", "abc", 3), ("abc", "", 3), ("", "", 0)])
def test_edit_distance(a, b, d):
    assert edit_distance(a, b) == d


@given(st.text("abc", max_size=8), st.text("abc", max_size=8), st.text("abc", max_size=8))
def test_edit_distance_is_a_metric(a, b, c):
    assert edit_distance(a, b) == edit_distance(b, a)
    assert (edit_distance(a, b) == 0) == (a == b)
    assert edit_distance(a, c) <= edit_distance(a, b) + edit_distance(b, c)


def test_protocols():
    assert PROTOCOLS["alnum36"]("It's N°5!") == "itsn5"
    assert PROTOCOLS["case"]("It's N°5!") == "ItsN5"
    assert PROTOCOLS["exact"]("It's N°5!") == "It's N°5!"


def test_icdar_2013_subsets():
    cases = [("aB1", True, True), ("ab", True, False), ("a-c", False, False), ("É12", False, False)]
    for label, in_1015, in_857 in cases:
        assert SUBSETS["IC13_1015"](label) is in_1015
        assert SUBSETS["IC13_857"](label) is in_857


def test_score_by_hand():
    score = Score()
    score.add("cat", "cat", 0.9)
    score.add("ca", "cats", 0.5)
    score.add("", "dog", 0.0)
    score.add("meters", "m", 0.6)
    assert score.accuracy == pytest.approx(100 / 4)
    assert score.one_minus_ned == pytest.approx(100 * (1 + 0.5 + 0 + 1 / 6) / 4)
    assert score.cer == pytest.approx(100 * (0 + 2 + 3 + 5) / 11)
    assert score.confidence == pytest.approx(2 / 4)


def test_words_within_one_edit():
    score = Score()
    for prediction in ("cat", "cot", "ca", "cats", "at s", ""):
        score.add(prediction, "cat", 0.5)
    assert score.ed1 == score.row()["ED1"] == pytest.approx(100 * 4 / 6)


def test_empty_prediction_and_label_do_not_divide_by_zero():
    score = Score()
    assert math.isnan(score.accuracy)
    score.add("", "", 0.0)
    assert score.one_minus_ned == 0


def test_both_averages():
    scores = {"a": Score(words=1, correct=1, characters=4), "b": Score(words=3, correct=0, characters=4)}
    rows = averages(scores)
    few = averages({"a": Score(1, 1, 1, 1.0, 0, 4, 0.9), "b": Score(3, 0, 1, 0.6, 6, 12, 0.6)})["average by words"]
    assert list(few.values()) == pytest.approx([4, 25, 50, 40, 100 * 6 / 16, 0.375])
    assert rows["average by words"]["accuracy"] == 25 and rows["average by sets"]["accuracy"] == 50
    assert "average by words |      4 |    25.00" in table(scores)


def test_heads_stand_in_the_table():
    """Each head is a column; its average by words weighs the sets by their size."""

    def score(results, heads=()):
        made = Score()
        for read in results:
            made.add(read, "a", 1.0)
        made.heads = {name: score(read) for name, read in heads}
        return made

    first = score("aab", [("vision", "abb"), ("fusion", "aab")])
    scores = {"x": first, "y": score("b", [("vision", "a"), ("fusion", "b")])}
    assert scores["x"].row()["vision/accuracy"] == pytest.approx(100 / 3)
    assert averages(scores)["average by words"]["vision/accuracy"] == pytest.approx(50)
    assert averages(scores)["average by sets"]["vision/accuracy"] == pytest.approx((100 / 3 + 100) / 2)
    lines = table(scores).splitlines()
    assert lines[0].endswith("|   vision |   fusion |") and {len(line) for line in lines} == {len(lines[0])}
    assert "33.33 |    66.67 |" in lines[2] and "50.00 |    50.00 |" in lines[4]
    assert "vision" not in table({"z": score("a")})


def test_interval_of_wilson():
    assert wilson(8, 10) == pytest.approx((49.0, 94.3), abs=0.05)  # Newcombe 1998
    assert wilson(0, 20) == pytest.approx((0, 16.1), abs=0.05)
    assert all(f"{wilson(0, n)[0]:.1f}" == "0.0" and wilson(n, n)[1] <= 100 for n in range(1, 99))
    assert all(math.isnan(end) for end in wilson(0, 0))
