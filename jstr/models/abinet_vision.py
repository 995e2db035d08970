"""The vision model of ABINet (Fang et al. 2021, section 3.1): reads all characters in parallel.

A residual network, transformer layers over its map, and attention from positions to cells. Official code:
modules/model_vision.py of FangShancheng/ABINet. The features of a four-stage recogniser can take the place of the
residual network (ours), as one row of cells, and so those of a reader that has been trained already.
"""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from jstr.core import Array, ModelConfig, Prediction, at_least_float32
from jstr.decoding import greedy
from jstr.nn.dropout import Dropout
from jstr.nn.features import EXTRACTORS, MINIMUM_SIZE
from jstr.nn.images import normalise
from jstr.nn.layers import dense, torch_default
from jstr.nn.position_attention import AdditiveAttention, PositionAttention
from jstr.nn.resnet45 import BLOCKS, ResNet45
from jstr.nn.transformer import Layer, add_positions
from jstr.text.messages import InputError, check_choice

DTYPES = ("float32", "bfloat16")
ATTENTIONS = ("position", "additive")
RESNET45 = "resnet45"
HEADS = 8
# Mean and standard deviation of the colours of ImageNet, by which the published weights expect images to be scaled.
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def scaled(size: int, width: float) -> int:
    """`size` times `width`, as a multiple of 16, so that 8 heads divide it."""
    return size if width == 1.0 else max(1, round(size * width / 16)) * 16


def compute_dtype(name: str) -> Any:
    """The dtype of the computation; None follows the parameters, which are float32."""
    return jnp.bfloat16 if name == "bfloat16" else None


def check_common(model: Any) -> None:
    """Raises InputError if a field that all models of ABINet share has an invalid value."""
    if model.model_config.eos_id is None or model.model_config.eos_id < 0:
        raise InputError("ABINet needs a token layout with an EOS class: set config.charset.layout to abinet")
    check_choice("dtype", model.dtype, DTYPES)
    if not model.width > 0:
        raise InputError(f"width must be positive, not {model.width}")
    if not 0 <= model.dropout < 1:
        raise InputError(f"dropout must be at least 0 and less than 1, not {model.dropout}")


def imagenet(images: Array) -> Array:
    """Scales images [B, H, W, C] from [-1, 1] to mean 0 and variance 1 over ImageNet; grey ones by the mean colour."""
    channels = images.shape[-1]
    mean, std = (jnp.asarray(v if channels == 3 else [sum(v) / 3], images.dtype) for v in (MEAN, STD))
    return ((images + 1) / 2 - mean) / std


class Backbone(nn.Module):
    """[B, H, W, C] -> [B, h, w, D]: a residual network, then transformer layers over all cells, row by row.

    h, w: H / 4 and W / 4; with features of a four-stage recogniser, 1 and its S.
    """

    width: float
    blocks: tuple[int, ...]
    num_layers: int
    dropout: float
    features: str
    feature_channels: int
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        size = scaled(512, self.width)
        if self.features == RESNET45:
            x = ResNet45(size // 16, tuple(self.blocks), self.dtype, name="resnet")(x, train=train)
        else:
            extractor = EXTRACTORS[self.features](self.feature_channels, self.dtype, name="extractor")
            columns = extractor(x, train=train).mean(axis=1, keepdims=True)
            x = dense(size, dtype=self.dtype, kernel_init=torch_default, name="project")(columns)
        cells = add_positions(x.reshape(x.shape[0], -1, x.shape[-1]))
        cells = Dropout(self.dropout)(cells, train=train)
        for i in range(self.num_layers):
            cells = Layer(HEADS, 4 * x.shape[-1], self.dropout, self.dtype, name=f"layer_{i}")(cells, train=train)
        return cells.reshape(x.shape)


class Model(nn.Module):
    """A recogniser of one word in an image. LV of the paper has 3 layers and position attention, SV 2 and additive.

    width: scales every layer, for compact models; 1: features of 512. blocks: in the stages of the residual network.
    attention: `position` or `additive`. features: `resnet45`, or one of jstr.nn.features.EXTRACTORS, which makes
    feature_channels and sees images as four-stage recognisers do.
    dtype: of the computation. Parameters, norms, softmax and logits stay float32.

    Raises:
      InputError: an invalid field, a token layout without EOS, or an image size that does not fit.
    """

    model_config: ModelConfig
    width: float = 1.0
    blocks: tuple[int, ...] = BLOCKS
    num_layers: int = 3
    attention: str = "position"
    dropout: float = 0.1
    dtype: str = "float32"
    features: str = RESNET45
    feature_channels: int = 256

    reads_text = False
    autoregressive = False
    has_projection = False
    has_attention_maps = True
    heads = ()

    def __post_init__(self):
        check_common(self)
        check_choice("attention", self.attention, ATTENTIONS)
        check_choice("features", self.features, (RESNET45, *EXTRACTORS))
        if len(self.blocks) != len(BLOCKS) or min(self.blocks) < 1:
            raise InputError(f"blocks must be {len(BLOCKS)} numbers, at least 1 each, not {tuple(self.blocks)}")
        self._check_size(*self.model_config.image_size)
        super().__post_init__()

    def _check_size(self, height: int, width: int) -> None:
        if self.features != RESNET45:
            least = MINIMUM_SIZE[self.features]
            if height < least[0] or width < least[1]:
                raise InputError(f"images of {height}x{width} are too small for features={self.features!r}")
        elif height % 4 or width % 4 or min(height, width) < 16:
            raise InputError(f"images of {height}x{width} do not fit ABINet: give multiples of 4, at least 16")

    @nn.compact
    def __call__(self, images: Array, tokens: Array | None = None, *, train: bool) -> dict[str, Array]:
        """Reads images [B, H, W, C], float32 in [-1, 1] or uint8. tokens are ignored, because nothing is fed back.

        train: batch norm uses, and updates, the statistics of the batch; dropout needs rngs={"dropout": key}.

        Returns:
          logits [B, T, C] float32, T = max_length + 1; glimpses [B, T, D], the features they are made of; attention
          [B, T, h, w], the weights of the cells; visual [B, h, w, D], the cells; frames [B, w, D], means of columns.

        Raises:
          InputError: images of another shape.
        """
        expected = (*self.model_config.image_size, self.model_config.channels)
        if images.shape[1:] != expected:
            raise InputError(f"images must be [B, {', '.join(map(str, expected))}], not {list(images.shape)}")
        dtype = compute_dtype(self.dtype)
        x = normalise(images)
        x = imagenet(x) if self.features == RESNET45 else x
        fields = (self.blocks, self.num_layers, self.dropout, self.features, self.feature_channels)
        backbone = Backbone(self.width, *fields, dtype, name="backbone")
        visual = backbone(x.astype(dtype or x.dtype), train=train)
        steps = self.model_config.max_length + 1
        if self.attention == "position":
            attend = PositionAttention(steps, scaled(64, self.width), dtype, name="attention")
        else:
            attend = AdditiveAttention(steps, dtype, name="attention")
        glimpses, weights = attend(visual, train=train)
        logits = classify(self.model_config.num_classes, glimpses, "classifier")
        frames = visual.mean(axis=1)
        return {"logits": logits, "glimpses": glimpses, "attention": weights, "visual": visual, "frames": frames}

    def decode(self, images: Array) -> Prediction:
        """Decodes images [B, H, W, C] greedily: ids and scores [B, T]. For `model.apply(..., method="decode")`."""
        logits = self(images, train=False)["logits"]
        return greedy.attention_prediction(logits, eos_id=self.model_config.eos_id, pad_id=self.model_config.pad_id)


def classify(num_classes: int, features: Array, name: str) -> Array:
    """Features [B, T, D] -> logits [B, T, C], in at least float32."""
    return dense(num_classes, kernel_init=torch_default, name=name)(at_least_float32(features))
