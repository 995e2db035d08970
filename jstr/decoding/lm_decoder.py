"""Decoding with a language model: beam search over the output of a recogniser, with a prior made of a word list."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from jstr.core import ModelConfig, Recognizer
from jstr.data.word_lists import count_words
from jstr.decoding.beam_search import attention_search, ctc_search, position_search
from jstr.decoding.ngram_lm import WordPrior
from jstr.messages import InputError

Search = Callable[[dict, np.ndarray], list[tuple[str, float]]]


def make_search(model: Recognizer, characters: str, words: str, weight: float, width: int) -> tuple[WordPrior, Search]:
    """(prior, search) for config.language_model; search(variables, images [B, H, W, C]) returns B (text, confidence).

    characters: of the charset, in the order of their ids. words: a word list, as for `count_words`.

    Raises:
      InputError: a word list that cannot be read, or an invalid weight or width.
    """
    if weight < 0 or width < 1:
        raise InputError(f"config.language_model: weight={weight} must be at least 0 and width={width} at least 1")
    try:
        prior = WordPrior(count_words(words), characters)
    except InputError as error:
        raise InputError(f"language_model={words}: {error}") from error
    make = _step_by_step if model.autoregressive else _in_one_pass
    return prior, make(model, (characters, prior, weight, width))


def _probabilities(logits: jax.Array, model_config: ModelConfig) -> jax.Array:
    """Logits [..., C] -> probabilities [..., 1 + V] of the blank or EOS and of the characters, among all classes."""
    first = model_config.eos_id or 0
    all_classes = jax.nn.softmax(logits.astype(jnp.float32))
    return jnp.concatenate([all_classes[..., first : first + 1], all_classes[..., model_config.first_id :]], axis=-1)


def _in_one_pass(model: Recognizer, rules: tuple) -> Search:
    """For recognisers whose probabilities do not depend on the characters before."""
    model_config = model.model_config
    search_one = ctc_search if model_config.is_ctc else position_search

    @jax.jit
    def probabilities_of(variables, images):
        return _probabilities(model.apply(variables, images, train=False)["logits"], model_config)

    return lambda variables, images: [search_one(p, *rules) for p in np.asarray(probabilities_of(variables, images))]


def _step_by_step(model: Recognizer, rules: tuple) -> Search:
    """For autoregressive recognisers: the device computes probabilities, the host chooses texts after every step."""
    model_config, width = model.model_config, rules[-1]

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
        logits, state = jax.vmap(advance)(tokens, state)  # vmap does not repeat the frames and their projection
        return state, _probabilities(logits, model_config)

    def search(variables, images):
        frames, state, probabilities = begin(variables, images)

        def advance(parents, written):
            nonlocal state
            state, probabilities = follow(variables, frames, state, parents, written + model_config.first_id)
            return np.asarray(probabilities)

        return attention_search(np.asarray(probabilities), advance, model_config.max_length + 1, *rules)

    return search
