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
        (
            "image={'size': (32, 64), 'channels': 1, 'keep_ratio': 'no', 'backend': 'cv2'}",
            "keep_ratio='no' must be True or",
        ),
        ("image={'size': (32, 64), 'channels': 1, 'keepratio': True}", "config.image lacks keep_ratio, backend"),
        ("init_from=a", "config.init_from has 'a'; its rows are"),
        ("self_training={'every': 2, 'thresholds': 0.9}", "config.self_training.thresholds=0.9 must be a tuple"),
        ("optimizer.rules={'model': {'lr': -1}}", "config.optimizer.rules.model.lr=-1 must be a number, 0 or more"),
        ("steps=0", "config.steps=0 must be a whole number, 1 or more"),
        ("keep_best_noise=nan", "config.keep_best_noise=nan must be"),
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


@pytest.mark.parametrize(
    ("part", "more", "says"),
    [
        ("image", dict(width=(128,)), "config.image has no width .did you mean widths"),
        ("charset", dict(upper=True), "config.charset has no upper"),
        ("charset", dict(characters=36), "config.charset.characters=36 must be a text"),
        ("optimizer", dict(l2=-1), "config.optimizer.l2=-1 must be a number, 0 or more"),
    ],
)
def test_what_cannot_be_in_a_file(part, more, says):
    """Where the command line refuses a new key by itself."""
    config = tiny_config()
    config[part] = {**config[part].to_dict(), **more}
    with pytest.raises(InputError, match=says):
        check_values(config)


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("keep_best", None, "config.keep_best=None must be a text"),
        ("init_from", None, "config.init_from=None must be a tuple"),
        ("log_every", None, "config.log_every=None must be a whole number, 1 or more"),
        ("steps", "10", "config.steps='10' must be"),
        ("mesh", 3, "config.mesh=3 must be a dict"),
        ("teacher", 3, "config.teacher=3 must be a dict"),
        ("augment", {}, "config.augment lacks where"),
    ],
)
def test_kinds_of_values(key, value, says):
    with pytest.raises(InputError, match=says):
        check_values({**tiny_config().to_dict(), key: value})


def test_a_part_may_be_left_out():
    config = tiny_config()
    del config.language_model
    config.teacher = {}
    check_values(config)
