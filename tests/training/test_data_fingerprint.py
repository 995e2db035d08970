"""What a continued run says of data that have changed or moved."""

import pytest
from testing import tiny_config, write_folder

from configs import common
from jstr.text.messages import InputError
from jstr.training import loop

WORDS = [f"word{i:02d}" for i in range(20)]


def test_moved_and_changed_data(tmp_path, capsys):
    first = write_folder(tmp_path / "first", WORDS)
    config = tiny_config(words=dict(path=str(first)))
    config.steps, config.evals = 2, {}
    loop.run(config, str(tmp_path / "run"))
    second = first.rename(tmp_path / "second")
    config.streams.labelled.sources.words.path, config.steps = str(second), 3
    loop.run(config, str(tmp_path / "run"))
    out = capsys.readouterr().out
    assert f"changed since the checkpoint: config.streams.labelled.sources.words.path: {first} -> {second}" in out
    assert f"continuing from step 2 of {tmp_path / 'run'}\n" in out
    labels = second / "labels.tsv"
    labels.write_text(labels.read_text().replace("word03", "ward03"))
    config.steps = 4
    loop.run(config, str(tmp_path / "run"))
    assert "labelled/words: other labels or samples; the run continues with the data" in capsys.readouterr().out
    config.streams.labelled.sources.words.path = str(write_folder(tmp_path / "third", WORDS[:19]))
    with pytest.raises(InputError, match="streams.labelled.sources.words.path: .*second -> .*third"):
        loop.run(config, str(tmp_path / "run"))


def test_a_changed_word_list(tmp_path, capsys):
    words = tmp_path / "words.txt"
    words.write_text("one\ntwo\n")
    config = tiny_config(words=common.rendered(seed=1, words=str(words)))
    config.steps, config.evals = 1, {}
    for steps in (1, 2):
        config.steps = steps
        loop.run(config, str(tmp_path / "run"))
    assert "labelled/words" not in capsys.readouterr().out
    words.write_text("one\nsix\n")
    config.steps = 3
    loop.run(config, str(tmp_path / "run"))
    assert "changed since the checkpoint: labelled/words: other labels or samples" in capsys.readouterr().out
