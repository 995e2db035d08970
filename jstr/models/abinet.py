"""ABINet (Fang et al. 2021): a vision model reads, a language model corrects, a gate weighs both; then once more.

semimtr.md section 5.
"""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jstr.core import Array, InputError, ModelConfig, Prediction
from jstr.decoding import greedy
from jstr.models import abinet_language, abinet_vision
from jstr.models.abinet_vision import check_common, classify, compute_dtype
from jstr.nn.layers import dense, torch_default
from jstr.nn.resnet45 import BLOCKS


class Fusion(nn.Module):
    """A gate for every feature: language [B, T, D], vision [B, T, D] -> logits [B, T, C], fused features [B, T, D]."""

    num_classes: int
    dtype: Any = None

    @nn.compact
    def __call__(self, language: Array, vision: Array) -> tuple[Array, Array]:
        both = jnp.concatenate([language, vision], axis=-1)
        gate = nn.sigmoid(dense(vision.shape[-1], dtype=self.dtype, init=torch_default, name="gate")(both))
        fused = gate * vision + (1 - gate) * language
        return classify(self.num_classes, fused, "classifier"), fused


class Model(nn.Module):
    """Vision, language and fusion. Fields as in abinet_vision and abinet_language; iterations: rounds of correction.

    The language model reads probabilities through which no gradient flows: the vision model learns from the later
    stages through its features alone, which the gate mixes in.

    Raises:
      InputError: a field that cannot be.
    """

    model_config: ModelConfig
    width: float = 1.0
    blocks: tuple[int, ...] = BLOCKS
    num_layers: int = 3
    attention: str = "position"
    language_layers: int = 4
    iterations: int = 3
    dropout: float = 0.1
    dtype: str = "float32"

    reads_text = False
    autoregressive = False
    has_projection = False
    has_attention_maps = True
    heads = ("vision", "language", "fusion")

    def __post_init__(self):
        check_common(self)
        if self.iterations < 1:
            raise InputError(f"iterations must be at least 1, not {self.iterations}")
        super().__post_init__()

    @nn.compact
    def __call__(self, images: Array, tokens: Array | None = None, *, train: bool) -> dict[str, Any]:
        """Reads images [B, H, W, C] as abinet_vision does.

        Returns:
          Its outputs, of which logits [B, T, C] and glimpses [B, T, D] are those of the last fusion; heads, the logits
          of the last iteration by name (vision, language, fusion); iterations, tuples of those of all iterations, a
          single one for vision.

        Raises:
          InputError: images of another shape.
        """
        common = dict(width=self.width, dropout=self.dropout, dtype=self.dtype)
        see = abinet_vision.Model(
            self.model_config,
            **common,
            blocks=self.blocks,
            num_layers=self.num_layers,
            attention=self.attention,
            name="vision",
        )
        correct = abinet_language.Model(self.model_config, **common, num_layers=self.language_layers, name="language")
        fuse = Fusion(self.model_config.num_classes, compute_dtype(self.dtype), name="fusion")
        outputs = see(images, train=train)
        logits, found = outputs["logits"], {"vision": [outputs["logits"]], "language": [], "fusion": []}
        for _ in range(self.iterations):
            length = greedy.word_length(jnp.argmax(logits, axis=-1), self.model_config.eos_id)
            corrected = correct(jax.nn.softmax(logits), length, train=train)
            logits, fused = fuse(corrected["features"], outputs["glimpses"])
            found["language"].append(corrected["logits"])
            found["fusion"].append(logits)
        iterations = {name: tuple(values) for name, values in found.items()}
        heads = {name: values[-1] for name, values in found.items()}
        return outputs | {"logits": logits, "glimpses": fused, "heads": heads, "iterations": iterations}

    def decode(self, images: Array) -> Prediction:
        """Greedy reading of images [B, H, W, C]: ids and scores [B, T]. For `model.apply(..., method="decode")`."""
        logits = self(images, train=False)["logits"]
        return greedy.attention_prediction(logits, eos_id=self.model_config.eos_id, pad_id=self.model_config.pad_id)
