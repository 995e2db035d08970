"""What a run is measured by: refused at its start where that cannot be."""

import pytest
from testing import consistency_config, tiny_config, write_folder

from jstr.checkpoints import checkpoint
from jstr.text.messages import InputError
from jstr.training import loop
from jstr.training.evaluation import Evaluation


@pytest.mark.parametrize(
    ("keep_best", "message"),
    [
        ("rendered/acc", "config.keep_best='rendered/acc': choose one of rendered/words, rendered/accuracy"),
        ("held_back/trusty", "config.keep_best='held_back/trusty': choose one of .*held_back/trust"),
    ],
)
def test_a_figure_that_is_not_measured(keep_best, message, tmp_path):
    config = consistency_config(watched=True)
    config.keep_best = keep_best
    with pytest.raises(InputError, match=message):
        loop.run(config, str(tmp_path))
    assert not checkpoint.Checkpoints(tmp_path).steps


def test_a_name_with_two_strokes():
    found = Evaluation({}, {"clean/words": 0.5}, {})
    assert found.value("held_back/clean/words") == 0.5
    assert found.value("held_back/confident_accuracy") is None and found.value("") is None


def test_a_figure_with_nothing_to_count_is_not_the_best(tmp_path, monkeypatch, capsys):
    config = consistency_config(watched=True)
    config.evals = {}
    values = iter([None, 0.5])
    monkeypatch.setattr(Evaluation, "value", lambda *_: next(values))
    loop.run(config, str(tmp_path))
    assert "step 2: held_back/trust has nothing to count" in capsys.readouterr().out
    assert checkpoint.read_meta(tmp_path)["best"]["step"] == 4


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (dict(), "greek: none of its 2 samples can be scored by protocol alnum36"),
        (dict(subset="some"), "config.evals.greek.subset='some': choose one of greek, IC13"),
    ],
)
def test_a_set_that_cannot_be_scored(row, message, tmp_path):
    """Said before the first step, not after the last."""
    config = tiny_config()
    config.evals = dict(greek=dict(path=str(write_folder(tmp_path / "greek", ["αβγ", "δε"]))) | row)
    with pytest.raises(InputError, match=message):
        loop.run(config, str(tmp_path / "run"))
    assert not checkpoint.Checkpoints(tmp_path / "run").steps
