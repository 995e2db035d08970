"""The commands as a person types them: results on stdout, and one line on stderr with status 2 for what is wrong."""

import cv2
import lmdb
import numpy as np
import pytest
from testing import call, saved_run, tiny_config, write_folder

from jstr import evaluate
from jstr.text.messages import InputError
from jstr.training import loop

MAIN = ["-m", "jstr.main", "--config=tests/tiny.py"]


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    return saved_run(tmp_path_factory.mktemp("run"))


def write_lmdb(folder, count):
    env = lmdb.open(str(folder), map_size=1 << 24)
    picture = cv2.imencode(".png", np.zeros((8, 20, 3), np.uint8))[1].tobytes()
    with env.begin(write=True) as txn:
        for i in range(1, count + 1):
            txn.put(b"image-%09d" % i, picture)
            txn.put(b"label-%09d" % i, b"word")
        txn.put(b"num-samples", b"%d" % count)
    env.close()
    return folder


def bad_inputs(tmp_path):
    """name -> (path, what the line must say)."""
    empty, cut = write_lmdb(tmp_path / "empty", 0), write_lmdb(tmp_path / "cut", 200)
    data = (cut / "data.mdb").read_bytes()
    (cut / "data.mdb").write_bytes(data[: len(data) // 2])
    commas = write_folder(tmp_path / "commas", ["a", "b"])
    (commas / "labels.tsv").write_text("0000.png,a\n0001.png,b\n")
    return {
        "missing": (tmp_path / "nowhere", "nowhere"),
        "empty LMDB": (empty, "empty"),
        "truncated LMDB": (cut, "data.mdb"),
        "wrong separator": (commas, "labels.tsv"),
    }


def one_line(err):
    lines = err.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith("error: "), err
    return lines[0]


def test_bad_data_in_evaluate_and_main(tmp_path, workdir):
    for name, (path, says) in bad_inputs(tmp_path).items():
        with pytest.raises(InputError) as caught:
            evaluate.run([f"--workdir={workdir}", f"--data=x={path}"])
        assert says in str(caught.value) and "\n" not in str(caught.value), name
        with pytest.raises(InputError) as caught:
            loop.run(tiny_config(x=dict(path=str(path))), str(tmp_path / "run"))
        assert says in str(caught.value) and "\n" not in str(caught.value), name


@pytest.mark.parametrize(
    "command, says",
    [
        ([*MAIN, "--workdir=w", "--config.stepz=3"], "stepz"),
        ([*MAIN, "--workdir=w", "--config.model.widht=3"], "no 'widht' in config.model; did you mean 'width'?"),
        ([*MAIN, "--workdir=w", "--config.streams.x.batch_size=3"], "no 'x' in config.streams; it has labelled"),
        ([*MAIN, "--workdir=w", "--config.steps.x=3"], "config.steps is "),
        ([*MAIN, "--workdir=w", "--config.image.size[2]=3"], "config.image.size has 2 values"),
        ([*MAIN, "--workdir=w", "--config.steps=many"], "--config.steps=many: give a whole number"),
        ([*MAIN, "--workdir=w", "--config.steps=1.5"], "--config.steps=1.5: give a whole number"),
        ([*MAIN, "--workdir=w", "--config.steps"], "Missing value for flag --config.steps"),
        ([*MAIN, "--workdir=w", "--config.remat=perhaps"], "--config.remat=perhaps: give true or false"),
        ([*MAIN, "--workdir=w", "--config.optimizer={'a': "], "give a dict"),
        ([*MAIN, "--workdir=w", "--config.optimizer=[1]"], "give a dict"),
        ([*MAIN, "--workdir=w", "--config.image.size=(1,"], "give a tuple"),
        ([*MAIN, "--workdir=w", "--config.image.size[0]=32"], "config.image.size has 2 values; give all"),
        ([*MAIN, "--workdir=w", "--config.=3"], "there is no '' in config"),
        ([*MAIN, "--workdir=w", "--config=tests/tiny.py"], "--config is given twice"),
        (["-m", "jstr.main", "--config.steps=3"], "give --config=NAME"),
        ([*MAIN, "--workdri=w"], "workdri"),
        ([*MAIN, "--workdir=w", "steps=3"], "steps=3"),
        ([*MAIN], "--workdir=DIR"),
        (["-m", "jstr.main", "--config=configs/nothing.py", "--workdir=w"], "configs/nothing.py"),
        (["-m", "jstr.evaluate", "--workdir=/nowhere", "--data=x=y"], "/nowhere is not a workdir"),
        (["-m", "jstr.predict", "--workdir=/nowhere", "x.png"], "/nowhere is not a workdir"),
    ],
)
def test_one_clear_line_and_status_two(command, says):
    status, out, err = call(*command)
    assert status == 2 and says in one_line(err) and not out


def test_unknown_model_fields_and_objectives(tmp_path):
    for change, says in [
        (dict(name="five_stage"), "config.model.name='five_stage': choose one of .*four_stage"),
        (dict(name="four_stage", depth=3), "four_stage has no depth"),
        (dict(name="four_stage", features="vgg19"), "vgg, rcnn, resnet"),
    ]:
        config = tiny_config()
        config.model = change
        with pytest.raises(InputError, match=says):
            loop.run(config, str(tmp_path))
    config = tiny_config()
    config.objective.name = "supervisd"
    with pytest.raises(InputError, match="choose one of .*supervised"):
        loop.run(config, str(tmp_path))


def program(raised):
    """(exit status, stderr) of a command that raises this."""
    imports = "import errno, os\nfrom jstr.cli import cli\nfrom jstr.text.messages import *"
    code = f"{imports}\ndef run():\n    {raised}\ncli(run)"
    status, out, err = call("-c", code)
    assert not out
    return status, err


@pytest.mark.parametrize(
    "raised, says",
    [
        ("raise InputError('a\\nb is not there')", "error: a\\nb is not there\n"),
        ("open('/proc/nothing')", "error: /proc/nothing: No such file or directory\n"),
        ("open(b'/proc/no\\xff')", "error: /proc/no\\udcff: No such file or directory\n"),
        ("raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))", "error: No space left on device\n"),
    ],
)
def test_errors_of_programs_are_one_line(raised, says):
    assert program(raised) == (2, says)


def test_bugs_keep_their_traceback():
    for raised in ("raise RuntimeError('bug')", "assert False", "raise BrokenPipeError"):
        status, err = program(raised)
        assert status == 1 and "Traceback" in err


def test_output_of_any_script_and_a_reader_that_leaves():
    code = "from jstr.cli import cli; cli(lambda: print('caf\\udce9 \\ud55c'))"
    assert call("-c", code, PYTHONIOENCODING="cp1252")[:2] == (0, "caf\\udce9 \\ud55c\n")
    many = (
        "import os; from jstr.cli import cli; os.close(READ); cli(lambda: [print('x' * 99) for _ in range(9999)] and 0)"
    )
    pipe = "import os, sys; READ, write = os.pipe(); os.dup2(write, 1)\n" + many
    status, out, err = call("-c", pipe)
    assert (status, out, err) == (141, "", "")


def test_a_home_that_is_not_there(tmp_path):
    status, _, err = call("-m", "jstr.main", "--config=~nobody_here/x.py", f"--workdir={tmp_path}")
    assert status == 2 and "there is no such file" in one_line(err)
