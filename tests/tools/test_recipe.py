"""tools/recipe.py: every recipe goes through its dry run, within its budget, and leaves only what may be kept."""

import importlib
import json
import time
from argparse import Namespace

import numpy as np
import pytest
import recipe
import recipe_bundle
import recipe_run
import recipes
from recipe_run import Command, Run
from testing import call, write_folder

from jstr import evaluate, main
from jstr.text.messages import InputError

ARGUMENTS = Namespace(official=None, language=None)


def in_process(self, *arguments, limit=None):
    """Run.command without a new process: importing jax again for each command would be most of the time."""
    arguments = list(map(str, arguments))
    if arguments[0] == "-m":
        module, rest = {"jstr.main": main, "jstr.evaluate": evaluate}[arguments[1]], arguments[2:]
    else:
        module, rest = importlib.import_module(arguments[0].rpartition("/")[2].removesuffix(".py")), arguments[1:]
    module.run(rest)
    return Command(0, 1.0, "")


@pytest.mark.parametrize("name", [name for name in recipes.RECIPES if name != "bench"])
def test_dry_run(name, tmp_path, monkeypatch):
    monkeypatch.setattr(Run, "command", in_process)
    run = Run(name, 120, tmp_path / "out", None, tiny=True)
    recipes.RECIPES[name](run, ARGUMENTS)
    run.close()
    rows = json.loads((tmp_path / "out/results.json").read_text())
    assert rows["recipe"] == name and rows["dry_run"] and len(rows["arms"]) >= 1
    assert all(arm["steps"] == 2 for arm in rows["arms"].values())
    kept = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"log.txt", "results.json", "metrics.jsonl"} < kept and len(kept) <= recipe_run.MAX_FILES
    assert any(file.endswith(".npz") for file in kept) and not run.work.exists()


def test_dry_run_of_bench(tmp_path):
    """By its command, in processes of its own: the tools that it calls define flags of one name."""
    status, out, err = call("tools/recipe.py", "bench", "--dry-run", f"--out={tmp_path}")
    assert status == 0, err
    rows = json.loads((tmp_path / "results.json").read_text())["arms"]
    assert rows["trba bfloat16"]["resident"]["images_per_second"] > 0
    assert rows["official trba"] == {"left_out": "no --official=DIR was given"}


def test_a_command_ends_within_its_limit_and_may_save_first(tmp_path, monkeypatch):
    monkeypatch.setattr(recipe_run, "GRACE", 5.0)
    run = Run("reader", 60, tmp_path / "out", None, tiny=True)
    saves = "import signal, sys, time\nsignal.signal(15, lambda *_: (print('saved'), sys.exit(0)))\ntime.sleep(60)"
    started = time.monotonic()
    done = run.command("-u", "-c", saves, limit=1.5)
    assert done.status is None and done.tail == "saved" and time.monotonic() - started < 10
    assert run.command("-c", "import sys; print('bad'); sys.exit(3)").status == 3
    run._end = time.monotonic()
    assert run.command("-c", "print(1)") == Command(None, 0.0, "")
    run.close()
    assert "no time left" in (tmp_path / "out/log.txt").read_text()


def test_steps_fit_what_is_left(tmp_path, monkeypatch):
    """100 ms a step and 20 s around the steps: of 201 s, 1.2 * 20 are kept for what is around."""
    run = Run("reader", 300, tmp_path / "out", None, tiny=False)

    def timed(self, *arguments, limit=None):
        workdir = next(str(a).partition("=")[2] for a in arguments if str(a).startswith("--workdir="))
        (tmp_path / "trial").mkdir(exist_ok=True)
        rows = [dict(step=n, seconds=5 + 0.1 * n, images_per_second=320.0, data_wait=0.2) for n in (4, 40)]
        assert workdir
        monkeypatch.setattr(recipe_run, "_metrics", lambda folder: rows)
        return Command(0, 24.0, "")

    monkeypatch.setattr(Run, "command", timed)
    steps, about = run._fitting_steps("arm", [], time.monotonic() + 201)
    assert steps == 1760 and about["overhead_seconds"] == pytest.approx(20)
    run.close()
    assert "waits for data" in (tmp_path / "out/log.txt").read_text()


def test_only_few_and_small_files_are_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(recipe_run, "MAX_BYTES", 1000)
    run = Run("reader", 60, tmp_path / "out", None, tiny=True)
    run.note("arm", steps=1)
    for number in range(8):
        (tmp_path / f"out/{number}.npz").write_bytes(bytes(10 if number else 2000))
    run.close()
    kept = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert len(kept) <= recipe_run.MAX_FILES and "0.npz" not in kept and {"log.txt", "results.json"} < set(kept)


def test_what_lay_in_the_folder_before_stays(tmp_path, monkeypatch):
    monkeypatch.setattr(recipe_run, "MAX_BYTES", 1000)
    (tmp_path / "mine").mkdir()
    for number in range(12):
        (tmp_path / f"mine{number}.txt").write_bytes(bytes(2000))
    run = Run("reader", 60, tmp_path, None, tiny=True)
    (tmp_path / "large.npz").write_bytes(bytes(2000))
    run.close()
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"log.txt", "mine", *(f"mine{number}.txt" for number in range(12))}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["baking", "--out=o"], "choose one of bench"),
        (["reader"], "--out=DIR"),
        (["reader", "--out=o"], "--data=DIR"),
        (["reader", "--out=o", "--data=/nowhere"], "is not a folder"),
        (["reader", "--out=o", "--data=.", "--budget=20"], "more than 60 seconds"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(InputError, match=message):
        recipe.run(arguments)


def test_words_are_shrunk_for_the_bundle(tmp_path):
    import tarfile

    from jstr.data.sources.open import open_source

    folder = write_folder(tmp_path / "words", ["one", "two"], shape=(96, 200, 3))
    with tarfile.open(tmp_path / "words.tar", "w") as tar:
        for path in sorted(folder.iterdir(), key=lambda p: p.name != "labels.tsv"):
            tar.add(path, path.name)
    recipe_bundle.shrink(tmp_path / "words.tar", tmp_path / "small/words.tar")
    source = open_source(tmp_path / "small/words.tar")
    assert [source[i]["label"] for i in range(2)] == ["one", "two"]
    image = recipe_bundle.cv2.imdecode(np.frombuffer(source[0]["image"], np.uint8), 1)
    assert image.shape == (48, 100, 3)
    with pytest.raises(InputError, match="is not there"):
        recipe_bundle.shrink(tmp_path / "none.tar", tmp_path / "small/none.tar")


def test_recipes_are_listed(capsys):
    assert recipe.run(["--list"]) == 0
    assert capsys.readouterr().out.count("\n") == len(recipes.RECIPES)
