"""The functions of a recogniser that reading needs, compiled when they are first used."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np

from jstr.core import Array, Recognizer
from jstr.decoding.greedy import attention_prediction, confidence
from jstr.inference.widths import padded
from jstr.parallel.compiling import jit

Decoded = tuple[Array, Array]  # ids [B, T] int32 and confidences [B]


class CompiledModel:
    """Jitted functions of (variables, ...). They do not depend on the variables, so readers of one model share them."""

    def __init__(self, model: Recognizer):
        self._model, self._model_config = model, model.model_config

    @functools.cached_property
    def decode(self) -> Callable[..., Decoded]:
        """(variables, images [B, H, W, C]) -> what the model reads greedily."""

        @jit
        def decode(variables, images):
            prediction = self._model.apply(variables, images, method="decode")
            return prediction.ids, confidence(prediction, self._model_config.first_id)

        return decode

    @functools.cached_property
    def decode_with_attention(self) -> Callable[..., tuple[Decoded, dict[str, Decoded], Array | None]]:
        """(variables, images) -> the same, what each head reads by name, and attention maps [B, T, h, w] or None."""

        @jit
        def decode_with_attention(variables, images):
            outputs = self._model.apply(variables, images, train=False)
            heads = {name: self._decode_logits(outputs["heads"][name]) for name in self._model.heads}
            return self._decode_logits(outputs["logits"]), heads, outputs.get("attention")

        return decode_with_attention

    @functools.cached_property
    def correct(self) -> Callable[..., Decoded]:
        """(variables, ids [B, T]) -> what a language model makes of words."""
        return jit(lambda v, ids: self._decode_logits(self._model.apply(v, ids, train=False)["logits"]))

    @functools.cached_property
    def logits(self) -> Callable[..., Array]:
        """(variables, images, tokens or None) -> [B, T, C]; teacher-forced on tokens [B, max_length + 2]."""
        return jit(lambda v, images, tokens: self._model.apply(v, images, tokens, train=False)["logits"])

    def _decode_logits(self, logits: Array) -> Decoded:
        model_config = self._model_config
        prediction = attention_prediction(logits, eos_id=model_config.eos_id, pad_id=model_config.pad_id)
        return prediction.ids, confidence(prediction, model_config.first_id)


def pad_to_power_of_two(rows: np.ndarray) -> np.ndarray:
    """`rows` [B, ...] with rows of zeros after them, so that few batch sizes are compiled."""
    return padded(rows, 1 << max(len(rows) - 1, 0).bit_length())
