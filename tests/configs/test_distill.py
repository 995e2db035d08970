"""configs/distill.py: of real words no human label is learned, in either way of labelling them."""

import pytest

from configs import reader
from configs.distill import get_config


@pytest.mark.parametrize("arguments", ["", "finish", "teacher=a,start=a,every=750", "images=b"])
def test_real_words_have_the_labels_of_the_teacher(arguments):
    config = get_config(arguments)
    sources = config.streams.labelled.sources
    real = {name: row for name, row in sources.items() if "rendered" not in row}
    teacher = "a" if "teacher" in arguments else "ppocrv6-small"
    assert real and all(row.read_by.workdir == teacher for row in real.values())
    assert all(row.read_by.language_model == "english" for row in real.values())
    assert sum(row.weight for row in sources.values()) == pytest.approx(1.0)
    rendered = {name: row for name, row in reader.get_config("").streams.labelled.sources.items() if "rendered" in row}
    assert {name: sources[name].weight for name in rendered} == {name: row.weight for name, row in rendered.items()}


def test_rounds():
    assert not get_config("").self_training
    assert get_config("every=750").self_training.every == 750
