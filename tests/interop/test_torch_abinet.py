"""Published checkpoints of ABINet and SemiMTR become our parameters, or one clear error.

That the values are right: tests/models/test_abinet.py.
"""

import json
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from abinet_layout import state
from PIL import Image
from testing import REAL_WORDS, write_folder

from jstr import evaluate, predict
from jstr.checkpoints import checkpoint
from jstr.core import ModelConfig
from jstr.inference.reader import Reader, load
from jstr.interop import torch_abinet
from jstr.models import make_model
from jstr.text import LAYOUTS, Charset
from jstr.text.messages import InputError

SMALL = dict(width=128, blocks=(1, 1, 1, 1, 1), layers=1, language=2)
CONFIG = ModelConfig((32, 128), 3, 25, 37, **vars(LAYOUTS["abinet"]))
NETWORKS = {"full": "abinet", "vision": "abinet_vision", "language": "abinet_language"}


def same(a, b):
    jax.tree.map(np.testing.assert_array_equal, a, b)


@pytest.mark.parametrize("part, name", NETWORKS.items())
def test_every_part_is_used_and_fits(part, name):
    result = torch_abinet.convert(state(part, **SMALL))
    fields = dict(result.config["model"])
    assert fields.pop("name") == name and fields["width"] == 1 / 4
    if part != "language":
        assert fields["blocks"] == (1, 1, 1, 1, 1) and fields["num_layers"] == 1 and fields["attention"] == "position"
    assert result.config["image"] == {"size": (32, 128), "channels": 3, "keep_ratio": False, "backend": "cv2_linear"}
    charset = Charset.make(**result.config["charset"])
    assert charset.num_classes == 37 and charset.encode("a0")[:4].tolist() == [-1, 1, 36, 0]
    model, _ = make_model(result.config["model"], charset, (32, 128), 3)
    example = jnp.zeros((1, 26), jnp.int32) if part == "language" else jnp.zeros((1, 32, 128, 3))
    shapes = dict(jax.eval_shape(lambda: model.init(jax.random.key(0), example, train=False)))
    ours = {"params": result.params} | ({"batch_stats": result.batch_stats} if part != "language" else {})
    assert jax.tree.map(lambda x: (x.shape, x.dtype), shapes) == jax.tree.map(lambda x: (x.shape, x.dtype), ours)


def test_parts_of_a_full_network_are_the_parts_alone():
    full = torch_abinet.convert(state("full", **SMALL)).params
    same(full["vision"], torch_abinet.convert(state("vision", **SMALL)).params)
    same(full["language"], torch_abinet.convert(state("language", **SMALL)).params)


def test_small_vision_forms():
    result = torch_abinet.convert(state("vision", attention="additive", **SMALL | dict(layers=2)))
    assert result.config["model"]["attention"] == "additive" and result.config["model"]["num_layers"] == 2


def test_envelopes_and_prefixes():
    """What fastai and Lightning save, SemiMTR's first stage, and its network with a teacher, which is left out."""
    plain, vision = torch_abinet.convert(state(**SMALL)), torch_abinet.convert(state("vision", **SMALL))
    tensors = state(**SMALL)
    lightning = {"state_dict": {f"model.{k}": v for k, v in tensors.items()}, "epoch": 3}
    student = {f"student.{k}": v for k, v in tensors.items()} | {f"teacher.{k}": 0 * v for k, v in tensors.items()}
    for checkpoint_ in ({"model": tensors, "opt": {}}, lightning, student):
        result = torch_abinet.convert(checkpoint_)
        assert result.config == plain.config
        same(result.params, plain.params)
    stage = {f"vision.{k}": v for k, v in state("vision", **SMALL).items()}
    result = torch_abinet.convert(stage)
    assert result.config == vision.config
    same(result.params, vision.params)


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda s: s.pop("cls.bias"), r"lacks 1 tensor\(s\): vision.cls.bias"),
        (lambda s: s.update(extra=np.zeros(2)), r"holds unknown 1 tensor\(s\): vision.extra"),
        (lambda s: s.update({"attention.project.weight": np.zeros((128, 9))}), "unexpected shapes in .*project.weight"),
        (lambda s: s.update({"attention.pos_encoder.pe": np.zeros((26, 1, 128))}), "sines and cosines"),
        (lambda s: s.update({"attention.pos_encoder.pe": np.zeros(())}), r"pos_encoder.pe \[\] where 3 axes"),
        (lambda s: s.update({"backbone.pos_encoder.pe": np.zeros((256, 2, 128))}), "sines and cosines"),
        (lambda s: s.update({"cls.weight": np.zeros(128)}), r"cls.weight \[128\] where 2 axes"),
        (lambda s: s.update({"cls.bias": np.array(["a"] * 37)}), "other things than real numbers: cls.bias"),
        (
            lambda s: s.update({"backbone.transformer.layers.0.self_attn.in_proj_weight": np.ones(())}),
            "unexpected shapes",
        ),
        (lambda s: s.update({"cls.weight": np.zeros((38, 128)), "cls.bias": np.zeros(38)}), "checkpoint has 38"),
    ],
)
def test_refuses(change, message):
    tensors = state("vision", **SMALL)
    change(tensors)
    with pytest.raises(InputError, match=message):
        torch_abinet.convert(tensors)


def test_refuses_other_networks_and_images():
    with pytest.raises(InputError, match="neither a vision model"):
        torch_abinet.convert({"Prediction.weight": np.zeros((3, 4))})
    with pytest.raises(InputError, match="image_size is 32x100, but .* 256 cells"):
        torch_abinet.convert(state("vision", **SMALL), image_size=(32, 100))


def test_another_charset():
    tensors = state("language", **SMALL | dict(classes=11))
    result = torch_abinet.convert(tensors, charset="abcdefghij")
    assert Charset.make(**result.config["charset"]).characters == "abcdefghij"


@pytest.fixture(scope="module")
def workdirs(tmp_path_factory):
    """Workdirs of a full network and of a language model."""
    found = {}
    for part in ("full", "language"):
        result = torch_abinet.convert(state(part, **SMALL))
        found[part] = tmp_path_factory.mktemp(part) / "run"
        model_state = {"batch_stats": result.batch_stats} if result.batch_stats else {}
        meta = {"config": result.config, "step": 0, "seconds": 0.0, "sums": {}, "commit": "none"}
        checkpoint.save_variables(found[part], {"model": result.params}, model_state, meta)
    return found


@pytest.fixture(scope="module")
def full(workdirs):
    return load(workdirs["full"])


def test_workdir_of_a_full_network_reads_head_by_head(full):
    reader = full
    images = np.random.default_rng(0).integers(0, 256, (3, 32, 128, 3), np.uint8)
    heads = reader.read_heads(images)
    assert tuple(heads) == ("vision", "language", "fusion")
    texts, confidences = reader.read_batch(images)
    assert heads["fusion"][0] == texts
    np.testing.assert_allclose(heads["fusion"][1], confidences, rtol=1e-5)
    texts_too, maps = reader.attention_maps(images)
    assert texts_too == texts and maps.shape == (3, 26, 8, 32)
    np.testing.assert_allclose(maps.sum(axis=(2, 3)), 1, atol=1e-5)
    sheet = reader.attention_sheet(images, 3)
    assert sheet.dtype == np.uint8 and sheet.shape == (3 * (24 + 28), 100 * (1 + max(map(len, texts))), 3)
    with pytest.raises(InputError, match="reads images, not words"):
        reader.correct(["a"])


def test_commands_show_heads_and_where_they_look(full, tmp_path, monkeypatch, capsys):
    """Four images, as many as the test above compiled for."""
    monkeypatch.setattr(predict, "load", lambda *_: full)
    monkeypatch.setattr(evaluate, "load", lambda *_: full)
    paths = [str(p) for p in sorted(REAL_WORDS.glob("*.png"))[:4]]
    texts = full.read(paths)[0]
    assert predict.run(["--heads", f"--attention={tmp_path / 'seen.png'}", *paths]) == 0
    lines = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert [line[0] for line in lines] == paths
    said = [re.fullmatch(r"vision (\w*) -> language (\w*) -> fusion (\w*)", line[1]).groups() for line in lines]
    assert [fusion for *_, fusion in said] == texts
    with Image.open(tmp_path / "seen.png") as picture:
        assert picture.size[1] == 4 * (24 + 28) and len(picture.getcolors(1 << 20)) > 100
    assert predict.run(["--heads", "--json", *paths]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [tuple(row["heads"].values()) for row in rows] == said and [row["text"] for row in rows] == texts
    words = write_folder(tmp_path / "words", ["ab", "cd", "ef", "gh"])
    evaluate.run([f"--data=made={words}", "--batch_size=4"])
    title, _, row, *_ = (line.strip("|").split("|") for line in capsys.readouterr().out.splitlines())
    assert [name.strip() for name in title][-3:] == ["vision", "language", "fusion"]
    assert row[2].strip() == row[-1].strip()


def test_workdir_of_a_language_model_corrects_words(workdirs):
    reader = load(workdirs["language"])
    texts, confidences = reader.correct(["Hause", "a", "x" * 25])
    assert len(texts) == 3 and ((confidences >= 0) & (confidences <= 1)).all()
    assert reader.read_heads(np.zeros((1, 32, 128, 3), np.uint8)) == {}
    with pytest.raises(InputError, match="a language model reads words, not images"):
        reader.read(np.zeros((20, 60, 3), np.uint8))
    for word, message in (("y" * 26, "give 1 to 25 characters"), ("!", "give 1 to 25")):
        with pytest.raises(InputError, match=message):
            reader.correct([word])


def test_a_recogniser_without_heads_has_none():
    config = torch_abinet.convert(state("vision", **SMALL)).config
    assert Reader(config).heads == () and Reader(config).has_attention
