"""What may change in the config of a run that is continued."""

import pytest
from testing import tiny_config

from jstr.checkpoints.resume import check_resume
from jstr.text.messages import InputError
from jstr.training import loop


def test_another_config_is_refused(trained):
    config = tiny_config()
    config.streams.labelled.batch_size = 16
    with pytest.raises(InputError, match="streams.labelled.batch_size: 8 -> 16.*another --workdir"):
        loop.run(config, str(trained))
    config = tiny_config()
    config.model.width = 0.125
    with pytest.raises(InputError, match="model.width: 0.0625 -> 0.125"):
        loop.run(config, str(trained))
    config = tiny_config()
    config.optimizer.name, config.optimizer.weight_decay = "adadelta", 0.1
    with pytest.raises(InputError, match="another config .optimizer.name: adam -> adadelta.;"):
        loop.run(config, str(trained))


def test_what_may_change_is_named(trained, tmp_path, capsys):
    loop.run(tiny_config(), str(tmp_path))
    config = tiny_config()
    config.steps, config.log_every = 6, 3
    loop.run(config, str(tmp_path))
    assert "changed since the checkpoint: config.log_every: 2 -> 3" in capsys.readouterr().out


def test_a_key_that_begins_like_a_fixed_one():
    changed = check_resume({"image": dict(channels=1), "images": "a"}, {"image": dict(channels=1), "images": "b"})
    assert changed == ["changed since the checkpoint: config.images: a -> b"]


def saved(**charset):
    return {"charset": dict(characters="abc", lower=True) | charset, "steps": 4}


def test_characters_are_compared_wherever_they_stand(tmp_path):
    """A name, a file and the characters themselves may stand for each other."""
    file = tmp_path / "characters.txt"
    file.write_text("a\nb\nc\n")
    named = saved(characters=f"file:{file}")
    assert check_resume(saved(), named) == check_resume(named, saved()) == []
    assert check_resume(saved(characters="36"), saved(characters="0123456789abcdefghijklmnopqrstuvwxyz")) == []
    file.write_text("c\nb\na\n")
    with pytest.raises(InputError, match="charset.characters: abc -> cba.*another --workdir"):
        check_resume(saved(), named)


def test_where_long_charsets_differ():
    long = "".join(chr(0x4E00 + i) for i in range(3000))
    with pytest.raises(InputError, match="3000 -> 2999 characters, .* from number 1001 on: '(.)' and '(?!\\1).'"):
        check_resume(saved(characters=long), saved(characters=long[:1000] + long[1001:]))
