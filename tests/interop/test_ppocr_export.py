"""Weights of a run in the graph that they came from: a made-up one and, if installed, the published one in RapidOCR."""

import jax
import numpy as np
import pytest
from ppocr_layout import CHARACTERS, installed, variables
from ppocr_layout import write as write_graph
from testing import REAL_WORDS

from jstr import export
from jstr.checkpoints import checkpoint
from jstr.interop import ppocr, ppocr_export
from jstr.text.messages import InputError


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("onnx") / "rec.onnx"
    write_graph(path, variables(len(CHARACTERS) + 2))
    return path


def run_of(folder, file, charset, change=lambda x: x):
    """A workdir whose weights came from `file` and were changed since."""
    made = ppocr.convert(file, charset)
    params, stats = jax.tree.map(change, (made.params, made.batch_stats))
    meta = {"config": made.config, "step": 0}
    checkpoint.save_variables(folder, {"model": params}, {"batch_stats": stats}, meta)
    return folder


def test_unchanged_weights_give_the_same_bytes(file, tmp_path):
    said = ppocr_export.write(run_of(tmp_path / "run", file, "aé"), file, tmp_path / "out.onnx")
    assert (tmp_path / "out.onnx").read_bytes() == file.read_bytes()
    assert "2 characters" in said and "3 others keep the weights" in said


def test_changed_weights_come_back(file, tmp_path):
    before = ppocr.read(file)
    run = run_of(tmp_path / "run", file, "aé", lambda x: x + 1)
    ppocr_export.write(run, file, tmp_path / "out.onnx")
    after = ppocr.read(tmp_path / "out.onnx")
    expected = {"params": before.params, "batch_stats": before.batch_stats}
    found = {"params": after.params, "batch_stats": after.batch_stats}
    classes = np.array([c in ("", "a", "é", " ") for c in ["", *CHARACTERS, " "]])
    for trees in (expected, found):
        trees["head"] = trees["params"].pop("classifier")
    jax.tree.map(
        lambda a, b: np.testing.assert_array_equal(a, b + 1),
        (found["params"], found["batch_stats"]),
        (expected["params"], expected["batch_stats"]),
    )
    for name in ("kernel", "bias"):
        np.testing.assert_array_equal(found["head"][name], expected["head"][name] + classes)


def test_a_cut_file_reads_the_charset_of_the_run(file, tmp_path):
    whole = ppocr.read(file).params["classifier"]["kernel"]
    for charset, columns, characters in (("éa", [0, 4, 2, 6], "éa "), ("é a", [0, 4, 2, 6], "éa ")):
        run = run_of(tmp_path / charset, file, charset)
        ppocr_export.write(run, file, tmp_path / "cut.onnx", cut=True)
        cut = ppocr.read(tmp_path / "cut.onnx")
        assert cut.characters == tuple(characters)
        np.testing.assert_array_equal(cut.params["classifier"]["kernel"], whole[:, columns])


def test_runs_that_do_not_fit(file, tmp_path):
    grown = run_of(tmp_path / "run", file, "aé")
    other = tmp_path / "other.onnx"
    write_graph(other, variables(4), characters=["x", "y"])
    with pytest.raises(InputError, match="no class for 'a', 'é'; give --cut"):
        ppocr_export.write(grown, other, tmp_path / "out.onnx")
    with pytest.raises(InputError, match="No such file or directory"):
        ppocr_export.write(grown, file, tmp_path / "none/out.onnx")
    checkpoint.save_variables(tmp_path / "crnn", {"model": {}}, {}, {"config": {"model": {"name": "four_stage"}}})
    with pytest.raises(InputError, match="a run of four_stage; only PP-OCR"):
        ppocr_export.write(tmp_path / "crnn", file, tmp_path / "out.onnx")


def test_the_command(file, tmp_path, capsys, monkeypatch):
    run = run_of(tmp_path / "run", file, "aé")
    monkeypatch.setitem(ppocr_export.NAMES, "v6_small", str(file))
    given = [f"--workdir={run}", f"--out={tmp_path / 'out.onnx'}"]
    assert export.run([*given, "--to=ppocr-onnx", "--cut"]) == 0
    assert "reads the 2 characters" in capsys.readouterr().out
    assert ppocr.read(tmp_path / "out.onnx").characters == ("a", "é", " ")
    with pytest.raises(InputError, match="--cut are for --to=ppocr-onnx"):
        export.run([*given, "--to=onnx", "--cut"])
    monkeypatch.delitem(ppocr_export.NAMES, "v6_small")
    with pytest.raises(InputError, match="several published files.*--original"):
        export.run([*given, "--to=ppocr-onnx"])


@pytest.mark.skipif(not installed(), reason="rapidocr is not installed: pip install --no-deps rapidocr")
def test_rapidocr_reads_with_the_written_file(tmp_path):
    """Texts and probabilities, all classes, after a change of all weights."""
    rapidocr = pytest.importorskip("rapidocr", reason="what rapidocr needs is not installed")
    import jstr

    rng = np.random.default_rng(0)
    charset = f"literal:{''.join(ppocr.read(installed()).characters)}"
    run = run_of(tmp_path / "run", installed(), charset, lambda x: x * rng.normal(1, 0.02, x.shape).astype("f4"))
    ppocr_export.write(run, installed(), tmp_path / "out.onnx")
    reader = jstr.load(run, "none")
    engine = rapidocr.RapidOCR(params={"Rec.model_path": str(tmp_path / "out.onnx"), "Global.log_level": "error"})
    files = sorted(map(str, REAL_WORDS.glob("*.png")))[:4]
    texts, _ = reader.read(files)
    assert [engine(f, use_det=False, use_cls=False).txts for f in files] == [(text,) for text in texts]
    pixels = np.stack(list(reader.pixels(files)))
    theirs = engine.text_rec.session(((pixels[..., ::-1] / 255 - 0.5) / 0.5).transpose(0, 3, 1, 2).astype("f4"))
    np.testing.assert_allclose(jax.nn.softmax(reader.logits(files)), theirs, atol=1e-4)
