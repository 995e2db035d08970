"""Reading with a language model, through all three kinds of recognisers."""

import re

import jax
import numpy as np
import pytest
from searching import attention_search, ctc_search, position_search
from testing import quick_jit, saved_run, tiny_config

import jstr
from jstr.data.patterns.spec import PatternSpec
from jstr.inference.reader import Reader
from jstr.text.messages import InputError

RNG = np.random.default_rng(0)


def test_reader_reads_with_the_words_it_is_given(tmp_path):
    (tmp_path / "words.txt").write_text("zebra\nzoo\n")
    run = saved_run(tmp_path / "run", language_model=dict(words=str(tmp_path / "words.txt"), weight=20.0, width=8))
    images = [RNG.integers(0, 255, (32, 64), np.uint8) for _ in range(3)]
    plain, language = jstr.load(run, "none"), jstr.load(run)
    assert plain.prior is None and language.prior.log_whole("zoo") > language.prior.log_whole("the")
    texts, confidences = language.read(images)
    rows = jax.nn.softmax(plain.logits(images))[..., np.r_[0, plain.model_config.first_id : plain.charset.num_classes]]
    expected = [ctc_search(row, plain.charset.characters, language.prior, 20.0, 8) for row in np.asarray(rows)]
    assert texts == [text for text, _ in expected] != plain.read(images)[0]
    np.testing.assert_allclose(confidences, [value for _, value in expected], rtol=1e-3)


def test_a_pattern_is_followed_and_its_case_given_back(tmp_path):
    """With words and without; readers with different patterns share what is compiled."""
    run = saved_run(tmp_path / "run", pattern=dict(regex=["[A-Z]{2}[0-9]"]))
    image = RNG.integers(0, 255, (32, 64), np.uint8)
    reader = jstr.load(run)
    (text,), (confidence,) = reader.read(image)
    assert re.fullmatch("[A-Z]{2}[0-9]", text) and 0 <= confidence <= 1
    plain = jstr.load(run, "english")
    for options in (dict(pattern="[0-9]{3}|x"), dict(allow="ab"), dict(regex=["a", "[b-d]+"], weights=[1, 9])):
        (text,), _ = plain.read([image], **options)
        assert re.fullmatch("[0-9]{3}|x|[a-d]+", text)
    assert plain.guided(PatternSpec.make("a")).guide.steps is plain.guide.steps
    with pytest.raises(InputError, match=r"read has no alow \(did you mean allow\?\); it takes details, turn,"):
        plain.read(image, alow="ab")


@pytest.mark.parametrize("layout", ["cr_attention", "dtrb_attention"])
def test_the_attention_decoder_is_rerun_after_each_prefix(layout, monkeypatch):
    """Beam search equals one whose decoder gets each text from its start."""
    monkeypatch.setattr("jstr.decoding.beam_search.BONUS", 20.0)  # an untrained decoder would end at once
    config = tiny_config()
    config.charset.layout, config.model.prediction = layout, "attention"
    config.language_model.words = "english"
    reader = Reader(config.to_dict())
    images = RNG.integers(0, 255, (2, *reader.spec.size, 1), np.uint8)
    variables = quick_jit(lambda: reader.model.init(jax.random.PRNGKey(3), images, train=False))()
    model_config, characters, width = reader.model_config, reader.charset.characters, 8
    decoder = variables["params"]["decoder"]
    decoder["classifier_kernel"] *= 20  # so that what follows differs from text to text
    reader.variables = variables
    written_so_far = [np.full((width, 2, 1), model_config.bos_id)]  # what each place of the beam has written

    def after(tokens):
        padded = np.pad(tokens, ((0, 0), (0, model_config.max_length + 2 - tokens.shape[1])))
        rows = np.asarray(jax.nn.softmax(reader.logits(list(images), padded)))[:, tokens.shape[1] - 1]
        return rows[:, np.r_[model_config.eos_id, model_config.first_id : model_config.num_classes]]

    def advance(parents, written):
        before = np.take_along_axis(written_so_far[-1], parents[..., None], axis=0)
        written_so_far.append(np.concatenate([before, written[..., None] + model_config.first_id], axis=-1))
        return np.stack([after(tokens) for tokens in written_so_far[-1]])

    rules = (model_config.max_length + 1, characters, reader.prior, 0.5, width)
    expected = attention_search(after(written_so_far[0][0]), advance, *rules)
    texts, confidences = reader.read_batch(images)
    assert texts == [text for text, _ in expected] and max(map(len, texts)) > 3
    np.testing.assert_allclose(confidences, [value for _, value in expected], rtol=1e-3)


def test_positions_are_read_with_words_too():
    config = tiny_config()
    config.charset.layout, config.language_model.words = "abinet", "english"
    config.image.update(size=(32, 64), channels=3)
    config.model = dict(name="abinet_vision", width=0.0625, blocks=(1, 1, 1, 1, 1), num_layers=1)
    reader = Reader(config.to_dict())
    images = np.zeros((2, 32, 64, 3), np.uint8)
    reader.variables = quick_jit(lambda: reader.model.init(jax.random.PRNGKey(3), images, train=False))()
    texts, confidences = reader.read_batch(images)
    rows = np.asarray(jax.nn.softmax(reader.logits(list(images))))
    rows = rows[..., np.r_[reader.model_config.eos_id, reader.model_config.first_id : reader.charset.num_classes]]
    expected = [position_search(row, reader.charset.characters, reader.prior, 0.5, 8) for row in rows]
    assert texts == [text for text, _ in expected]
    np.testing.assert_allclose(confidences, [value for _, value in expected], rtol=1e-3)


def test_refuses(tmp_path):
    run = saved_run(tmp_path / "run")
    with pytest.raises(InputError, match="language_model=nothing.*there is no file"):
        jstr.load(run, "nothing")
    config = tiny_config()
    config.charset.layout, config.model = "abinet", dict(name="abinet_language", width=0.0625, num_layers=1)
    config.language_model.words = "english"
    with pytest.raises(InputError, match="a language model of its own"):
        Reader(config.to_dict())
    config = tiny_config()
    config.language_model = dict(words="english", weight=-1.0, width=8)
    with pytest.raises(InputError, match="weight=-1.0"):
        Reader(config.to_dict())
