"""Word lists that a workdir or packed file takes along."""

import pytest
from testing import tiny_config

from jstr.checkpoints import packed
from jstr.inference import word_copy
from jstr.inference.reader import Reader
from jstr.text.messages import InputError


def config_of(words) -> dict:
    config = tiny_config()
    config.language_model.words = str(words)
    return config.to_dict()


@pytest.mark.parametrize("words", ["", "none", "english"])
def test_only_files_of_the_user_are_kept(words, tmp_path):
    word_copy.keep(tmp_path, config_of(words))
    assert not list(tmp_path.iterdir()) and word_copy.packed_words(config_of(words)) is None


def test_a_kept_list_counts_when_the_file_is_gone_or_changed(tmp_path):
    (tmp_path / "run").mkdir()
    file = tmp_path / "mine.txt"
    file.write_text("alpha\nbeta\n")
    meta = {"config": config_of(file)}
    word_copy.keep(tmp_path / "run", meta["config"])
    file.write_text("gamma\n")
    for _ in range(2):
        with word_copy.found_again(tmp_path / "run", meta) as config:
            text = open(config["language_model"]["words"]).read()
        assert text == "alpha\nbeta\n" and config["language_model"]["width"] == 8
        file.unlink(missing_ok=True)
    word_copy.keep(tmp_path / "run", meta["config"])  # a run continues without the file, too
    with pytest.raises(InputError, match="language_model.words=.*mine.txt: No such file"):
        word_copy.keep(tmp_path, meta["config"])


def test_a_packed_file_holds_it(tmp_path):
    file = tmp_path / "mine.txt"
    file.write_text("alpha\nalpha\nbeta\n")
    config = config_of(file)
    reader = Reader(config)
    variables = {"model": {}}
    packed.save(tmp_path / "a.npz", variables, {}, {"config": config, "words": word_copy.packed_words(config)})
    file.unlink()
    meta, _ = packed.load(tmp_path / "a.npz")
    with word_copy.found_again(tmp_path / "a.npz", meta) as config:
        again = Reader(config)
    for text in ("alpha", "beta", "gamma"):
        assert again.prior.log_whole(text) == pytest.approx(reader.prior.log_whole(text), abs=1e-4)
