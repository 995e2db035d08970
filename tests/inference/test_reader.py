"""Readers: what they take, what they share, what they refuse."""

from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image
from testing import REAL_WORDS, language_config, quick_jit, saved_run

import jstr
from jstr.decoding.ngram_lm import WordPrior
from jstr.inference.reader import Reader
from jstr.models import example_input
from jstr.text.messages import InputError

GOOD = np.zeros((20, 60, 3), np.uint8)


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    return jstr.load(saved_run(tmp_path_factory.mktemp("run")))


def test_a_workdir_in_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    saved_run(tmp_path / "run")
    assert jstr.load("~/run").step == jstr.load(Path("~/run")).step == 0


@pytest.mark.parametrize("words, expects", [(None, True), ("english", True), ("none", False), ("", False)])
def test_words_that_are_expected_are_said(tmp_path, monkeypatch, capsys, words, expects):
    run = saved_run(tmp_path / "run", language_model=dict(words="english"))
    monkeypatch.setattr("jstr.interop.weights.default", lambda: (run, "reading"))
    reader = jstr.load(None, words)
    assert ("english words expected" in capsys.readouterr().err) == (reader.prior is not None) == expects


def test_a_language_model_reads_words(tmp_path):
    config = language_config(tmp_path)
    reader = Reader(config.to_dict())
    shape = example_input(reader.model)
    reader.variables = quick_jit(
        lambda: reader.model.init(jax.random.PRNGKey(3), np.zeros(shape.shape, shape.dtype), train=False)
    )()
    assert len(reader.correct("bad")[0]) == 1 and reader.correct("bad")[0] == reader.correct(["bad"])[0]
    with pytest.raises(InputError, match="give at least one word"):
        reader.correct([])
    for read in (reader.logits, reader.read):
        with pytest.raises(InputError, match="reads words, not images"):
            read([GOOD])


def test_readers_of_one_model_share_what_is_compiled(reader):
    images = np.random.default_rng(0).integers(0, 256, (2, 32, 64, 1), np.uint8)
    expected = reader.read_batch(images)[1]
    other = reader.with_variables(jax.tree.map(lambda x: 2 * x, reader.variables))
    assert other._compiled is reader._compiled and other.spec is reader.spec
    compiled = reader._compiled.decode._cache_size()
    assert not np.allclose(other.read_batch(images)[1], expected)
    np.testing.assert_array_equal(reader.read_batch(images)[1], expected)
    assert reader._compiled.decode._cache_size() == compiled == 1


def test_one_image_or_several(reader):
    path = sorted(REAL_WORDS.glob("*.png"))[0]
    texts, confidences = reader.read(path)
    assert len(texts) == 1 and confidences.shape == (1,)
    assert reader.read([path, str(path)])[0] == texts * 2
    assert reader.read([])[0] == [] and reader.read([])[1].shape == (0,)


def test_every_kind_of_image_reads_as_the_file_does(reader):
    path = sorted(REAL_WORDS.glob("*.png"))[0]
    with open(path, "rb") as file, Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB"))
        kinds = [path, str(path), path.read_bytes(), file, image, pixels, pixels / 255, pixels.astype(np.int64)]
        kinds += [pixels.astype(np.uint16) * 256, jax.numpy.asarray(pixels), np.moveaxis(pixels, -1, 0)]
        found = np.stack(list(reader.pixels(kinds))).astype(int)
    assert np.abs(found - found[0]).max() <= 2  # decoders round grey differently


def test_several_images(reader):
    image = np.random.default_rng(0).integers(0, 256, (20, 60, 3), np.uint8)
    for several in ([image, image], (image, image), np.stack([image, image]), (image for _ in range(2))):
        assert len(reader.read(several)[0]) == 2
    for none in ([], (), np.zeros((0, 20, 60, 3), np.uint8), iter(())):
        texts, confidences = reader.read(none)
        assert texts == [] and confidences.shape == (0,)
    with pytest.raises(InputError, match="give at least one image"):
        reader.logits([])


def test_a_generator_that_yields_one_array_again(reader):
    rng, shapes = np.random.default_rng(0), [(32, 64), (32, 64), (20, 300), (20, 300), (60, 20), (60, 20)]
    images = [rng.integers(0, 256, shape, np.uint8) for shape in shapes]
    buffers = {shape: np.zeros(shape, np.uint8) for shape in shapes}

    def again():
        for image in images:
            buffers[image.shape][:] = image
            yield buffers[image.shape]

    assert reader.read(again(), turn="auto")[1].tolist() == reader.read(images, turn="auto")[1].tolist()


@pytest.mark.parametrize(
    "images, message",
    [
        ([GOOD, b"broken"], r"images\[1\]: image: not an image that can be decoded"),
        ([GOOD, "/no/such.png"], r"images\[1\]: /no/such.png: No such file"),
        ([GOOD, None], r"images\[1\]: .*cannot read NoneType"),
        ([GOOD, np.zeros((0, 5), np.uint8)], r"images\[1\]: an image of shape \[0, 5\] has no pixels"),
        ([GOOD, Image.new("RGB", (0, 5))], r"images\[1\]: .*an image of 0 x 5 has no pixels"),
        (np.zeros((2, 20, 60), np.uint8), "channels, not 60; give several grey images as a list"),
        (np.zeros((2, 20, 60, 7), np.uint8), r"images\[0\]: an image must have 1, 3 or 4 channels, not 7"),
        (np.zeros((2, 2, 20, 60, 3), np.uint8), r"images\[0\]: an image must be"),
        (np.array(["a.png", "b.png"]), "an array of texts or objects is no image; give several images as a list"),
        (np.zeros(0), r"an image of shape \[0\] has no pixels"),
        (np.full((20, 60), np.nan), "an image of float64"),
        (None, "cannot read NoneType; give an image or several"),
        (7, "cannot read int; give an image or several"),
        (b"", "not an image that can be decoded"),
    ],
)
def test_what_cannot_be_read_is_named(reader, images, message):
    with pytest.raises(InputError, match=message) as caught:
        reader.read(images)
    assert "\n" not in str(caught.value)


def test_words_that_read_better_upside_down_are_doubted(reader, monkeypatch):
    """Images whose first row is bright stand upright; the prior knows one word, which is what it reads in them."""
    prior = WordPrior({"santa": 1}, reader.charset.characters)
    reader = reader.with_variables(reader.variables)
    reader.prior = prior
    calls, seen = [], []

    def read_batch(images):
        calls.append(len(images))
        seen.append(images)
        upright = images[:, 0].mean(axis=(1, 2)) > 100
        texts = ["santa" if up else "eques" for up in upright]
        return texts, np.array([confidence[text] for text in texts], np.float32)

    monkeypatch.setattr(reader, "read_batch", read_batch)
    images = np.zeros((3, 32, 64, 1), np.uint8)
    images[0, 0] = images[1:, -1] = images[1, 9, 5] = 255
    confidence = {"santa": 0.99, "eques": 0.98}
    texts, found = reader.read_checked(images)
    assert texts == ["santa", "eques", "eques"] and found[0] == np.float32(0.99) and (found[1:] < 0.1).all()
    np.testing.assert_array_equal(seen[1][1:], np.rot90(images[1:], 2, axes=(1, 2)))
    confidence = {"santa": 0.9999, "eques": 0.3}
    calls.clear()
    assert reader.read_checked(images)[1].tolist() == pytest.approx([0.9999, 0.3, 0.3]) and calls == [3]
