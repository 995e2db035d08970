"""An exported attention decoder against the reader of JAX: beam search, patterns, greedily, batches of a fixed size."""

import jax
import numpy as np
import pytest
from onnx_testing import random_variables, session

from jstr.inference.exported_reader import ExportedReader
from jstr.inference.reader import Reader
from jstr.interop import onnx_models
from jstr.text.messages import InputError

CONFIG = dict(
    charset=dict(characters="abc12", layout="dtrb_attention", max_length=4),
    image=dict(size=(32, 40), channels=1, keep_ratio=False, backend="cv2"),
    model=dict(name="four_stage", features="vgg", sequence="none", prediction="attention", width=1 / 32),
)


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    words = tmp_path_factory.mktemp("words") / "list.txt"
    words.write_text("abc\ncab\nbaca\n")
    made = Reader(CONFIG | dict(language_model=dict(words=str(words), weight=0.2, width=3)))
    variables = random_variables(made.model, gain=3.0)
    variables["params"]["decoder"]["classifier_bias"][:2] -= 6.0  # words end later
    return made.with_variables(variables)


@pytest.fixture(scope="module")
def pictures():
    return np.random.default_rng(5).integers(0, 256, (4, 32, 40), np.uint8)


def exported(reader, batch=None, prior=True):
    graphs = onnx_models.write("four_stage", reader.model, reader.variables, batch or "batch")
    runs = {name: session(graph).run for name, graph in graphs.items()}
    networks = {name: lambda run=run, **inputs: run(None, inputs) for name, run in runs.items()}
    about = dict(config=CONFIG | dict(language_model=dict(weight=0.2, width=3)), batch=batch, frames=None)
    return ExportedReader(about, networks, reader.prior if prior else None)


@pytest.mark.parametrize("batch", [None, 3])
def test_beam_search_with_a_prior(reader, pictures, batch):
    other = exported(reader, batch)
    texts, confidences = reader.read(list(pictures))
    found, values = other.read(list(pictures))
    assert found == texts and any(texts)
    np.testing.assert_allclose(values, confidences, atol=1e-4)
    code = "[12]{2,3}"
    found, _ = other.read(list(pictures), pattern=code)
    assert found == reader.read(list(pictures), pattern=code)[0] and all(set(text) <= set("12") for text in found)


def test_details(reader, pictures):
    other = exported(reader, 3)
    pairs = zip(reader.read(list(pictures), details=True), other.read(list(pictures), details=True), strict=True)
    for ours, theirs in pairs:
        assert [c.character for c in theirs.characters] == [c.character for c in ours.characters]
        for a, b in zip(ours.characters, theirs.characters, strict=True):
            assert b[1:] == pytest.approx(a[1:], abs=1e-4) and (b.left is None or 0 <= b.left < b.right <= 1)
        assert [text for text, _ in theirs.alternatives] == [text for text, _ in ours.alternatives]
    tall = [np.ascontiguousarray(np.rot90(picture)) for picture in pictures[:2]]
    assert other.read(tall, turn="auto")[0] == reader.read(tall, turn="auto")[0]
    with pytest.raises(InputError, match="turn='left'"):
        other.read(tall, turn="left")


def test_details_of_words_that_never_end(reader, pictures):
    variables = jax.tree.map(np.array, reader.variables)
    variables["params"]["decoder"]["classifier_bias"][:2] -= 100.0
    endless = Reader(CONFIG, variables)
    for one in (endless, exported(endless, prior=False)):
        texts, _ = one.read(list(pictures))
        found = one.read(list(pictures), details=True)
        assert [len(text) for text in texts] == [5] * 4 and [d.text for d in found] == texts
        assert all(len(d.characters) == 5 for d in found)


def test_greedily(reader, pictures):
    greedy = Reader(CONFIG, reader.variables)
    texts, confidences = greedy.read(list(pictures))
    found, values = exported(reader, prior=False).read(list(pictures))
    assert found == texts and any(texts)
    np.testing.assert_allclose(values, confidences, atol=1e-4)
