"""ABINet (Fang et al. 2021): a vision model reads, a language model corrects, a gate fuses both, several times over.

Section 3.3 of the paper. Official code: modules/model_abinet_iter.py of FangShancheng/ABINet.
"""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jstr.core import Array, ModelConfig, Prediction
from jstr.decoding import greedy
from jstr.models import abinet_language, abinet_vision
from jstr.models.abinet_vision import RESNET45, check_common, classify, compute_dtype
from jstr.nn.layers import dense, torch_default
from jstr.nn.resnet45 import BLOCKS
from jstr.text.messages import InputError


class Fusion(nn.Module):
    """A gate per feature: language [B, T, D], vision [B, T, D] -> logits [B, T, C], fused features [B, T, D]."""

    num_classes: int
    dtype: Any = None

    @nn.compact
    def __call__(self, language: Array, vision: Array) -> tuple[Array, Array]:
        both = jnp.concatenate([language, vision], axis=-1)
        gate = nn.sigmoid(dense(vision.shape[-1], dtype=self.dtype, kernel_init=torch_default, name="gate")(both))
        fused = gate * vision + (1 - gate) * language
        return classify(self.num_classes, fused, "classifier"), fused


class Model(nn.Module):
    """Vision, language and fusion. Fields as in abinet_vision and abinet_language; iterations: rounds of correction.

    No gradient flows through the probabilities that the language model reads. The vision model learns from the later
    stages only through its features, which the gate mixes in.

    Raises:
      InputError: an invalid field.
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
    features: str = RESNET45
    feature_channels: int = 256

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
          Outputs of abinet_vision, with logits [B, T, C] and glimpses [B, T, D] of the last fusion; heads, the logits
          of the last iteration by name (vision, language, fusion); iterations, tuples of the logits of all iterations
          (one for vision).

        Raises:
          InputError: images of another shape.
        """
        common = dict(width=self.width, dropout=self.dropout, dtype=self.dtype)
        vision = abinet_vision.Model(
            self.model_config,
            **common,
            blocks=self.blocks,
            num_layers=self.num_layers,
            attention=self.attention,
            features=self.features,
            feature_channels=self.feature_channels,
            name="vision",
        )
        language = abinet_language.Model(self.model_config, **common, num_layers=self.language_layers, name="language")
        fusion = Fusion(self.model_config.num_classes, compute_dtype(self.dtype), name="fusion")
        outputs = vision(images, train=train)
        logits, all_logits = outputs["logits"], {"vision": [outputs["logits"]], "language": [], "fusion": []}
        for _ in range(self.iterations):
            length = greedy.word_length(jnp.argmax(logits, axis=-1), self.model_config.eos_id)
            corrected = language(jax.nn.softmax(logits), length, train=train)
            logits, fused = fusion(corrected["features"], outputs["glimpses"])
            all_logits["language"].append(corrected["logits"])
            all_logits["fusion"].append(logits)
        iterations = {name: tuple(values) for name, values in all_logits.items()}
        heads = {name: values[-1] for name, values in all_logits.items()}
        return outputs | {"logits": logits, "glimpses": fused, "heads": heads, "iterations": iterations}

    def decode(self, images: Array) -> Prediction:
        """Decodes images [B, H, W, C] greedily: ids and scores [B, T]. For `model.apply(..., method="decode")`."""
        logits = self(images, train=False)["logits"]
        return greedy.attention_prediction(logits, eos_id=self.model_config.eos_id, pad_id=self.model_config.pad_id)
