"""Text streams and the language model's objective: draws, spelling noise, accuracies, and that a model learns."""

import gzip
import lzma
from collections import Counter

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from testing import quick_jit
from toy import Toy

from configs import common
from jstr.augment.host import spelling
from jstr.core import InputError, ModelConfig
from jstr.data.pipeline import TrainData
from jstr.data.sources.text_corpus import TextWords
from jstr.data.word_lists import count_words
from jstr.models.abinet_language import Model
from jstr.objectives import masked_lm
from jstr.parallel import sharding
from jstr.text import LAYOUTS, Charset
from jstr.training.setup import make_state
from jstr.training.validation import Validation

CHARSET = Charset.make("abcdefghij0123456789", "abinet", 5, lower=True, drop_outside=True)
FACTS = ModelConfig((32, 64), 1, 5, 21, **vars(LAYOUTS["abinet"]))
LETTERS = list("abcdefghij")


def source(tmp_path, text, name="words.txt", **options):
    path = tmp_path / name
    path.write_text(text)
    return TextWords("w", CHARSET, str(path), **options)


def draws(words, count=4000):
    return [words[i]["label"] for i in range(count)]


def test_text_is_counted_word_by_word(tmp_path):
    for name, opener in (("a.txt", open), ("a.txt.gz", gzip.open), ("a.txt.xz", lzma.open)):
        with opener(tmp_path / name, "wt") as file:
            file.write("A bad  dad\nbad,\n\n bad\n")
        assert count_words(tmp_path / name) == {"A": 1, "bad": 2, "dad": 1, "bad,": 1}
    words = TextWords("w", CHARSET, str(tmp_path / "a.txt"))
    assert words.words == ["a", "bad", "dad"]  # "bad," is bad where the charset drops what is outside
    share = Counter(draws(words))["bad"] / 4000
    assert abs(share - 0.6) < 0.03


def test_frequency_list_and_power(tmp_path):
    text = "bad\t2.0\ndad\t1\nface\t-3.5\n"
    shares = Counter(draws(source(tmp_path, text)))
    assert abs(shares["bad"] / 4000 - 100 / 110) < 0.02 and shares["face"] < 5
    even = Counter(draws(source(tmp_path, text, power=0.0)))
    assert all(abs(count / 4000 - 1 / 3) < 0.03 for count in even.values()) and len(even) == 3


def test_draws_depend_on_seed_and_place_alone(tmp_path):
    text = "\n".join(f"{a}{b}" for a in LETTERS for b in LETTERS)
    words = source(tmp_path, text, seed=3)
    order = [5000, 0, 20_000, 5000, 1]
    assert [words[i]["label"] for i in order] == [source(tmp_path, text, seed=3)[i]["label"] for i in order]
    assert draws(words, 50) != draws(source(tmp_path, text, seed=4), 50)
    assert len(set(draws(words, 2000))) == 100


def test_words_that_do_not_fit_are_counted_and_named(tmp_path):
    words = source(tmp_path, "bad\nabcdefghij\n!!\nxyz\n")
    assert words.words == ["bad"]
    notes = "\n".join(words.notes)
    assert "1 of 4 different words used" in notes and "longer than max_length=5: 'abcdefghij'" in notes
    assert "2 empty" in notes
    with pytest.raises(InputError, match="no usable sample"):
        source(tmp_path, "xyz")
    with pytest.raises(InputError, match="line 2: 'often' is not the logarithm"):
        source(tmp_path, "bad\t1\ndad\toften\n")
    with pytest.raises(InputError, match="words .*none.txt cannot be read"):
        TextWords("w", CHARSET, str(tmp_path / "none.txt"))


def edit_kind(before, after):
    if before == after:
        return "none"
    return {1: "insert", -1: "delete", 0: "replace"}[len(after) - len(before)]


def test_one_edit():
    rng = np.random.default_rng(0)
    found = Counter(edit_kind("hide", spelling.one_edit("hide", rng, LETTERS, 25)) for _ in range(4000))
    # A tenth of the replacing letters are the ones that were there.
    for kind, share in (("none", 0.3 + 0.7 * 0.8 / 10 * 3 / 4), ("insert", 0.07), ("delete", 0.07)):
        assert abs(found[kind] / 4000 - share) < 0.03, kind
    for word in ("a", "12", "a1", ""):
        assert all(spelling.one_edit(word, rng, LETTERS, 25) == word for _ in range(20))
    assert all(len(spelling.one_edit("abcde", rng, LETTERS, 5, clean=0, insert=1)) == 5 for _ in range(20))
    assert all(spelling.one_edit("a-", rng, LETTERS, 5, clean=0, insert=0, delete=1) in ("-", "a-") for _ in range(20))


def test_spelling_noise():
    rng = np.random.default_rng(0)

    def most(word, edits):
        made = [spelling.spelling(word, rng, list("xyz"), 25, edits=edits, insert=0, delete=0) for _ in range(200)]
        return {sum(a != b for a, b in zip(word, m, strict=True)) for m in made}

    assert most("abcdef", (0, 0, 0, 1)) == {3} and most("abcde", (0, 0, 0, 1)) == {2}
    assert most("abcd", (0, 0, 0, 1)) == {1} and most("a", (0, 1)) == {0} and most("12a", (0, 1)) == {0}
    kept = sum(spelling.spelling("abcdef", rng, list("xyz"), 25) == "abcdef" for _ in range(2000)) / 2000
    assert abs(kept - 0.7) < 0.03
    assert spelling.spelling("ab", rng, list("xyz"), 25, edits=(0, 1), insert=0, delete=1) in ("a", "b")


def config(tmp_path, **views):
    path = tmp_path / "list.txt"
    path.write_text("bad\ncafe\nbee\nhide\nfade\ndeaf\na\n")
    config = common.base()
    config.charset = dict(
        characters="abcdefghij", layout="abinet", max_length=5, lower=True, nfkc=False, drop_outside=True
    )
    config.model = dict(name="abinet_language", width=1 / 16, num_layers=2, dropout=0.0)
    config.objective = dict(name="masked_lm")
    row = dict(batch_size=16, sources=dict(list=dict(words=dict(path=str(path)))), views=views)
    config.streams.text = row
    config.held_back.text = row | dict(batches=1, views=dict(noised=dict(one_edit=dict(clean=0.0))))
    return config


def test_stream_of_text(tmp_path):
    made = config(tmp_path, noised=dict(spelling=dict(edits=(0.0, 1.0))))
    charset = Charset.make(**made.charset)
    data = TrainData(made, charset, {"text": ("tokens", "noised")})
    batch = next(data.batches(0))
    tokens, noised = batch["arrays"]["text"]["tokens"], batch["arrays"]["text"]["noised"]
    words = [charset.decode(row[1:]) for row in tokens.tolist()]
    assert set(words) <= {"bad", "cafe", "bee", "hide", "fade", "deaf", "a"}
    assert [key.split("/")[1] for key in batch["keys"]] == words
    changed = (tokens != noised).any(axis=1)
    assert changed.any() and not any(c for c, w in zip(changed, words, strict=True) if w == "a")
    again = next(TrainData(made, charset, {"text": ("tokens", "noised")}).batches(0))
    np.testing.assert_array_equal(again["arrays"]["text"]["noised"], noised)
    clean = next(TrainData(config(tmp_path), charset, {"text": ("tokens", "noised")}).batches(0))["arrays"]["text"]
    np.testing.assert_array_equal(clean["tokens"], clean["noised"])
    assert any("7 of 7 different words used" in note for note in data.notes)


def test_share_of_the_words(tmp_path):
    first, second = config(tmp_path), config(tmp_path)
    first.streams.text.sources["list"].share = 0.5
    second.streams.text.sources["list"].update(share=0.5, share_start=0.5)
    charset = Charset.make(**first.charset)
    seen = [
        set(next(TrainData(c, charset, {"text": ("tokens", "noised")}).batches(0))["keys"]) for c in (first, second)
    ]
    assert seen[0] and seen[1] and not seen[0] & seen[1]


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda row: row.views.update(image={}), "a stream of text has only noised"),
        (lambda row: row.views.update(noised=dict(blur={})), "unknown text operation 'blur'"),
        (lambda row: row.views.update(noised=dict(one_edit=dict(amount=1))), "one_edit has no amount"),
        (lambda row: row.sources["list"].words.update(speed=1), "words has no speed"),
    ],
)
def test_stream_refuses(tmp_path, change, message):
    made = config(tmp_path)
    with made.unlocked():
        change(made.streams.text)
    with pytest.raises(InputError, match=message):
        TrainData(made, Charset.make(**made.charset), {"text": ("tokens", "noised")})


def test_stream_of_pictures_refuses_text(tmp_path):
    made = config(tmp_path)
    with pytest.raises(InputError, match="text without images"):
        TrainData(made, Charset.make(**made.charset), {"text": ("image", "tokens")})


def test_accuracies():
    targets = jnp.array([[1, 2, 0, -1], [3, 0, -1, -1], [4, 0, -1, -1]])
    logits = np.zeros((3, 4, 21))
    logits[0, [0, 1, 2], [1, 2, 0]] = 1  # right
    logits[1, 0, [4, 5, 6, 7]], logits[1, 0, 3], logits[1, 1, 0] = 2, 1, 1  # right among five, right length
    logits[2, 0, [1, 2, 3, 5, 6]], logits[2, 1, 0] = 2, 1  # wrong
    metrics = {
        k: (float(a), float(b)) for k, (a, b) in masked_lm.spelling_metrics(jnp.asarray(logits), targets, FACTS).items()
    }
    assert metrics == {"characters": (5, 7), "words": (1, 3), "characters_top5": (6, 7), "words_top5": (2, 3)}


def test_smoothing_keeps_distributions_and_their_first_choice():
    prob = jax.nn.one_hot(jnp.array([[1, 2, 0]]), 21)
    smoothed = masked_lm.smooth(prob, jax.random.key(0), 0.1)
    np.testing.assert_allclose(smoothed.sum(axis=-1), 1, atol=1e-6)
    assert (smoothed.argmax(-1) == prob.argmax(-1)).all() and (smoothed > 0).all()
    assert (smoothed.max(axis=-1) > 0.9).all() and (smoothed.max(axis=-1) < 1).all()


def test_a_model_learns_to_spell_and_is_watched(tmp_path):
    """Of seven words every letter is known from the others; watched on clean and on misspelt words."""
    made, mesh = config(tmp_path), sharding.make_mesh()
    made.optimizer = common.adam(1e-2, "constant")
    model = Model(
        FACTS := ModelConfig((32, 64), 1, 5, 11, **vars(LAYOUTS["abinet"])), width=1 / 16, num_layers=2, dropout=0.0
    )
    objective = masked_lm.Method(model, FACTS, input_smoothing=0.1).objective()
    charset = Charset.make(**made.charset)
    batches = TrainData(made, charset, objective.streams).batches(0)
    batch = next(batches)["arrays"]
    state, tx, _ = make_state(made, objective, batch, mesh)

    @jax.jit
    def step(state, batch, i):
        key = jax.random.fold_in(state.key, i)
        (loss, _), grads = jax.value_and_grad(objective.loss, has_aux=True)(state.params, {}, None, batch, key, i)
        updates, opt_state = tx.update(grads, state.opt_state, state.params)
        return state.replace(params=optax.apply_updates(state.params, updates), opt_state=opt_state), loss

    held_back = Validation(made, objective, charset, None, mesh)
    before = held_back.measure(state)
    for i in range(60):
        state, loss = step(state, next(batches)["arrays"], i)
    after = held_back.measure(state)
    assert after["clean/characters"] > 0.9 > before["clean/characters"] + 0.2
    assert after["clean/words_top5"] >= after["clean/words"] >= after["noised/words"]
    assert after["loss"] < before["loss"] - 1 and 0 < after["noised/characters"] < 1


def test_words_of_one_letter_and_none_have_finite_gradients():
    facts = ModelConfig((32, 64), 1, 5, 11, **vars(LAYOUTS["abinet"]))
    objective = masked_lm.Method(Model(facts, width=1 / 32, num_layers=1), facts).objective()
    tokens = jnp.array([[-1, 3, 0, -1, -1, -1, -1], [-1, 0, -1, -1, -1, -1, -1]])
    batch = {"text": {"tokens": tokens, "noised": tokens}}
    params, state = quick_jit(objective.init)(jax.random.key(0), batch)
    (loss, (_, metrics)), grads = jax.jit(jax.value_and_grad(objective.loss, has_aux=True))(
        params, state, None, batch, jax.random.key(1), 0
    )
    assert np.isfinite(loss) and all(jnp.isfinite(g).all() for g in jax.tree.leaves(grads))
    assert metrics["characters"][1] == 3 and metrics["words"][1] == 2


def test_refuses():
    facts = ModelConfig((32, 64), 1, 5, 11, **vars(LAYOUTS["abinet"]))
    with pytest.raises(InputError, match="trains language models"):
        masked_lm.Method(Toy(), facts).objective()
    with pytest.raises(InputError, match="input_smoothing=2"):
        masked_lm.Method(Model(facts), facts, input_smoothing=2).objective()
