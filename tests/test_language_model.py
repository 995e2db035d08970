"""Texts that are likely as words: n-grams, the prior made of them, and the beam search that reads CTC with it."""

import itertools
import math
import string

import jax
import numpy as np
import pytest
from testing import quick_jit, tiny_config

import jstr
from jstr.checkpoints import checkpoint
from jstr.core import InputError
from jstr.data.word_lists import count_words
from jstr.decoding.beam_search import BONUS, attention_search, ctc_search, position_search
from jstr.decoding.ngram_lm import NGram, WordPrior
from jstr.inference.reader import Reader

RNG = np.random.default_rng(0)


def collapse(path, characters="ab") -> str:
    """What a CTC path [T] of class ids says."""
    return "".join(characters[i - 1] for j, i in enumerate(path) if i and (j == 0 or path[j - 1] != i))


def sums(probabilities, characters="ab") -> dict[str, float]:
    """P(text | frames) of every text, by all paths."""
    found = {}
    for path in itertools.product(range(probabilities.shape[1]), repeat=len(probabilities)):
        text = collapse(path, characters)
        found[text] = found.get(text, 0.0) + math.prod(row[i] for row, i in zip(probabilities, path, strict=True))
    return found


def frames(count: int, classes: int = 3) -> np.ndarray:
    raw = RNG.random((count, classes)) ** 2 + 0.01  # less would not be tried
    return raw / raw.sum(axis=1, keepdims=True)


def test_ngram_by_hand():
    """The words ab (weight 2) and aa (1): Witten-Bell, from all symbols alike upwards."""
    model = NGram([[0, 1], [0, 0]], np.array([2.0, 1.0]), size=2, order=2)
    assert (model.start, model.end) == (2, 3)
    # Followed anything: a 3 + 1, b 2, end 3, of weight 9 and of 3 kinds; before it, a third each.
    unigram = np.array([4, 2, 0, 3]) / 12 + 3 / 12 * np.array([1, 1, 0, 1]) / 3
    np.testing.assert_allclose(model.following(()), unigram)
    # Followed a: b 2, a 1, end 1, of weight 4 and of 3 kinds.
    np.testing.assert_allclose(model.following((0,)), np.array([1, 2, 0, 1]) / 7 + 3 / 7 * unigram)
    # Only a followed the start; only the last symbol counts.
    np.testing.assert_allclose(model.following((1, 1, 2)), np.array([3, 0, 0, 0]) / 4 + 1 / 4 * unigram)
    np.testing.assert_allclose(model.following((1, 0)), model.following((0,)))


@pytest.mark.parametrize("size", [2, 30, 3000])
def test_ngram_sums_to_one_and_backs_off(size):
    words = [list(RNG.integers(0, size, RNG.integers(1, 9))) for _ in range(60)]
    model = NGram(words, RNG.random(60) + 1, size)
    assert 2 <= model.order <= 6 and (size + 2) ** model.order < 2**63
    surprise = []
    for word in words:
        found = model.following((model.start, *word[:-1]))
        assert found.sum() == pytest.approx(1) and found[model.start] == 0 and (np.delete(found, size) > 0).all()
        surprise.append(-np.log(found[word[-1]]))
    assert np.mean(surprise) < np.log(size + 1), "what it has seen surprises it less than chance"
    unseen = (size - 1, model.start, words[0][0])  # nothing comes before a start
    np.testing.assert_array_equal(model.following(unseen), model.following(unseen[1:]))


@pytest.mark.parametrize("characters", ["ab", "ab1.", string.printable[:94]])
def test_prior_is_a_distribution(characters):
    """All that begins so is this text, and all that goes on with each character."""
    prior = WordPrior({"ab": 3, "Abba": 1, "b-b": 1}, characters)
    assert prior.log_prefix("") == 0
    for text in ("", "a", "ab", "abba", "1", "b1", characters[-1]):
        if set(text) <= set(characters):
            parts = [prior.log_prefix(text + c) for c in characters] + [prior.log_whole(text)]
            assert np.logaddexp.reduce(parts) == pytest.approx(prior.log_prefix(text), abs=1e-9)


def test_prior_prefers_what_is_written():
    prior = WordPrior(count_words("english"), string.digits + string.ascii_letters)
    assert prior.log_whole("street") > prior.log_whole("strset") + 5
    assert prior.log_whole("street") == pytest.approx(prior.log_whole("STREET"))
    assert prior.log_whole("street") > prior.log_whole("streetq") + 5
    assert prior.log_whole("1995") > prior.log_whole("l995") + 2
    assert prior.log_whole("xq7") > -30  # possible nevertheless


def test_prior_of_few_kept_prefixes_is_the_same(monkeypatch):
    texts = ["abba", "baab", "1a", "bbbb", "abba"]
    full = [WordPrior({"ab": 1, "ba": 2}, "ab1").log_whole(t) for t in texts]
    monkeypatch.setattr("jstr.decoding.ngram_lm.CACHED", 0)
    small = WordPrior({"ab": 1, "ba": 2}, "ab1")
    small._limit = 2
    assert [small.log_whole(t) for t in texts] == full and len(small._tables) <= 2


def test_prior_without_a_usable_word():
    with pytest.raises(InputError, match="none of the 2 words"):
        WordPrior({"gamma": 1, "delta": 1}, "xyz")


@pytest.mark.parametrize("weight", [0.0, 0.7])
def test_search_finds_the_best_of_all_texts(weight):
    """A beam that holds them all: every text's paths are summed, and the prior decides with them."""
    prior = WordPrior({"ab": 5, "ba": 1, "aab": 1}, "ab")
    for _ in range(20):
        probabilities = frames(5)
        scores = {
            text: math.log(p) + weight * (prior.log_whole(text) + BONUS * len(text))
            for text, p in sums(probabilities).items()
        }
        text, confidence = ctc_search(probabilities, "ab", prior, weight, width=1000)
        assert text == max(scores, key=scores.get)
        expected = 1 / sum(math.exp(s - scores[text]) for s in scores.values()) if text else 0.0
        assert confidence == pytest.approx(expected, rel=1e-6)


def test_search_with_a_narrow_beam_and_certain_frames():
    prior = WordPrior({"ab": 5, "abb": 1}, "ab")
    certain = np.eye(3)[[1, 1, 0, 2, 2, 0, 2]]
    assert ctc_search(certain, "ab", prior, 0.5, 1) == ("abb", 1.0)
    assert ctc_search(np.eye(3)[[0, 0]], "ab", prior, 0.5, 4) == ("", 0.0)
    words = [frames(8) for _ in range(30)]
    wide, narrow = ([ctc_search(p, "ab", prior, 0.5, width)[0] for p in words] for width in (1000, 8))
    assert np.mean([a == b for a, b in zip(wide, narrow, strict=True)]) > 0.8


@pytest.mark.parametrize("weight", [0.0, 0.7])
def test_search_over_positions_finds_the_best(weight):
    """Every text is written letter by letter and ends with EOS, which comes first in a row."""
    prior = WordPrior({"ab": 5, "ba": 1, "aab": 1}, "ab")
    for _ in range(20):
        probabilities, scores = frames(5), {}
        for length in range(5):
            for text in map("".join, itertools.product("ab", repeat=length)):
                rows = [row[1 + "ab".index(c)] for row, c in zip(probabilities, text, strict=False)]
                log = sum(map(math.log, [*rows, probabilities[length][0]]))
                scores[text] = log + weight * (prior.log_whole(text) + BONUS * length)
        text, confidence = position_search(probabilities, "ab", prior, weight, width=1000)
        assert text == max(scores, key=scores.get)
        expected = 1 / sum(math.exp(s - scores[text]) for s in scores.values()) if text else 0.0
        assert confidence == pytest.approx(expected, rel=0.01)  # what is hardly probable is not followed
    assert position_search(np.eye(3)[[1, 2, 2, 0, 1]], "ab", prior, weight, 8) == ("abb", 1.0)


@pytest.mark.parametrize("weight", [0.0, 0.7])
def test_search_with_a_decoder_that_reads_what_it_wrote_finds_the_best(weight):
    """Letters depend on all those before; exhaustively, and with two words that end at different lengths."""
    prior, steps = WordPrior({"ab": 5, "ba": 1, "aab": 1}, "ab"), 5
    for _ in range(10):
        tables = [{}, {}]  # of each word: EOS, a and b after a text

        def after(word, text, tables=tables):
            if text not in tables[word]:
                tables[word][text] = RNG.dirichlet(np.ones(3) * 0.7)
            return tables[word][text]

        texts = [[[""] for _ in range(2)]]

        def advance(parents, written, texts=texts, after=after):
            width = len(parents)
            rows = [[texts[-1][w][min(p, len(texts[-1][w]) - 1)] for p in parents[:, w]] for w in range(2)]
            texts.append([[row[i] + "ab"[written[i, w]] for i in range(width)] for w, row in enumerate(rows)])
            return np.array([[after(w, texts[-1][w][i]) for w in range(2)] for i in range(width)])

        first = np.stack([after(word, "") for word in range(2)])
        found = attention_search(first, advance, steps, "ab", prior, weight, width=40)
        for word, (text, confidence) in enumerate(found):
            scores = {}
            for length in range(steps):
                for other in map("".join, itertools.product("ab", repeat=length)):
                    picked = [after(word, other[:i])[1 + "ab".index(c)] for i, c in enumerate(other)]
                    log = sum(map(math.log, [*picked, after(word, other)[0]]))
                    scores[other] = log + weight * (prior.log_whole(other) + BONUS * length)
            assert text == max(scores, key=scores.get)
            expected = 1 / sum(math.exp(s - scores[text]) for s in scores.values()) if text else 0.0
            assert confidence == pytest.approx(expected, rel=0.01)


def test_language_corrects_a_doubtful_letter():
    """s or 5, o or 0: spelling decides; where the picture is sure, it is believed."""
    characters = string.digits + string.ascii_lowercase
    prior = WordPrior(count_words("english"), characters)

    def read(*letters, share):
        rows = np.zeros((2 * len(letters), 37))
        rows[::2, 0] = 1
        for i, (first, second) in enumerate(letters):
            rows[2 * i + 1, 1 + characters.index(first)] += share
            rows[2 * i + 1, 1 + characters.index(second)] += 1 - share
        return ctc_search(rows, characters, prior, 0.5, 8)[0]

    assert read("5s", "tt", "0o", "rr", "ee", share=0.7) == "store"
    assert read("5s", "0o", "00", share=0.7) == "500"
    assert read("5s", "tt", "0o", "rr", "ee", share=0.99999) == "5t0re"


def saved_run(folder, **changes):
    """A workdir of an untrained recogniser."""
    config = tiny_config().to_dict() | changes
    reader = Reader(config)
    images = np.zeros((1, *reader.spec.size, 1), np.float32)
    variables = quick_jit(lambda: reader.model.init(jax.random.PRNGKey(3), images, train=False))()
    state = {"batch_stats": variables["batch_stats"]}
    checkpoint.save_variables(folder, {"model": variables["params"]}, state, {"config": config, "step": 0})
    return str(folder)


def test_reader_reads_with_the_words_it_is_given(tmp_path):
    (tmp_path / "words.txt").write_text("zebra\nzoo\n")
    run = saved_run(tmp_path / "run", language_model=dict(words=str(tmp_path / "words.txt"), weight=20.0, width=8))
    images = [RNG.integers(0, 255, (32, 64), np.uint8) for _ in range(3)]
    plain, language = jstr.load(run, "none"), jstr.load(run)
    assert plain.prior is None and language.prior.log_whole("zoo") > language.prior.log_whole("the")
    texts, confidences = language.read(images)
    rows = jax.nn.softmax(plain.logits(images))[..., np.r_[0, plain.facts.first_id : plain.charset.num_classes]]
    expected = [ctc_search(row, plain.charset.characters, language.prior, 20.0, 8) for row in np.asarray(rows)]
    assert texts == [text for text, _ in expected] != plain.read(images)[0]
    np.testing.assert_allclose(confidences, [value for _, value in expected], rtol=1e-3)


@pytest.mark.parametrize("layout", ["cr_attention", "dtrb_attention"])
def test_attention_is_asked_anew_after_every_text(layout, monkeypatch):
    """The beam reads as one does that tells the decoder every text from its start."""
    monkeypatch.setattr("jstr.decoding.beam_search.BONUS", 20.0)  # an untrained decoder would end at once
    config = tiny_config()
    config.charset.layout, config.model.prediction = layout, "attention"
    config.language_model.words = "english"
    reader = Reader(config.to_dict())
    images = RNG.integers(0, 255, (2, *reader.spec.size, 1), np.uint8)
    variables = quick_jit(lambda: reader.model.init(jax.random.PRNGKey(3), images, train=False))()
    facts, characters, width = reader.model_config, reader.charset.characters, 8
    decoder = variables["params"]["decoder"]
    decoder["classifier_kernel"] *= 20  # so that what follows differs from text to text
    reader.variables = variables
    known = [np.full((width, 2, 1), facts.bos_id)]  # what each place of the beam has written

    def told(tokens):
        padded = np.pad(tokens, ((0, 0), (0, facts.max_length + 2 - tokens.shape[1])))
        rows = np.asarray(jax.nn.softmax(reader.logits(list(images), padded)))[:, tokens.shape[1] - 1]
        return rows[:, np.r_[facts.eos_id, facts.first_id : facts.num_classes]]

    def advance(parents, written):
        before = np.take_along_axis(known[-1], parents[..., None], axis=0)
        known.append(np.concatenate([before, written[..., None] + facts.first_id], axis=-1))
        return np.stack([told(tokens) for tokens in known[-1]])

    rules = (facts.max_length + 1, characters, reader.prior, 0.5, width)
    expected = attention_search(told(known[0][0]), advance, *rules)
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


def test_what_cannot_be_read_with_a_language_model(tmp_path):
    run = saved_run(tmp_path / "run")
    with pytest.raises(InputError, match="language_model=nothing.*cannot be read"):
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
