"""A recogniser of a few hundred parameters that keeps the contract of jstr/models and compiles in no time."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jstr.core import ModelConfig
from jstr.nn.attention_decoder import AttentionDecoder
from jstr.nn.dropout import Dropout
from jstr.nn.images import normalise
from jstr.nn.layers import ConvNorm

CTC = ModelConfig((8, 48), channels=1, max_length=4, num_classes=9, first_id=4, pad_id=1)


class Toy(nn.Module):
    """Images [B, 8, W, 1] -> visual and frames [B, W // 4, 6], maps [B, 4, W // 4, 6], logits [B, W // 4, 9]."""

    model_config: ModelConfig = CTC

    reads_text = False
    autoregressive = False
    has_projection = False
    has_attention_maps = False
    heads = ()

    @nn.compact
    def __call__(self, images, tokens=None, *, train):
        maps = ConvNorm(6, strides=(2, 4), name="extractor")(normalise(images), train=train)
        visual = maps.mean(axis=1)
        frames = nn.tanh(nn.Dense(6, name="sequence")(visual))
        logits = nn.Dense(self.model_config.num_classes, name="decoder")(frames)
        return {"maps": maps, "visual": visual, "frames": frames, "logits": logits}


def toy_views(size: int = 8, joint: bool = False) -> dict:
    """A batch of two views of noise that have something in common."""
    rng = np.random.default_rng(0)
    view = rng.integers(0, 256, (size, 8, 48, 1), np.uint8)
    noise = rng.integers(0, 40, view.shape)
    rows = {"view0": view, "view1": (0.8 * view + noise).astype(np.uint8)}
    rows |= {f"{name}_filled": np.ones(size, np.float32) for name in ("view0", "view1")}
    if not joint:
        return {"unlabelled": rows}
    tokens = np.full((size, 4), CTC.pad_id, np.int32)
    tokens[:, :2] = rng.integers(CTC.first_id, CTC.num_classes, (size, 2))
    return {"mixed": rows | {"tokens": tokens, "has_label": np.arange(size) % 2 == 0}}


ATTENTION = ModelConfig((8, 48), channels=1, max_length=4, num_classes=10, first_id=5, pad_id=0, bos_id=2, eos_id=3)


class ToyAttention(nn.Module):
    """The same with an attention decoder: logits [B, 5, 10], glimpses [B, 5, 6], and a projection layer."""

    model_config: ModelConfig = ATTENTION
    projection: str = "mlp"

    reads_text = False
    autoregressive = True
    has_attention_maps = False
    heads = ()

    @property
    def has_projection(self):
        return self.projection != "none"

    @nn.compact
    def __call__(self, images, tokens=None, *, train, project=False):
        maps = ConvNorm(6, strides=(2, 4), name="extractor")(normalise(images), train=train)
        frames = nn.tanh(nn.Dense(6, name="sequence")(maps.mean(axis=1)))
        model_config = self.model_config
        decoder = AttentionDecoder(
            model_config.num_classes, 8, 5, model_config.bos_id, 8, self.projection, name="decoder"
        )
        return {"frames": frames} | decoder(frames, None if tokens is None else tokens[:, :-1], project=project)


HEADED = ModelConfig((8, 48), 1, 4, 7, first_id=1, pad_id=-1, bos_id=-1, eos_id=0)


class Headed(nn.Module):
    """The form of ABINet's outputs, of images [B, 8, 48, 1], from a handful of parameters."""

    model_config: ModelConfig = HEADED
    dropout: float = 0.0

    reads_text = False
    autoregressive = False
    has_projection = False
    has_attention_maps = False
    heads = ("vision", "language", "fusion")

    @nn.compact
    def __call__(self, images, tokens=None, *, train):
        visual = ConvNorm(5, strides=(2, 8), name="extractor")(normalise(images), train=train)
        glimpses = nn.tanh(nn.DenseGeneral((5, 6), axis=(1, 2, 3), name="attention")(visual))
        glimpses = Dropout(self.dropout)(glimpses, train=train)
        vision = nn.Dense(7, name="vision")(glimpses)
        language = nn.Dense(7, name="language")(jax.nn.softmax(jax.lax.stop_gradient(vision)))
        fusion = nn.Dense(7, name="fusion")(jnp.concatenate([glimpses, language], axis=-1))
        heads = {"vision": vision, "language": language, "fusion": fusion}
        iterations = {"vision": (vision,), "language": (language, language), "fusion": (fusion, fusion)}
        outputs = {"logits": fusion, "glimpses": glimpses, "frames": visual.mean(axis=1), "visual": visual}
        return outputs | {"heads": heads, "iterations": iterations}


def toy_words(model_config: ModelConfig = CTC, labelled: int = 8, unlabelled: int = 4, hidden: bool = False) -> dict:
    """A batch of labelled words and of weak and strong views of others."""
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (n, 8, 48, 1), np.uint8) for n in (labelled, unlabelled)]

    def tokens(count):
        ids = rng.integers(model_config.first_id, model_config.num_classes, (count, 2))
        if model_config.is_ctc:
            return np.pad(ids, ((0, 0), (0, 2)), constant_values=model_config.pad_id).astype(np.int32)
        words = np.pad(ids, ((0, 0), (1, 3)), constant_values=model_config.pad_id).astype(np.int32)
        words[:, 0], words[:, 3] = model_config.bos_id, model_config.eos_id
        return words

    known, noise = tokens(labelled), rng.integers(0, 30, images[1].shape)
    rows = {"weak": images[1], "strong": (0.85 * images[1] + noise).astype(np.uint8)}
    rows |= {"tokens": tokens(unlabelled), "has_label": np.arange(unlabelled) % 2 == 0} if hidden else {}
    return {"labelled": {"image": images[0], "tokens": known}, "unlabelled": rows}
