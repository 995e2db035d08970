"""Labels made by a trained recogniser, before training."""

import tarfile

import numpy as np
import pseudo_label
from testing import REAL_WORDS, call, tiny_config

import jstr
from jstr.data.patterns.spec import PatternSpec
from jstr.data.sources.open import open_source
from jstr.training import loop


def test_labels_made_offline(tmp_path):
    workdir = tmp_path / "teacher"
    config = tiny_config()
    config.steps, config.evals = 1, {}
    loop.run(config, str(workdir))
    command = ["tools/pseudo_label.py", f"--workdir={workdir}", f"--data={REAL_WORDS}"]
    status, out, err = call(*command, f"--out={tmp_path / 'kept.tar'}", "--threshold=0", "--check")
    assert status == 0, err
    kept = open_source(str(tmp_path / "kept.tar"))
    assert f": {len(kept)} of 64 kept; geometric_mean of all words:" in out and "all: " in out
    with tarfile.open(tmp_path / "kept.tar") as tar:
        assert len(tar.getnames()) == len(kept) + 1 and all(kept[i]["label"] for i in range(len(kept)))
    status, _, err = call(*command, f"--out={tmp_path / 'none.tar'}", "--threshold=1")
    assert status == 2 and "no word has geometric_mean 1.0 or more; lower --threshold" in err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["kept.tar", "teacher"]


def test_labels_follow_the_pattern_of_the_run():
    reader = jstr.load("bundled", "none").guided(PatternSpec.make("[0-9]{3}"))
    images = np.stack(list(reader.pixels(sorted(map(str, REAL_WORDS.glob("*.png")))[:4])))
    found = [answer.text for answer in pseudo_label.answers(reader, images, "geometric_mean")]
    assert found == reader.read_batch(images)[0] and all(text.isdigit() for text in found)
