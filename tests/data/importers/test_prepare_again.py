"""Imports that are interrupted, continued, run again, or run twice at once."""

import contextlib
import os
import signal
import subprocess
import sys
import time

import pytest
import tensorflow_datasets as tfds
from published import folder, iiit5k, left_out, mjsynth, png, put
from testing import ROOT, call

from jstr.data import prepare as command
from jstr.data.importers import shards
from jstr.data.importers.formats import open_published
from jstr.data.importers.prepare import is_finished, prepare
from jstr.data.importers.report import describe
from jstr.text.messages import InputError


def many(root, count=1200):
    """MJSynth with enough words for several shards in both splits."""
    base = root / "90kDICT32px"
    lines = []
    for i in range(count):
        name = f"1/{i // 500}/{i}_Word{i}_{i}.jpg"
        put(base / name, b"" if i % 100 == 7 else png(i % 9))
        lines.append(f"./{name} {i}\n")
    put(base / "annotation_train.txt", "".join(lines[: count * 2 // 3]))
    put(base / "annotation_test.txt", "".join(lines[count * 2 // 3 :]))
    return root


def contents(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """(the tree, what an import without interruption makes of it)."""
    src = many(tmp_path_factory.mktemp("many"))
    out = tmp_path_factory.mktemp("whole") / "out"
    prepare(open_published("mjsynth", src), out, jobs=1)
    assert len([name for name in contents(out) if "array_record" in name]) == 4
    return src, contents(out)


@pytest.mark.parametrize("to", ["array_record", "lmdb"])
def test_interrupted_anywhere_and_run_again(to, whole, tmp_path):
    src, expected = whole
    if to == "lmdb":
        prepare(open_published("mjsynth", src), tmp_path / "whole", to="lmdb", jobs=1)
        expected = contents(tmp_path / "whole")
    out, runs, questions = tmp_path / "out", 0, 0
    while True:
        runs, asked = runs + 1, 0

        def interrupted():
            nonlocal asked
            asked += 1
            return asked > 350 + 50 * runs  # noqa: B023

        with contextlib.suppress(shards.Interrupted):
            prepare(open_published("mjsynth", src), out, to=to, jobs=1, interrupted=interrupted)
            break
        assert (out / "partial").exists() and not (out / "report.json").exists()
        questions += asked
    assert runs > 2 and contents(out) == expected


def test_error_in_the_middle_of_finishing(whole, tmp_path, monkeypatch):
    """Stopped after the shards were moved but before the data set was described."""
    src, expected = whole
    with monkeypatch.context() as patch:
        patch.setattr(tfds.core.DatasetInfo, "write_to_directory", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            prepare(open_published("mjsynth", src), tmp_path / "out", jobs=1)
    assert any("array_record-" in name for name in os.listdir(tmp_path / "out"))
    prepare(open_published("mjsynth", src), tmp_path / "out", jobs=1)
    assert contents(tmp_path / "out") == expected


def test_command_killed_interrupted_and_continued(whole, tmp_path):
    """In processes, by kill -9 and by Ctrl-C as a terminal sends it: to all of them."""
    src, expected = whole
    out = tmp_path / "out"
    command = ["tools/prepare_data.py", "--from=mjsynth", f"--src={src}", f"--out={out}", "--jobs=2"]
    for number in (signal.SIGKILL, signal.SIGINT):
        process = subprocess.Popen(
            [sys.executable, *command],
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        lock = out / "partial" / "lock"  # written when the work begins, a second before the first shard is finished
        while not lock.exists() and process.poll() is None:
            time.sleep(0.01)
        lock.unlink()
        os.killpg(process.pid, number) if number == signal.SIGINT else process.kill()
        _, err = process.communicate(timeout=60)
        assert process.returncode == (130 if number == signal.SIGINT else -number), err
        assert not (out / "report.json").exists()
    assert err.strip().splitlines()[-1] == "interrupted; the same command continues" and "Traceback" not in err
    status, stdout, err = call(*command)
    assert status == 0 and contents(out) == expected, err
    assert f"{out}#train, {out}#test" in stdout and "empty image file: 8 (" in stdout
    # It is complete: the report is only said again.
    assert stdout.splitlines()[:-1] == describe(prepare(open_published("mjsynth", src), out))


def test_a_finished_import_notices_images_that_are_there_now(tmp_path, capsys):
    src, _, _ = folder(tmp_path / "folder")
    out = tmp_path / "out"
    labels = src / "train/words.tsv"
    labels.write_text(labels.read_text() + "new.png\tnew\n")
    report = prepare(open_published("folder", src), out, jobs=1)
    assert "new.png" in report["splits"]["train"]["left_out"]["missing file"]["examples"] and is_finished(out)
    command._import(command._parse(["--from=folder", f"--src={src}", f"--out={out}"]), lambda: False)
    said = capsys.readouterr().out.splitlines()
    assert said[0] == f"nothing was done: {out} holds this import already; its report:"
    assert said[1:-1] == describe(report)
    put(src / "train/new.png", png(1))
    with pytest.raises(InputError, match="finished import.*missing file.; some are there now: new.png; delete"):
        prepare(open_published("folder", src), out, jobs=1)


def test_only_one_import_at_a_time(whole, tmp_path):
    src, _ = whole

    def second():
        with pytest.raises(InputError, match="another import is writing"):
            prepare(open_published("mjsynth", src), tmp_path, jobs=1)
        return True

    with pytest.raises(shards.Interrupted):
        prepare(open_published("mjsynth", src), tmp_path, jobs=1, interrupted=second)


def test_other_content_is_refused(tmp_path):
    src, _, _ = mjsynth(tmp_path / "mj")
    out = tmp_path / "out"

    def again(says, **options):
        with pytest.raises(InputError, match=says) as error:
            prepare(open_published("mjsynth", src), out, jobs=1, **options)
        assert str(out) in str(error.value) and "\n" not in str(error.value)

    with pytest.raises(shards.Interrupted):
        prepare(open_published("mjsynth", src), out, limit=1, jobs=1, interrupted=lambda: True)
    again_at_the_second_shard = iter([False] * 2 + [True])
    with pytest.raises(shards.Interrupted):
        prepare(open_published("mjsynth", src), out, jobs=1, interrupted=lambda: next(again_at_the_second_shard))
    again("limit=None, not 3.*to continue", limit=3)
    prepare(open_published("mjsynth", src), out, jobs=1)
    again("check=True, not False.*delete", check=False)
    again("to='array_record', not 'lmdb'", to="lmdb")
    with pytest.raises(InputError, match="--from=mjsynth, not iiit5k"):
        prepare(open_published("iiit5k", iiit5k(tmp_path / "iiit5k")[0]), out, jobs=1)
    put(src / "mnt/ramdisk/max/90kDICT32px/annotation_val.txt", "./1/2/3_a.b_9.jpg 9\n")
    again("another version of .*annotation_val.txt")
    put(tmp_path / "full" / "mine.txt", "x")
    with pytest.raises(InputError, match="holds other files .mine.txt."):
        prepare(open_published("mjsynth", src), tmp_path / "full", jobs=1)
    with pytest.raises(InputError, match="cannot be used"):
        prepare(open_published("mjsynth", src), tmp_path / "full" / "mine.txt", jobs=1)


def test_nothing_usable_can_be_mended(tmp_path):
    src, words, _ = iiit5k(tmp_path / "set")
    (src / "train").rename(src / "elsewhere")
    for _ in range(2):
        with pytest.raises(InputError, match="no word can be used: missing file: 3 .train/0_1.png, train/1_1.png"):
            prepare(open_published("iiit5k", src), tmp_path / "out", splits=["train"], jobs=1)
    (src / "elsewhere").rename(src / "train")
    report = prepare(open_published("iiit5k", src), tmp_path / "out", splits=["train"], jobs=1)
    assert report["splits"]["train"]["words"] == len(words["train"]) and left_out(report) == {}
