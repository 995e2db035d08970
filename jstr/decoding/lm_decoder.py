"""Beam search over the output of a recogniser, with a prior made of a word list, a pattern, both or neither."""

from __future__ import annotations

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from jstr.core import ModelConfig, Recognizer
from jstr.data.word_lists import count_words
from jstr.decoding.beam_search import Rules, attention_texts, ctc_texts, position_texts
from jstr.decoding.ngram_lm import WordPrior
from jstr.decoding.ranking import Found, ranked
from jstr.parallel.compiling import jit
from jstr.text.messages import InputError

Search = Callable[[dict, np.ndarray], list[Found]]


def make_prior(words: str, characters: str) -> WordPrior | None:
    """The prior of a word list, as for `count_words`; "" or "none": None. Raises InputError: it cannot be used."""
    if words in ("", "none"):
        return None
    try:
        return WordPrior(count_words(words), characters)
    except InputError as error:
        raise InputError(f"language_model={words}: {error}") from error


def make_search(model: Recognizer, rules: Rules, steps: tuple) -> Search:
    """search(variables, images [B, H, W, C]), which returns what is found in each.

    steps: the result of `compiled_steps`, so that several searches share what is compiled.

    Raises:
      InputError: an invalid weight or width.
    """
    if rules.weight < 0 or rules.width < 1:
        raise InputError(
            f"config.language_model: weight={rules.weight} must be at least 0 and width={rules.width} at least 1"
        )
    return (_step_by_step if model.autoregressive else _in_one_pass)(model.model_config, steps, rules)


def compiled_steps(model: Recognizer) -> tuple:
    """The jitted functions of a recogniser that a search calls: one, or two for an autoregressive one."""
    return _decoder_steps(model) if model.autoregressive else (_probabilities_of(model),)


def _probabilities(logits: jax.Array, model_config: ModelConfig) -> jax.Array:
    """Logits [..., C] -> probabilities [..., 1 + V] of the blank or EOS and of the characters, among all classes."""
    first = model_config.eos_id or 0
    all_classes = jax.nn.softmax(logits.astype(jnp.float32))
    return jnp.concatenate([all_classes[..., first : first + 1], all_classes[..., model_config.first_id :]], axis=-1)


def _probabilities_of(model: Recognizer) -> Callable:
    """(variables, images) -> [B, T, 1 + V]."""

    @jit
    def probabilities_of(variables, images):
        return _probabilities(model.apply(variables, images, train=False)["logits"], model.model_config)

    return probabilities_of


def _in_one_pass(model_config: ModelConfig, steps: tuple, rules: Rules) -> Search:
    """For recognisers whose probabilities do not depend on the characters before."""
    (probabilities_of,) = steps
    search_one = ctc_texts if model_config.is_ctc else position_texts

    def search(variables, images):
        rows = np.asarray(probabilities_of(variables, images))
        return [Found(ranked(search_one(row, rules), rules.characters, rules.pattern), row) for row in rows]

    return search


def _decoder_steps(model: Recognizer) -> tuple[Callable, Callable]:
    """(variables, images, width) -> frames, state and probabilities of the first step; and a step after it."""
    model_config = model.model_config

    @functools.partial(jit, static_argnums=2)
    def begin(variables, images, width):
        frames = model.apply(variables, images, train=False)["frames"]
        tokens = jnp.full(len(frames), model_config.bos_id)
        logits, state = model.apply(variables, frames, tokens, method="advance")
        return frames, jax.tree.map(lambda x: jnp.tile(x, (width, 1, 1)), state), _probabilities(logits, model_config)

    @jit
    def follow(variables, frames, state, parents, tokens):
        def advance(tokens, state):
            return model.apply(variables, frames, tokens, state, method="advance")

        state = jax.tree.map(lambda x: jnp.take_along_axis(x, parents[..., None], axis=0), state)
        logits, state = jax.vmap(advance)(tokens, state)  # vmap does not repeat the frames and their projection
        return state, _probabilities(logits, model_config)

    return begin, follow


def _step_by_step(model_config: ModelConfig, steps: tuple, rules: Rules) -> Search:
    """For autoregressive recognisers: the device computes probabilities, the host chooses texts after every step."""
    begin, follow = steps

    def search(variables, images):
        frames, state, probabilities = begin(variables, images, rules.beam)

        def advance(parents, written):
            nonlocal state
            state, probabilities = follow(variables, frames, state, parents, written + model_config.first_id)
            return np.asarray(probabilities)

        words = attention_texts(np.asarray(probabilities), advance, model_config.max_length + 1, rules)
        return [Found(ranked(texts, rules.characters, rules.pattern)) for texts in words]

    return search
