"""The language model of ABINet (Fang et al. 2021, section 3.2), BCN: predicts each character from all the others.

It reads text, not images. objectives/masked_lm.py trains it, and models/abinet.py uses it. Official code:
modules/model_language.py of FangShancheng/ABINet.
"""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp

from jstr.core import Array, ModelConfig
from jstr.decoding.greedy import word_length
from jstr.models.abinet_vision import HEADS, check_common, classify, compute_dtype, scaled
from jstr.nn.dropout import Dropout
from jstr.nn.layers import dense, torch_default
from jstr.nn.transformer import Layer, add_positions


class Model(nn.Module):
    """A cloze model: position i attends to all tokens of the word except its own, and predicts that one.

    width: scales every layer, for compact models; 1: features of 512. dtype: as in abinet_vision.

    Raises:
      InputError: a token layout without EOS, or an invalid field.
    """

    model_config: ModelConfig
    width: float = 1.0
    num_layers: int = 4
    dropout: float = 0.1
    dtype: str = "float32"

    reads_text = True
    autoregressive = False
    has_projection = False
    has_attention_maps = False
    heads = ()

    def __post_init__(self):
        check_common(self)
        super().__post_init__()

    @nn.compact
    def __call__(self, tokens: Array, length: Array | None = None, *, train: bool) -> dict[str, Array]:
        """Reads tokens without BOS: ids [B, T] int32, or probabilities [B, T, C], through which no gradient flows.

        length [B]: of characters and EOS; None: up to the first EOS of the ids (or of the most probable classes).
          Positions after it are masked. At least 2 is used, because a lone EOS would have nothing to attend to.

        Returns:
          logits [B, T, C] float32; features [B, T, D], which they are made of.
        """
        if tokens.ndim == 2:
            ids, tokens = tokens, jax.nn.one_hot(tokens, self.model_config.num_classes)
        else:
            ids, tokens = jnp.argmax(tokens, axis=-1), jax.lax.stop_gradient(tokens)
        if length is None:
            length = word_length(ids, self.model_config.eos_id)
        size, steps, dtype = scaled(512, self.width), tokens.shape[1], compute_dtype(self.dtype)
        embedded = dense(size, use_bias=False, dtype=dtype, kernel_init=torch_default, name="embedding")(tokens)
        memory = Dropout(self.dropout)(add_positions(embedded), train=train)
        visible = jnp.arange(steps) < jnp.maximum(length, 2)[:, None]
        mask = visible[:, None, None, :] & ~jnp.eye(steps, dtype=bool)
        # The layers start from position codes alone, so that a token never reaches its own position.
        x = add_positions(jnp.zeros_like(memory))
        for i in range(self.num_layers):
            layer = Layer(HEADS, 4 * size, self.dropout, dtype, name=f"layer_{i}")
            x = layer(x, memory, mask, train=train)
        return {"logits": classify(self.model_config.num_classes, x, "classifier"), "features": x}
