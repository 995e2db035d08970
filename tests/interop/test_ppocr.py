"""Weights of PP-OCR, from made-up files in the published form and, if installed, from the published ones."""

import sys

import jax
import numpy as np
import pytest
from ppocr_layout import CHARACTERS, variables, write
from testing import quick_jit

from configs import common_ppocr
from jstr.checkpoints.checkpoint import read_meta
from jstr.core import ModelConfig
from jstr.interop import ppocr, weights
from jstr.interop.convert import _shortened, run
from jstr.models.ppocr import Model
from jstr.text.messages import InputError


@pytest.fixture(scope="module")
def made():
    return variables(len(CHARACTERS) + 2)


@pytest.fixture(scope="module")
def file(made, tmp_path_factory):
    path = tmp_path_factory.mktemp("onnx") / "rec.onnx"
    write(path, made)
    return path


def test_every_tensor_finds_its_place(made, file):
    published = ppocr.read(file)
    assert published.characters == tuple("0aAé§ ")
    found = {"params": published.params, "batch_stats": published.batch_stats}
    assert jax.tree.structure(found) == jax.tree.structure(made)
    jax.tree.map(np.testing.assert_array_equal, found, made)


@pytest.mark.parametrize("network", ["v6_tiny", "mobile"])
def test_the_other_networks_are_told_by_their_operations(network, tmp_path):
    made = variables(len(CHARACTERS) + 2, network)
    write(tmp_path / "rec.onnx", made, network=network)
    published = ppocr.read(tmp_path / "rec.onnx")
    found = {"params": published.params, "batch_stats": published.batch_stats}
    assert published.network == network and jax.tree.structure(found) == jax.tree.structure(made)
    jax.tree.map(np.testing.assert_array_equal, found, made)
    other = jax.tree.map(lambda x: x, made)
    other["params"]["block_1"]["project"]["kernel"] = np.zeros((48, 10), np.float32)
    write(tmp_path / "narrow.onnx", other, network=network)
    with pytest.raises(InputError, match="block 1 has a kernel of 3x3 and 10 channels.*another model"):
        ppocr.read(tmp_path / "narrow.onnx")


def test_dictionaries(made, tmp_path):
    """One a line, with or without blank and space, or PaddleOCR's inference.yml; flags take two code points."""
    file = tmp_path / "rec.onnx"
    write(file, made, characters=())
    for text in ("0\na\nA\n🇩🇪\n§", "blank\n0\na\nA\n🇩🇪\n§\n \n"):
        (tmp_path / "keys.txt").write_text(text)
        assert ppocr.read(file, tmp_path / "keys.txt").characters == ("0", "a", "A", "🇩🇪", "§", " ")
    (tmp_path / "inference.yml").write_text("PostProcess:\n  character_dict: ['0', a, A, é, §]\n")
    assert ppocr.read(file, tmp_path / "inference.yml").characters == tuple("0aAé§ ")
    (tmp_path / "inference.yml").write_text("Global: 1\n")
    for name, message in (("inference.yml", "character_dict"), ("none.txt", "No such file")):
        with pytest.raises(InputError, match=message):
            ppocr.read(file, tmp_path / name)
    (tmp_path / "keys.txt").write_text("0\na\n")
    with pytest.raises(InputError, match="7 classes, so 5 characters.*keys.txt names 2"):
        ppocr.read(file, tmp_path / "keys.txt")


def test_a_file_without_printable_ascii_is_read_whole(file):
    config = ppocr.convert(file).config
    assert config["charset"]["characters"] == "0aAé§" and config["model"]["space_as_blank"]


def test_a_charset_takes_its_classes_and_the_space_counts_as_blank(made, file):
    converted = ppocr.convert(file, "aé")
    kernel = made["params"]["classifier"]["kernel"]
    np.testing.assert_array_equal(converted.params["classifier"]["kernel"], kernel[:, [0, 2, 4, 6]])
    assert converted.config["model"]["space_as_blank"] and converted.config["charset"]["characters"] == "aé"
    config = converted.config
    shared = common_ppocr.ppocr(characters="aé")
    assert {name: config[name] for name in shared} == shared, "configs start from the same"
    spaced = ppocr.convert(file, "a 0")
    np.testing.assert_array_equal(spaced.params["classifier"]["kernel"], kernel[:, [0, 2, 6, 1]])
    assert not spaced.config["model"]["space_as_blank"]


def test_all_characters(made, file):
    whole = ppocr.convert(file, "all")
    assert whole.config["charset"]["characters"] == "0aAé§ " and not whole.config["model"]["space_as_blank"]
    np.testing.assert_array_equal(whole.params["classifier"]["kernel"], made["params"]["classifier"]["kernel"])


def test_english_words_are_expected_of_ascii_alone(file):
    """They would draw the words of another language away from what the image says."""
    for charset, words in (("0aA", "english"), ("0aé", "none"), ("all", "none")):
        assert ppocr.convert(file, charset).config["language_model"]["words"] == words


def test_a_charset_behind_a_file(file, tmp_path):
    (tmp_path / "some").write_text("aé\n")
    for charset, characters in (
        ("all", "0aAé§ "),
        (f"file:{tmp_path / 'some'}", "aé"),
        (f"file:{tmp_path}/some+space", "aé "),
    ):
        assert weights.read_meta(f"{file}:{charset}")["config"]["charset"]["characters"] == characters
        kernel = weights.load_variables(f"{file}:{charset}")["params"]["model"]["classifier"]["kernel"]
        assert kernel.shape[1] == 1 + len(characters) + (" " not in characters)
    run(["--format=ppocr", f"--checkpoint={file}:all", f"--out={tmp_path / 'run'}"])
    assert read_meta(tmp_path / "run")["config"]["charset"]["characters"] == "0aAé§ "
    with pytest.raises(
        InputError, match="there is no charset 'aé'; give all .*latin"
    ):  # a misspelt name looks the same
        weights.read_meta(f"{file}:aé")
    with pytest.raises(InputError, match="does not know '!'"):
        weights.read_meta(f"{file}:ascii")


def test_a_long_charset_is_shortened_where_it_is_printed():
    config = {"charset": {"characters": "ab" * 100, "lower": False}, "model": {}}
    assert _shortened(config)["charset"] == {"characters": "ab" * 50 + "... (200)", "lower": False}
    config["charset"]["characters"] = "a" * 94
    assert _shortened(config) == config


def test_the_command_takes_files_and_names_of_characters(file, tmp_path):
    (tmp_path / "some").write_text("aé\n")
    given = ["--format=ppocr", f"--checkpoint={file}", f"--out={tmp_path / 'run'}"]
    run([*given, f"--charset={tmp_path / 'some'}"])
    assert read_meta(tmp_path / "run")["config"]["charset"]["characters"] == "aé"
    with pytest.raises(InputError, match="does not know '!'"):
        run([*given, "--characters=latin+space"])


def test_files_that_do_not_fit(made, tmp_path, monkeypatch):
    with pytest.raises(InputError, match="does not exist"):
        ppocr.read(tmp_path / "none.onnx")
    (tmp_path / "text.onnx").write_text("no graph")
    with pytest.raises(InputError, match="not an ONNX file|another model"):
        ppocr.read(tmp_path / "text.onnx")
    write(tmp_path / "half.onnx", made)
    whole = (tmp_path / "half.onnx").read_bytes()
    (tmp_path / "half.onnx").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="half.onnx is not an ONNX file, or not all of one"):
        ppocr.read(tmp_path / "half.onnx")
    write(tmp_path / "short.onnx", made, leave_out=2)
    with pytest.raises(InputError, match="another model"):
        ppocr.read(tmp_path / "short.onnx")
    write(tmp_path / "nameless.onnx", made, characters=())
    with pytest.raises(InputError, match="name no characters"):
        ppocr.read(tmp_path / "nameless.onnx")
    write(tmp_path / "few.onnx", made, characters=CHARACTERS[:2])
    with pytest.raises(InputError, match="7 classes"):
        ppocr.read(tmp_path / "few.onnx")
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(InputError, match="pip install onnx"):
        ppocr.read(tmp_path / "few.onnx")


def _too_large(model):
    model.graph.initializer[0].dims[:] = [10**9] * 3


def _cut_tensor(model):
    model.graph.initializer[0].raw_data = model.graph.initializer[0].raw_data[:-3]


def _unknown_type(model):
    model.graph.initializer[0].data_type = 0


def _no_outputs(model):
    for node in model.graph.node:
        node.ClearField("output")


def _elsewhere(model):
    tensor = model.graph.initializer[0]
    tensor.data_location = tensor.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "../../../../../../../../etc/passwd"


@pytest.mark.parametrize("damage", [_too_large, _cut_tensor, _unknown_type, _no_outputs, _elsewhere])
def test_damaged_graphs_are_one_line(file, tmp_path, damage):
    onnx = pytest.importorskip("onnx")
    model = onnx.load(str(file))
    damage(model)
    (tmp_path / "rec.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(InputError) as error:
        ppocr.read(tmp_path / "rec.onnx")
    assert "\n" not in str(error.value) and len(str(error.value)) < 600


def test_unknown_characters_are_named(file):
    with pytest.raises(InputError, match="'z'"):
        ppocr.convert(file, "az")


@pytest.mark.parametrize("name", weights.PLACES)
def test_the_published_file_reads_as_onnxruntime_does(name):
    runtime = pytest.importorskip("onnxruntime")
    found = next((f for f in map(weights.installed, weights.PLACES[name]) if f), None)
    if found is None:
        pytest.skip(weights.how_to_install(name))
    published = ppocr.read(*found)
    config = ModelConfig((48, 320), 3, 25, len(published.characters) + 1, first_id=1, pad_id=0)
    given = {"params": published.params, "batch_stats": published.batch_stats}
    model = Model(config, published.network)
    ours = quick_jit(lambda x: jax.nn.softmax(model.apply(given, x, train=False)["logits"]))
    session, rng = runtime.InferenceSession(str(found.onnx)), np.random.default_rng(0)
    for width in (160, 320):
        images = rng.integers(0, 256, (2, 48, width, 3), np.uint8)
        theirs = session.run(None, {"x": ((images[..., ::-1] / 255 - 0.5) / 0.5).transpose(0, 3, 1, 2).astype("f4")})[0]
        np.testing.assert_allclose(ours(images), theirs, atol=2e-4)
