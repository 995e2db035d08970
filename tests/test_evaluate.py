"""python -m jstr.evaluate."""

import json

import pytest
from testing import saved_run, write_folder

from jstr import evaluate
from jstr.text.messages import InputError


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    return saved_run(tmp_path_factory.mktemp("run"))


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


def test_a_set_that_cannot_be_scored_is_said_before_any_is_read(workdir, tmp_path, monkeypatch):
    good, bad = (write_folder(tmp_path / name, labels) for name, labels in (("good", ["ab"]), ("bad", ["!!", "?"])))
    monkeypatch.setattr(evaluate, "score", lambda *_: pytest.fail("read"))
    with pytest.raises(InputError, match="bad: none of its 2 samples can be scored by protocol alnum36"):
        evaluate.run([f"--workdir={workdir}", f"--data=good={good}", f"--data=bad={bad}"])


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
