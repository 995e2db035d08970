"""The language model's objective: accuracies, smoothing, and that a model learns."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from testing import language_config, quick_jit
from toy import Toy

from configs import common
from jstr.core import ModelConfig
from jstr.data.pipeline import TrainData
from jstr.models.abinet_language import Model
from jstr.objectives import masked_lm
from jstr.parallel import sharding
from jstr.text import LAYOUTS, Charset
from jstr.text.messages import InputError
from jstr.training.setup import make_state
from jstr.training.validation import Validation

MODEL_CONFIG = ModelConfig((32, 64), 1, 5, 21, **vars(LAYOUTS["abinet"]))


def test_accuracies():
    targets = jnp.array([[1, 2, 0, -1], [3, 0, -1, -1], [4, 0, -1, -1]])
    logits = np.zeros((3, 4, 21))
    logits[0, [0, 1, 2], [1, 2, 0]] = 1  # right
    logits[1, 0, [4, 5, 6, 7]], logits[1, 0, 3], logits[1, 1, 0] = 2, 1, 1  # right among five, right length
    logits[2, 0, [1, 2, 3, 5, 6]], logits[2, 1, 0] = 2, 1  # wrong
    metrics = {
        k: (float(a), float(b))
        for k, (a, b) in masked_lm.spelling_metrics(jnp.asarray(logits), targets, MODEL_CONFIG).items()
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
    made, mesh = language_config(tmp_path), sharding.make_mesh()
    made.optimizer = common.adam(1e-2, "constant")
    model = Model(
        MODEL_CONFIG := ModelConfig((32, 64), 1, 5, 11, **vars(LAYOUTS["abinet"])),
        width=1 / 16,
        num_layers=2,
        dropout=0.0,
    )
    objective = masked_lm.Method(model, MODEL_CONFIG, input_smoothing=0.1).objective()
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
    model_config = ModelConfig((32, 64), 1, 5, 11, **vars(LAYOUTS["abinet"]))
    objective = masked_lm.Method(Model(model_config, width=1 / 32, num_layers=1), model_config).objective()
    tokens = jnp.array([[-1, 3, 0, -1, -1, -1, -1], [-1, 0, -1, -1, -1, -1, -1]])
    batch = {"text": {"tokens": tokens, "noised": tokens}}
    params, state = quick_jit(objective.init)(jax.random.key(0), batch)
    (loss, (_, metrics)), grads = jax.jit(jax.value_and_grad(objective.loss, has_aux=True))(
        params, state, None, batch, jax.random.key(1), 0
    )
    assert np.isfinite(loss) and all(jnp.isfinite(g).all() for g in jax.tree.leaves(grads))
    assert metrics["characters"][1] == 3 and metrics["words"][1] == 2


def test_refuses():
    model_config = ModelConfig((32, 64), 1, 5, 11, **vars(LAYOUTS["abinet"]))
    with pytest.raises(InputError, match="trains language models"):
        masked_lm.Method(Toy(), model_config).objective()
    with pytest.raises(InputError, match="input_smoothing=2"):
        masked_lm.Method(Model(model_config), model_config, input_smoothing=2).objective()


class Answering:
    """A language model that notes what it is given and answers with a fixed class."""

    reads_text = True

    def __init__(self):
        self.passes = []

    def apply(self, variables, ids, length=None, *, train, rngs=None):
        self.passes.append((np.asarray(ids), length, train))
        return {"logits": jnp.zeros((2, 4, 11)).at[..., 3].set(1.0)}


def test_noised_words_are_read_and_clean_ones_are_the_targets():
    model = Answering()
    model_config = ModelConfig((32, 64), 1, 3, 11, **vars(LAYOUTS["abinet"]))
    tokens, noised = np.array([[-1, 3, 3, 0, -1], [-1, 3, 4, 3, 0]]), np.array([[-1, 5, 0, -1, -1], [-1, 6, 4, 3, 0]])
    batch = {"text": {"tokens": jnp.asarray(tokens), "noised": jnp.asarray(noised)}}
    objective = masked_lm.Method(model, model_config).objective()
    _, (_, metrics) = objective.loss({"model": {}}, {}, None, batch, jax.random.key(0), 0)
    ((ids, length, train),) = model.passes
    np.testing.assert_array_equal(ids, noised[:, 1:])
    np.testing.assert_array_equal(length, [2, 4])
    assert train and metrics["characters"] == (4, 7), "of the clean words"
    model.passes.clear()
    found = objective.measure({"model": {}}, {}, None, batch)
    for (ids, _, train), field in zip(model.passes, (tokens, noised), strict=True):
        np.testing.assert_array_equal(ids, field[:, 1:])
        assert not train
    assert found["clean/characters"] == found["noised/characters"] == (4, 7)
    assert [name.split("/")[0] for name in found][::4] == ["clean", "noised"]


def test_smoothed_words_are_distributions_drawn_anew():
    model = Answering()
    model_config = ModelConfig((32, 64), 1, 3, 11, **vars(LAYOUTS["abinet"]))
    tokens = jnp.array([[-1, 3, 3, 0, -1], [-1, 3, 4, 3, 0]])
    objective = masked_lm.Method(model, model_config, input_smoothing=0.3).objective()
    for seed in (0, 1):
        batch = {"text": {"tokens": tokens, "noised": tokens}}
        objective.loss({"model": {}}, {}, None, batch, jax.random.key(seed), 0)
    first, second = (ids for ids, *_ in model.passes)
    assert first.shape == (2, 4, 11) and not np.allclose(first, second)
    highest = first[0, :3].max(axis=-1)
    assert (highest < 1).all() and (highest > 0.7).all()
