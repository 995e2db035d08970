"""Values that no run can do with are one line that names the key."""

import pytest
from testing import tiny_config

from jstr.cli import parse
from jstr.cli.config_file import load_config, names
from jstr.text.messages import InputError
from jstr.training.config_values import check_values


@pytest.mark.parametrize("name", names())
def test_every_config_passes(name):
    arguments = ":teacher=runs/teacher" if name in ("noisy_student", "pseudo_label") else ""
    check_values(load_config(name + arguments))
    check_values(load_config(f"{name}:runlocal"))


@pytest.mark.parametrize(
    "option, says",
    [
        ("seed=-1", "config.seed=-1 must be a whole number, 0 or more"),
        ("seed=99999999999999999999", "config.seed=99999999999999999999 must be"),
        ("num_workers=-1", "config.num_workers=-1 must be"),
        ("optimizer.schedule.peak=nan", "config.optimizer.schedule.peak=nan must be a number, 0 or more"),
        ("optimizer.schedule.peak=-1", "config.optimizer.schedule.peak=-1.0 must be"),
        ("optimizer.schedule.peak=inf", "config.optimizer.schedule.peak=inf must be"),
        ("optimizer.clip_norm=-1", "config.optimizer.clip_norm=-1.0 must be"),
        ("optimizer.weight_decay=nan", "config.optimizer.weight_decay=nan must be"),
        ("optimizer={'name': 'adam'}", "config.optimizer lacks schedule, clip_norm, weight_decay"),
        ("optimizer.schedule={'name': 'constant'}", "config.optimizer.schedule lacks peak; it needs name, peak"),
        ("optimizer.rules={'model': 3}", "config.optimizer.rules.model=3 must be a dict"),
        ("model={}", "config.model lacks name"),
        ("charset={'characters': '36'}", "config.charset lacks layout, max_length"),
        ("charset.max_length=0", "config.charset.max_length=0 must be a whole number, 1 or more"),
        ("image={}", "config.image lacks size"),
        ("image.size=(32.5, 64)", "config.image.size=.32.5, 64.: give .height, width. in pixels"),
        ("image.size=('a', 'b')", "config.image.size="),
        ("image.size=32", "config.image.size="),
        ("init_from=a", "config.init_from has 'a'; its rows are"),
        ("init_from=(('model', 'a'),)", "config.init_from has"),
        ("init_from=((1, 2, 3),)", "config.init_from has"),
        ("init_allow_missing=3", "config.init_allow_missing"),
        ("teacher={'decay': 'x'}", "config.teacher.decay='x' must be a number"),
        ("language_model.weight=nan", "config.language_model.weight=nan must be"),
        ("language_model.width=0", "config.language_model.width=0 must be a whole number, 1 or more"),
        ("language_model={'word': 'english'}", "config.language_model has no word"),
        ("streams.labelled={}", "config.streams.labelled lacks batch_size, sources; it needs"),
        ("streams.labelled.batch_size=-8", "config.streams.labelled.batch_size=-8 must be"),
        ("streams.labelled.sources={'a': 3}", "config.streams.labelled.sources.a=3 must be a dict"),
        ("streams.labelled.views={'image': 3}", "config.streams.labelled.views.image=3 must be a dict"),
        ("evals={'a': 3}", "config.evals.a=3 must be a dict"),
        ("held_back={'x': 3}", "config.held_back.x=3 must be a dict"),
    ],
)
def test_what_cannot_be(option, says):
    config, _ = parse(["jstr", "--config=tests/tiny.py", f"--config.{option}"], workdir_needed=False)
    with pytest.raises(InputError, match=says) as caught:
        check_values(config)
    assert "\n" not in str(caught.value)


def test_a_part_may_be_left_out():
    config = tiny_config()
    del config.language_model
    config.teacher = {}
    check_values(config)
