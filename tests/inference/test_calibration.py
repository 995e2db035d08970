"""Thresholds that keep what they promise, and where they are stored."""

import json
import re
from dataclasses import asdict

import numpy as np
import pytest
from testing import tiny_config

from jstr.inference import calibration
from jstr.inference.calibration import Calibration, interval
from jstr.inference.reader import Reader
from jstr.text.messages import InputError

RNG = np.random.default_rng(0)


def drawn(count: int, power: float = 2.0) -> tuple[np.ndarray, np.ndarray]:
    """Confidences, and rights that are less probable than these say."""
    confidences = RNG.random(count) ** 0.3
    return confidences, RNG.random(count) < confidences**power


def test_promises_hold_on_other_words():
    """A threshold for 80 % of 1,000 words keeps at least that of 20,000 others, in all but few of 40 trials."""
    broken = 0
    for _ in range(40):
        fitted, (confidences, rights) = Calibration.of(*drawn(1000), {}), drawn(20_000)
        least = fitted.threshold(0.8)
        broken += rights[confidences >= least].mean() < 0.8
        assert (confidences >= least).mean() > 0.1
    assert broken <= 6


def test_probabilities_are_those_of_the_words():
    fitted = Calibration.of(*drawn(5000), {})
    for confidence in (0.5, 0.8, 0.95):
        assert fitted.probability(confidence) == pytest.approx(confidence**2, abs=0.08)
    assert np.all(np.diff([fitted.probability(x) for x in np.linspace(0, 1, 50)]) >= 0)


def test_threshold_by_hand():
    """100 right words above 50 wrong ones: the interval of 100 of 100 begins at 0.9638."""
    fitted = Calibration.of(np.r_[np.full(100, 0.9), np.full(50, 0.4)], np.r_[np.ones(100), np.zeros(50)], {})
    assert interval(100, 100) == (pytest.approx(0.9638, abs=1e-4), 1.0) and interval(0, 10)[0] == 0
    assert interval(5, 10) == pytest.approx((0.1871, 0.8129), abs=1e-4)  # Clopper and Pearson
    assert fitted.threshold(0.96) == 0.9 and fitted.threshold(0.97) is None and fitted.threshold(0.5) == 0.4
    assert fitted.kept(0.9) == (100, 100) and fitted.kept(0.4) == (150, 100) and fitted.kept(0.95) == (0, 0)
    assert "confidence >= 0.900000 keeps 66.7 % of the words, 100.00 % of them right" in "\n".join(fitted.lines())
    high = np.full(100, 0.9876549, np.float32)
    assert 0.98765 < Calibration.of(high, np.ones(100), {}).threshold(0.9) <= high[0], "no word falls below its own"
    few = Calibration.of(np.r_[np.full(29, 0.9), np.full(60, 0.4)], np.r_[np.ones(59), np.zeros(30)], {})
    assert few.threshold(0.8) is None, "29 words promise nothing"
    with pytest.raises(InputError, match="29 labelled words are too few"):
        Calibration.of(np.ones(29), np.ones(29), {})


def test_thresholds_are_tried_on_other_words():
    """They are those of the words they were fitted on; the shares are those of the others."""
    fitted = Calibration.of(np.linspace(0.2, 1, 400), np.linspace(0, 1, 400) > 0.1, {})
    others = Calibration.of(np.linspace(0.5, 0.9, 100), np.arange(100) % 2, {})
    least = fitted.threshold(0.95)
    count = int((np.linspace(0.5, 0.9, 100) >= least).sum())
    (line,) = [line for line in others.lines(fitted) if line.startswith("precision 0.950")]
    assert f"confidence >= {least:.6f} keeps {count:.1f} % of the words, 50.00 % of them right" in line
    low = Calibration.of(np.full(50, 0.01), np.zeros(50), {})
    assert "keeps none of the words" in low.lines(fitted)[1]


def test_words_that_are_expected_are_compared_however_they_were_named(tmp_path):
    """By what they are: the list of the config is the same as one of an option, and its weight counts."""
    (tmp_path / "a.txt").write_text("santa\n"), (tmp_path / "b.txt").write_text("santa\n")
    config = tiny_config()
    config.language_model.words = str(tmp_path / "a.txt")
    reader, without = Reader(config.to_dict()), Reader(tiny_config().to_dict())
    config.language_model.words = str(tmp_path / "b.txt")
    known = calibration.expected_texts(reader)
    assert calibration.differences(known, calibration.expected_texts(Reader(config.to_dict()))) == []
    for other, says in (without, "not None"), (reader.weighing(0.7), "not list .*, weight 0.7"):
        (line,) = calibration.differences(known, calibration.expected_texts(other))
        assert re.fullmatch(f"calibrated with words=list [0-9a-f]{{8}}, weight 0.5, {says}", line)
    assert calibration.differences({"data": "of an older jstr"}, known) == []


def test_reliability_diagram(tmp_path):
    pytest.importorskip("matplotlib", reason="the diagram needs matplotlib")
    calibration.plot(Calibration.of(*drawn(200), {}), str(tmp_path / "plot.png"))
    assert (tmp_path / "plot.png").stat().st_size > 1000


def test_promises_of_several_sets_hold_on_each():
    """A set of easy words does not hide that the same confidence is worth less on another."""
    (easy, hard), rng = (np.linspace(0, 1, 400) for _ in range(2)), np.random.default_rng(1)
    first = Calibration.of(easy, np.ones(400), {})
    second = Calibration.of(hard, rng.random(400) < 0.5 + hard / 2, {})
    both = Calibration.of_all([first, second], {"data": "both"})
    assert Calibration.of_all([second, first], {}).promises() == both.promises()
    for precision in (0.8, 0.9):
        threshold = both.threshold(precision)
        assert threshold == max(one.threshold(precision) for one in (first, second)) > first.threshold(precision)
    assert Calibration.of_all([first, Calibration.of(np.ones(40), np.ones(40), {})], {}).threshold(0.95) is None
    assert Calibration.of_all([first], {}) is first
    assert calibration.Calibration(**json.loads(json.dumps(asdict(both)))).promises() == both.promises()
