"""Reading with words that are expected: from a recogniser and a word list to texts, by beam search."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from jstr.core import InputError, ModelConfig
from jstr.data.word_lists import count_words
from jstr.decoding.beam_search import attention_search, ctc_search, position_search
from jstr.decoding.ngram_lm import WordPrior

Search = Callable[[dict, np.ndarray], list[tuple[str, float]]]


def make_search(
    model, model_config: ModelConfig, characters: str, words: str, weight: float, width: int
) -> tuple[WordPrior, Search]:
    """(prior, search) of config.language_model; search(variables, images [B, H, W, C]) gives (text, confidence) each.

    Raises:
      InputError: a word list that cannot be read, or a weight or width that cannot be.
    """
    if weight < 0 or width < 1:
        raise InputError(f"config.language_model: weight={weight} and width={width} must be at least 0 and 1")
    try:
        prior = WordPrior(count_words(words), characters)
    except InputError as error:
        raise InputError(f"language_model={words}: {error}") from error
    make = _by_steps if model.autoregressive else _at_once
    return prior, make(model, model_config, (characters, prior, weight, width))


def _probabilities(logits: jax.Array, model_config: ModelConfig) -> jax.Array:
    """[..., 1 + V] of the blank or EOS and of the characters, among all classes."""
    first = 0 if model_config.eos_id is None else model_config.eos_id
    all_of_them = jax.nn.softmax(logits.astype(jnp.float32))
    return jnp.concatenate([all_of_them[..., first : first + 1], all_of_them[..., model_config.first_id :]], axis=-1)


def _at_once(model, model_config: ModelConfig, rules: tuple) -> Search:
    """For recognisers whose probabilities do not depend on what was written."""
    one = ctc_search if model_config.eos_id is None else position_search

    @jax.jit
    def see(variables, images):
        return _probabilities(model.apply(variables, images, train=False)["logits"], model_config)

    return lambda variables, images: [one(row, *rules) for row in np.asarray(see(variables, images))]


def _by_steps(model, model_config: ModelConfig, rules: tuple) -> Search:
    """For those that read what they wrote: the device says what may follow, the texts are chosen here, step by step."""
    width = rules[-1]

    @jax.jit
    def begin(variables, images):
        frames = model.apply(variables, images, train=False)["frames"]
        tokens = jnp.full(len(frames), model_config.bos_id)
        logits, state = model.apply(variables, frames, tokens, method="advance")
        return frames, jax.tree.map(lambda x: jnp.tile(x, (width, 1, 1)), state), _probabilities(logits, model_config)

    @jax.jit
    def follow(variables, frames, state, parents, tokens):
        def advance(tokens, state):
            return model.apply(variables, frames, tokens, state, method="advance")

        state = jax.tree.map(lambda x: jnp.take_along_axis(x, parents[..., None], axis=0), state)
        logits, state = jax.vmap(advance)(tokens, state)  # the frames, and what is made of them, are not repeated
        return state, _probabilities(logits, model_config)

    def search(variables, images):
        frames, state, probabilities = begin(variables, images)

        def advance(parents, written):
            nonlocal state
            state, found = follow(variables, frames, state, parents, written + model_config.first_id)
            return np.asarray(found)

        return attention_search(np.asarray(probabilities), advance, model_config.max_length + 1, *rules)

    return search
