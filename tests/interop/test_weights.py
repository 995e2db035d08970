"""Names of published readers, from made-up packages with a made-up file."""

import importlib

import jax
import numpy as np
import pytest

import jstr
from configs import common_ppocr
from configs.adapt import get_config
from jstr.checkpoints import packed
from jstr.interop import weights
from jstr.text.messages import InputError

NAME = weights.STRONGEST


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of the name that `rapidocr` has, which must not be imported; its folder of models."""
    root = tmp_path / "site" / "rapidocr"
    (root / "models").mkdir(parents=True)
    (root / "__init__.py").write_text("raise AssertionError('imported')")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    importlib.invalidate_caches()
    return root / "models"


def test_a_name_is_found_in_its_package(package, capsys):
    file = package / "PP-OCRv6_rec_small.onnx"
    file.write_bytes(b"another file")
    assert weights.find_onnx(NAME).onnx == file
    assert "another SHA-256" in capsys.readouterr().err
    with pytest.raises(InputError, match="not an ONNX file|another model|onnx"):
        weights.read_meta(NAME)


def test_a_file_whose_digest_is_known_is_read_in_silence(package, monkeypatch, capsys):
    (package / "a.onnx").write_bytes(b"abc")
    digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    monkeypatch.setitem(weights.PLACES, NAME, (weights.Place("rapidocr", "rapidocr", "models/a.onnx", digest),))
    assert weights.find_onnx(NAME) == (package / "a.onnx", None, None) and not capsys.readouterr().err
    assert weights.find_onnx(f"{NAME}:latin+space") == (package / "a.onnx", None, "latin+space")


def test_the_default_is_the_strongest_that_is_installed(package, monkeypatch, capsys):
    monkeypatch.setitem(weights.PLACES, NAME, weights.PLACES[NAME][:1])
    name, line = weights.default()
    assert name == "bundled" and "ppocrv6-small reads better: pip install" in line
    (package / "PP-OCRv6_rec_small.onnx").write_bytes(b"x")
    name, line = weights.default()
    assert name == NAME and "reading with ppocrv6-small; --workdir=bundled" in line
    monkeypatch.setattr(weights, "default", lambda: ("bundled", "a line"))
    jstr.load()
    assert capsys.readouterr().err == "a line\n"


def test_two_opencvs_are_said(package, monkeypatch, capsys):
    (package / "PP-OCRv6_rec_small.onnx").write_bytes(b"x")
    monkeypatch.setattr(weights.importlib.metadata, "version", lambda project: "5.0")
    weights._say_two_opencvs.cache_clear()
    weights.find_onnx(NAME)
    assert "opencv-python 5.0 and opencv-python-headless 5.0 overwrite" in capsys.readouterr().err


def test_a_missing_package_says_what_to_install(monkeypatch):
    monkeypatch.setitem(weights.PLACES, NAME, (weights.Place("rapidocr", "no_such_package", "a.onnx", ""),))
    for use in (weights.read_meta, weights.load_variables, jstr.load):
        with pytest.raises(InputError, match="pip install --no-deps rapidocr .*opencv-python"):
            use(NAME)


def test_bundled_and_other_files(tmp_path, monkeypatch):
    assert weights.read_meta("bundled") == weights.read_meta(packed.BUNDLED)
    jax.tree.map(
        np.testing.assert_array_equal, weights.load_variables("bundled"), weights.load_variables(packed.BUNDLED)
    )
    with pytest.raises(InputError, match="none.onnx: No such file"):
        weights.read_meta(tmp_path / "none.onnx")
    with pytest.raises(InputError, match="not a workdir"):
        weights.read_meta(tmp_path)
    monkeypatch.setattr(packed, "BUNDLED", tmp_path / "none.npz")
    with pytest.raises(InputError, match="no reader comes with this copy"):
        weights.load_variables("bundled")


def test_what_is_no_workdir_says_what_to_give(tmp_path):
    (tmp_path / "exported").mkdir()
    (tmp_path / "exported" / "reader.safetensors").touch()
    given = {"ppocrv6_small": "did you mean ppocrv6-small", "ppocrv6-smal:all": "did you mean ppocrv6-small:all"}
    given |= {"bundled:latin": "bundled reads its own characters only", f"{NAME}:frensh": "no charset 'frensh'"}
    given |= {tmp_path / "a": "a is not a workdir: it does not exist"}
    given |= {tmp_path: "it has no folder checkpoints", tmp_path / "exported": "give the file .*reader.safetensors"}
    for where, message in given.items():
        with pytest.raises(InputError, match=message):
            jstr.load(where)


def test_an_onnx_file_is_read_once_for_meta_and_variables(tmp_path, monkeypatch):
    file, calls = tmp_path / "a.onnx", []
    file.write_bytes(b"x")
    made = weights.Converted({"charset": {"characters": "ab"}}, {"a": 1}, {"b": 2})
    monkeypatch.setattr(weights.ppocr, "convert", lambda path, charset, dictionary: calls.append(path) or made)
    assert weights.read_meta(file) == {"config": made.config, "step": 0}
    assert weights.load_variables(str(file)) == {
        "params": {"model": {"a": 1}},
        "model_state": {"batch_stats": {"b": 2}},
    }
    assert calls == [file]
    file.write_bytes(b"changed")
    weights.read_meta(file)
    assert len(calls) == 2


def test_configs_know_the_published_readers():
    assert set(common_ppocr.PUBLISHED) == set(weights.PLACES)
    for name, network in common_ppocr.PUBLISHED.items():
        config = get_config(f"start={name}")
        assert config.init_from == (("model", name, "model"),) and config.model.network == network


def test_configs_take_the_characters_behind_a_name():
    """So that what reads the images for the run reads the same as what is trained."""
    for characters, words in (
        ("latin", "none"),
        ("latin+space", "none"),
        ("ascii", "english"),
        ("file:greek.txt", "none"),
    ):
        config = get_config(f"start={NAME}:{characters}")
        assert config.charset.characters == characters and config.words == words
        assert config.model.space_as_blank == ("+space" not in characters)
        assert config.streams.labelled.sources.read.read_by.workdir == f"{NAME}:{characters}"
    with pytest.raises(ValueError, match=f"jstr convert --format=ppocr --checkpoint={NAME}:all --out=DIR"):
        get_config(f"start={NAME}:all")
