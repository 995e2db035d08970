"""What the methods of the consistency family share: published numbers, gates, contexts."""

import numpy as np
import pytest
from scripted import METHODS, STUDENT, TEACHER, scripted_step
from toy import CTC, Toy

from jstr.objectives import make_objective
from jstr.text.messages import InputError


def test_oracles_of_the_specification():
    """The worked example through the objectives: the values of tests/losses/test_consistency.py."""
    cr = dict(coral_weight=0.0, threshold=0.5)
    for options, value in (
        ({}, 0.300674),
        (dict(temperature=1.0), 0.134203),
        (dict(cons_reduction="sample"), 0.300674),
        (dict(labels="hard", confidence="minimum"), 0.303572),
    ):
        assert scripted_step("cr_str", **cr, **options)[1]["consistency"] == pytest.approx(value, abs=1e-6), options
    for threshold, value in ((0.5, 0.300674), (0.8, 0)):
        assert scripted_step("uda", threshold=threshold)[1]["consistency"] == pytest.approx(value, abs=1e-6)
    for threshold, value in ((0.5, 0.303572), (0.8, 0.303572), (0.95, 0)):
        assert scripted_step("fixmatch", threshold=threshold)[1]["consistency"] == pytest.approx(value, abs=1e-6)
    hard = scripted_step("noisy_student", labels="hard", cons_reduction="kept")[1]
    assert hard["consistency"] == pytest.approx(1.043215, abs=1e-6)
    assert scripted_step("noisy_student", cons_reduction="kept")[1]["consistency"] == pytest.approx(1.378251, abs=1e-6)
    assert scripted_step("mean_teacher")[1]["consistency"] == pytest.approx(0.021558, abs=1e-6)
    assert scripted_step("mean_teacher", masked=True)[1]["consistency"] == pytest.approx(0.011492, abs=1e-6)


@pytest.mark.parametrize(("threshold", "counted"), [(0.2, 6), (0.3, 4), (0.85, 2), (0.95, 0)])
def test_each_character_may_be_gated_by_itself(threshold, counted):
    """The sum over the steps whose own probability is high enough, divided by the length of the word."""
    log_p = TEACHER - np.log(np.exp(TEACHER).sum(-1, keepdims=True))
    log_q = STUDENT - np.log(np.exp(STUDENT).sum(-1, keepdims=True))
    words = np.arange(4) < 3  # the first three steps of both words
    steps = (np.exp(log_p.max(-1)) >= threshold) & words
    assert steps.sum() == counted
    labels = np.array([[5, 6, 3, 0]] * 2)
    entropy = -np.take_along_axis(log_q, labels[..., None], axis=-1)[..., 0]
    _, found, _ = scripted_step("fixmatch", threshold=threshold, per_character=True)
    assert found["consistency"] == pytest.approx(np.where(steps, entropy, 0).sum() / 6, abs=1e-5)
    assert found["confident"] == steps.any(axis=1).mean()
    sharp = np.exp(TEACHER / 0.4) / np.exp(TEACHER / 0.4).sum(-1, keepdims=True)
    divergence = (sharp * (np.log(sharp) - log_q)).sum(-1)
    _, found, _ = scripted_step("uda", threshold=threshold, per_character=True)
    assert found["consistency"] == pytest.approx(np.where(steps, divergence, 0).sum() / 6, abs=1e-5)


def test_characters_of_a_ctc_string_are_not_gated():
    with pytest.raises(InputError, match="per_character: CTC learns whole strings"):
        make_objective(METHODS["fixmatch"] | dict(per_character=True), Toy(), CTC)
    make_objective(METHODS["uda"] | dict(per_character=True), Toy(), CTC)


def test_decoder_inputs_of_every_forward_pass():
    """The teacher decodes greedily; the student on its own or the teacher's characters; labelled words on labels."""
    for method, context, given in (
        ("uda", "own", False),
        ("uda", "shared", True),
        ("fixmatch", "own", False),
        ("noisy_student", None, True),
        ("cr_str", None, True),
    ):
        options = {"context": context} if context else {"coral_weight": 0.0} if method == "cr_str" else {}
        _, _, calls = scripted_step(method, **options)
        assert calls == [("teacher", False), ("student", True), ("student", given)], method
    _, _, calls = scripted_step("mean_teacher")
    assert calls == [("teacher", False)] * 2 + [("student", True), ("student", False)]


@pytest.mark.parametrize("method", ["uda", "cr_str"])
def test_weights_of_labels(method):
    """Of the labelled words alone: the second one counts a quarter."""
    options = {"coral_weight": 0.0} if method == "cr_str" else {}
    plain, weighted = (scripted_step(method, weighted=w, **options)[1] for w in (False, True))
    log_q = STUDENT - np.log(np.exp(STUDENT).sum(-1, keepdims=True))
    entropy = -log_q[..., 3].sum(axis=1)
    assert plain["supervised"] == pytest.approx(entropy.sum() / 8, rel=1e-5)
    assert weighted["supervised"] == pytest.approx((entropy[0] + 0.25 * entropy[1]) / 5, rel=1e-5)
    assert weighted["consistency"] == plain["consistency"]


def test_no_option_of_another_method():
    with pytest.raises(InputError, match="uda has no coral_weight .*; it takes temperature"):
        make_objective(METHODS["uda"] | dict(coral_weight=1.0), Toy(), CTC)
    with pytest.raises(InputError, match="config.objective.context='mine': choose one of shared, own"):
        make_objective(METHODS["uda"] | dict(context="mine"), Toy(), CTC)
