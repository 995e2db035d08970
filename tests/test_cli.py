"""The commands as a person types them: results on stdout, and one line on stderr with status 2 for what is wrong."""

import json
import shutil

import cv2
import lmdb
import numpy as np
import pytest
from testing import REAL_WORDS, call, tiny_config, write_folder

from jstr import evaluate, predict
from jstr.core import InputError
from jstr.inference import score
from jstr.training import loop

MAIN = ["-m", "jstr.main", "--config=tests/tiny.py"]


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    loop.run(tiny_config(), str(folder))
    return folder


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
        ([*MAIN, "--workdir=w", "--config.steps=many"], "many"),
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


def test_evaluate(workdir, tmp_path, capsys):
    words = write_folder(tmp_path / "words", ["ab", "cde", "f-g", "!!", "hij"])
    (words / "0004.png").write_bytes(b"broken")
    file = tmp_path / "out.json"
    data = [f"--data={name}={words}" for name in ("any", "IC13_1015", "IC13_857")]
    evaluate.run([f"--workdir={workdir}", *data, f"--json={file}"])
    captured = capsys.readouterr()
    sets = json.loads(file.read_text())["sets"]
    assert {n: (s["words"], s["left_out"], s["broken"]) for n, s in sets.items()} == {
        "any": (3, 1, ["0004.png"]),
        "IC13_1015": (2, 2, ["0004.png"]),
        "IC13_857": (1, 3, ["0004.png"]),
    }
    assert "average by words" in captured.out and "average by sets" in captured.out
    assert "any: 1 words left out, without a label that the protocol can score" in captured.err
    assert "any: 1 broken or missing images not scored: 0004.png" in captured.err
    assert "IC13_857: the field's subset has 857 words, this one 1" in captured.err


def test_evaluate_counts_do_not_depend_on_the_batch(workdir):
    results = []
    for size in (1, 7, 64):
        reader = evaluate.load(workdir)
        source = evaluate.open_source(str(REAL_WORDS))
        results.append(score.score(reader, source, "real", batch_size=size))
    assert {r.words for r in results} == {64}
    assert len({(r.correct, r.errors, round(r.confidence_sum, 3)) for r in results}) == 1


@pytest.mark.parametrize(
    "arguments, says",
    [
        (["--data=words"], "give NAME=PATH"),
        (["--data=a=x", "--data=a=y"], "given twice"),
        (["--data=a=x", "--json=/no/folder/out.json"], "folder does not exist"),
        (["--data=a=x", "--batch_size=0"], "positive"),
    ],
)
def test_bad_evaluate_arguments(workdir, arguments, says):
    with pytest.raises(InputError, match=says):
        evaluate.run([f"--workdir={workdir}", *arguments])


def test_predict(workdir, tmp_path, capsys):
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("iiit5k_6_7.png", "svt_0138.jpg"):
        shutil.copy(REAL_WORDS / name, folder / name)
    (folder / "notes.txt").write_text("not an image")
    assert predict.run([f"--workdir={workdir}", str(folder)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("\t")[0] for line in lines] == [str(folder / n) for n in ("iiit5k_6_7.png", "svt_0138.jpg")]
    assert all(0 <= float(line.split("\t")[2]) <= 1 for line in lines)

    bad = folder / "bad.png"
    bad.write_bytes(b"broken")
    assert predict.run([f"--workdir={workdir}", "--json", str(folder), str(tmp_path / "none.jpg")]) == 1
    captured = capsys.readouterr()
    assert [json.loads(line)["path"] for line in captured.out.splitlines()] == [line.split("\t")[0] for line in lines]
    assert captured.err.splitlines() == [
        f"{bad}: not an image that can be decoded",
        f"{tmp_path}/none.jpg: No such file or directory",
    ]


def test_predict_of_an_empty_folder(workdir, tmp_path, capsys):
    assert predict.run([f"--workdir={workdir}", str(tmp_path)]) == 1
    assert "no image files" in capsys.readouterr().err
