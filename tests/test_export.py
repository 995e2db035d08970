"""Exports of a tiny run: what is written reads the same without JAX, and what is wrong is said."""

import json
import shutil
import subprocess
import sys
from dataclasses import asdict

import cv2
import numpy as np
import pytest
from testing import REAL_WORDS, ROOT, saved_run, write_folder

import jstr
from jstr import export, onnx_reader
from jstr.inference import calibration, exported_reader, same_reading, word_copy
from jstr.text.messages import InputError

pytest.importorskip("onnx", reason="onnx is not installed: pip install -e '.[test]'")
pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: pip install -e '.[test]'")
IMAGES = sorted(REAL_WORDS.glob("*.png"))[:5]


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("export")
    (folder / "list.txt").write_text("santa\nhotel\ntaxi\n")
    run = saved_run(folder / "run", language_model=dict(words=str(folder / "list.txt"), weight=0.5, width=4))
    scores = {"streets": dict(words=647, accuracy=81.45)}
    (folder / "run/results.json").write_text(json.dumps(dict(step=3, sets=scores)))
    return run


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("data") / "words", ["hotel", "taxi", "santa"])


@pytest.fixture(scope="module")
def exported(workdir, data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("export") / "onnx"
    assert export.run([f"--workdir={workdir}", "--to=onnx", f"--out={folder}", f"--check={data}"]) == 0
    return folder


def damaged(exported, tmp_path, name="reader.json"):
    """A copy of the export, and one of its files."""
    folder = tmp_path / "copy"
    shutil.copytree(exported, folder)
    return folder, folder / name


def test_the_exported_reader_reads_the_same(workdir, exported):
    reader, other = jstr.load(workdir), onnx_reader.load(exported, threads=1)
    images = [*IMAGES, np.zeros((32, 64), np.uint8), np.tile(cv2.imread(str(IMAGES[1])), (1, 12, 1))]
    (texts, values), (other_texts, other_values) = reader.read(images), other.read(images)
    assert other_texts == texts and other.prior is not None
    np.testing.assert_allclose(other_values, values, atol=1e-4)
    ours, theirs = reader.read(images, details=True)[-1], other.read(images, details=True)[-1]
    assert theirs.text == ours.text and len(ours.text) > 25  # read in parts
    assert [c.left for c in theirs.characters] == pytest.approx([c.left for c in ours.characters])
    assert other.read(IMAGES[0])[0] == texts[:1] and other.read([])[0] == []
    with pytest.raises(InputError, match=r"images\[1\]: .*not an image"):
        other.read([IMAGES[0], b"none"])


def test_greedily_in_batches_of_a_fixed_size(workdir, data, tmp_path, capsys):
    argv = ["--to=onnx", f"--out={tmp_path}", "--words=none", "--batch=2", f"--check={data}", "--licence=mine"]
    assert export.run([f"--workdir={workdir}", *argv]) == 0
    out = capsys.readouterr().out
    assert "3 of 3 texts identical" in out and "largest difference of probabilities" in out
    reader, other = jstr.load(workdir, "none"), onnx_reader.load(tmp_path)
    assert other.prior is None and other.read(IMAGES)[0] == reader.read(IMAGES)[0]
    card = (tmp_path / "README.md").read_text()
    assert "mine" in card and "3 of 3 texts identical" in card and "labelled/rendered: rendered" in card


def test_thresholds_and_patterns_are_exported(workdir, data, tmp_path, capsys):
    """And quantised weights, whose confidences are others, have no thresholds."""
    rights = np.r_[np.ones(200), np.zeros(20)]
    fitted = calibration.Calibration.of(np.linspace(1, 0.5, 220), rights, dict(data="words", pattern=None))
    file = tmp_path / "calibration.json"
    file.write_text(json.dumps(asdict(fitted)))
    argv = [f"--workdir={workdir}", "--to=onnx", f"--check={data}", f"--calibration={file}", "--allow=0123456789"]
    assert export.run([*argv, f"--out={tmp_path / 'whole'}"]) == 0
    assert "calibrated with pattern=None" in capsys.readouterr().err
    reader = onnx_reader.load(tmp_path / "whole")
    assert all(reader.threshold(p) == fitted.threshold(p) for p in (0.5, 0.9, 0.95, 0.98))
    assert "calibrated with pattern=None, not any text, allow 0123456789" in capsys.readouterr().err
    with pytest.raises(InputError, match="0.999: no confidence promises it on the words of words"):
        reader.threshold(0.999)
    card = (tmp_path / "whole/README.md").read_text()
    assert "| 0.98 | 0." in card and "| streets | 647 | 81.5 |" in card and "Pattern: allow 0123456789." in card
    assert "    0123456789abcdefghijklmnopqrstuvwxyz\n" in card
    assert set("".join(reader.read(IMAGES)[0])) <= set("0123456789")
    assert export.run([*argv, f"--out={tmp_path / 'small'}", "--quantise=dynamic-int8"]) == 0
    out, err = capsys.readouterr()
    assert "quantised weights have other confidences" in err and "word accuracy on 3 words" in out
    small = onnx_reader.load(tmp_path / "small")
    assert small.about["quantised"] == "dynamic-int8"
    with pytest.raises(InputError, match="was not calibrated"):
        small.threshold(0.9)


def test_safetensors_stand_for_a_workdir(workdir, data, tmp_path):
    pytest.importorskip("safetensors", reason="safetensors is not installed: pip install -e '.[test]'")
    argv = [f"--workdir={workdir}", "--to=safetensors", f"--out={tmp_path}", f"--check={data}"]
    assert export.run(argv) == 0
    assert jstr.load(tmp_path / "reader.safetensors").read(IMAGES)[0] == jstr.load(workdir).read(IMAGES)[0]


@pytest.mark.parametrize("file", ["", "other\n"])
def test_safetensors_have_the_list_that_the_run_kept(data, tmp_path, file):
    """Whose file is gone, or holds other words now; --words stands before it."""
    pytest.importorskip("safetensors", reason="safetensors is not installed: pip install -e '.[test]'")
    words, mine = tmp_path / "list.txt", tmp_path / "mine.txt"
    words.write_text("santa\nhotel\n"), mine.write_text("mine\n")
    run = saved_run(tmp_path / "run", language_model=dict(words=str(words), weight=0.5, width=4))
    word_copy.keep(run, dict(language_model=dict(words=str(words))))
    words.write_text(file) if file else words.unlink()
    for option, known in ([], "santa"), ([f"--words={mine}"], "mine"):
        out = tmp_path / known
        assert export.run([f"--workdir={run}", "--to=safetensors", f"--out={out}", f"--check={data}", *option]) == 0
        prior = jstr.load(out / "reader.safetensors").prior
        assert max(("santa", "mine", "other"), key=prior.log_whole) == known


def test_importing_the_reader_imports_no_jax():
    """Nor does it need Pillow."""
    code = (
        "import sys; sys.modules['PIL'] = None; from jstr import onnx_reader; "
        "print({'jax', 'flax', 'orbax', 'grain', 'scipy'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_an_earlier_export_stays_until_another_is_whole(workdir, data, exported, tmp_path, monkeypatch):
    folder, about = damaged(exported, tmp_path)
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    monkeypatch.setattr(export, "compare", lambda *_: 1 / 0)
    argv = [f"--workdir={workdir}", "--to=onnx", f"--out={folder}", f"--check={data}"]
    with pytest.raises(ZeroDivisionError):
        export.run(argv)
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before
    monkeypatch.undo()
    (folder / "killed.part").mkdir()
    assert export.run([*argv, "--words=none"]) == 0 and onnx_reader.load(folder).prior is None
    assert {file.name for file in folder.iterdir()} == set(before) - {"words.npz"}


def test_a_difference_is_an_error(workdir, data, tmp_path, monkeypatch, capsys):
    def run(**inputs):
        return [np.full((len(inputs["images"]), 15, 38), 1 / 38, np.float32)]

    monkeypatch.setattr(onnx_reader, "open_session", lambda *args: run)
    argv = [f"--workdir={workdir}", "--to=onnx", f"--out={tmp_path}", "--words=none", f"--check={data}"]
    monkeypatch.setattr(same_reading, "_difference", lambda *args: 1.0)
    assert export.run(argv) == 1 and "became ''" in capsys.readouterr().out


def test_a_damaged_export(exported, tmp_path):
    folder, about = damaged(exported, tmp_path)
    (folder / "words.npz").write_bytes(b"PK")
    whole = json.loads(about.read_text())
    whole["files"]["words.npz"] = exported_reader.checksum(folder / "words.npz")
    about.write_text(json.dumps(whole))
    with pytest.raises(InputError, match="words.npz is damaged .*; export again"):
        onnx_reader.load(folder)
    file = folder / "reader.onnx"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(InputError, match="reader.onnx is damaged"):
        onnx_reader.load(folder)
    file.unlink()
    with pytest.raises(InputError, match="reader.onnx: No such file"):
        onnx_reader.load(folder)
    for change in ({"config": {}}, {"kind": []}, {"files": {}}, {"frames": "many"}):
        about.write_text(json.dumps(whole | {"files": {}} | change))
        with pytest.raises(InputError, match="export"):
            onnx_reader.load(folder)
    about.write_text(json.dumps(whole | {"format": 99}))
    with pytest.raises(InputError, match="format 99"):
        onnx_reader.load(folder)
    about.write_text("{")
    with pytest.raises(InputError, match="reader.json is damaged"):
        onnx_reader.load(folder)
    with pytest.raises(InputError, match="is not an export"):
        onnx_reader.load(tmp_path)


def test_a_graph_that_onnxruntime_cannot_run(exported, tmp_path, monkeypatch):
    import onnx

    graph = onnx.load(exported / "reader.onnx")
    graph.opset_import[0].version = 99
    file = tmp_path / "reader.onnx"
    file.write_bytes(graph.SerializeToString())
    with pytest.raises(InputError, match="cannot run it: ONNX Runtime only .guarantees. support for .*Opset 99"):
        onnx_reader.open_session(file, 1, ["CPUExecutionProvider"])
    with pytest.raises(InputError, match="has no Nonsense; it has .*CPUExecutionProvider"):
        onnx_reader.load(exported, providers=["Nonsense"])
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(InputError, match=r"pip install 'jstr\[onnx\]'"):
        onnx_reader.load(exported)


def test_what_cannot_be_exported(workdir, data, exported, tmp_path, monkeypatch):
    with pytest.raises(InputError, match="is for --to=onnx"):
        export.run(["--to=safetensors", "--quantise=dynamic-int8", f"--out={tmp_path}"])
    with pytest.raises(InputError, match="holds other files"):
        export.run([f"--workdir={workdir}", "--to=onnx", f"--out={data}", f"--check={data}"])
    monkeypatch.setitem(sys.modules, "litert_converter", None)
    with pytest.raises(InputError, match=r"pip install 'jstr\[tflite\]'"):
        export.run([f"--workdir={workdir}", "--to=tflite", f"--out={tmp_path / 'lite'}", f"--check={data}"])
    assert not (tmp_path / "lite").exists()
    with pytest.raises(InputError, match="is an export: jstr.onnx_reader"):
        jstr.load(exported)
    with pytest.raises(InputError, match="is an export: jstr.onnx_reader"):
        jstr.load(exported / "reader.onnx")
    with pytest.raises(InputError, match="not to stablehlo"):
        export.load_stablehlo(exported)


def test_a_reader_of_other_letters_is_compared_on_words_that_it_can_read(workdir, tmp_path, monkeypatch):
    """And its accuracy is that of its letters, which the published protocol leaves out."""
    charset = dict(layout="cr_ctc", max_length=8)
    reader = jstr.load(saved_run(tmp_path / "run", charset=charset | dict(characters="абвгд")))
    words = same_reading.sample_words(None, None, reader)
    assert words.name == "rendered words" and set("".join(words.labels)) == set("абвгд")
    result = same_reading.compare(reader, reader, words)
    assert result.labelled == 64 and "word accuracy (exact) on 64 words" in result.lines()[-2]
    assert same_reading.sample_words(None, None, jstr.load(workdir)).name == "sample words"
    reader = jstr.load(saved_run(tmp_path / "no_font", charset=charset | dict(characters="\U000e0100")))
    assert same_reading.sample_words(None, None, reader).name == "sample words"
    monkeypatch.setattr(same_reading, "SAMPLES", tmp_path / "none")
    with pytest.raises(InputError, match="^--check=DATA is missing: no words can be rendered"):
        same_reading.sample_words(None, None, reader)
