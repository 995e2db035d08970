"""The four-stage recognisers of Baek et al. 2019: transformation, features, sequence and prediction.

CRNN (Shi et al. 2015) is none-vgg-bilstm-ctc, TRBA is tps-resnet-bilstm-attention. Official code: model.py of
clovaai/deep-text-recognition-benchmark.
"""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from jstr.core import Array, ModelConfig, Prediction
from jstr.decoding import greedy
from jstr.nn import features as extractors
from jstr.nn.attention_decoder import AttentionDecoder, CTCHead
from jstr.nn.images import normalise
from jstr.nn.rnn import BiLSTMBlock
from jstr.nn.tps import TPS
from jstr.text.messages import InputError, check_at_least, check_choice

CHOICES = {
    "transformation": ("none", "tps"),
    "features": tuple(extractors.EXTRACTORS),
    "sequence": ("none", "bilstm"),
    "prediction": ("ctc", "attention"),
    "token_embedding": ("learned", "one_hot"),
    "projection": ("none", "mlp", "linear"),
    "dtype": ("float32", "bfloat16"),
}


class Model(nn.Module):
    """A recogniser of one word in an image.

    transformation, features, sequence, prediction: the four stages; see CHOICES.
    width: scales output_channels, hidden_size, embedding_size and localization_channels, for compact models.
    output_channels: of the features. hidden_size: of the sequence and the attention decoder.
    num_fiducials, localization_channels: of the rectifying spline.
    token_embedding: how the attention decoder sees tokens, `learned` (as CR-STR) or `one_hot` (as Baek et al.).
    embedding_size: width of the learned embedding; None: hidden_size.
    projection: kind of the layer before the classifier that `project=True` switches on (Zheng et al. 2022).
    dropout: rate on the frames after the sequence stage, in training; needs rngs={"dropout": key}.
    dtype: of the computation. Parameters, positions, softmax and logits stay float32.

    Raises:
      InputError: an unknown choice, a token layout for another prediction stage, or images that are too small.
    """

    model_config: ModelConfig
    transformation: str = "none"
    features: str = "vgg"
    sequence: str = "bilstm"
    prediction: str = "ctc"
    width: float = 1.0
    output_channels: int = 512
    hidden_size: int = 256
    embedding_size: int | None = None
    num_fiducials: int = 20
    localization_channels: int = 512
    token_embedding: str = "learned"
    projection: str = "none"
    dropout: float = 0.0
    dtype: str = "float32"

    reads_text = False
    has_attention_maps = False
    heads = ()

    def __post_init__(self):
        for name, choices in CHOICES.items():
            check_choice(name, getattr(self, name), choices)
        if self.model_config.is_ctc != (self.prediction == "ctc"):
            raise InputError(f"prediction={self.prediction!r} needs a config.charset.layout for {self.prediction}")
        if not self.width > 0:
            raise InputError(f"width must be positive, not {self.width}")
        for name in ("output_channels", "hidden_size", "localization_channels"):
            check_at_least(name, getattr(self, name), 1)
        if not 0 <= self.dropout < 1:
            raise InputError(f"dropout must be at least 0 and less than 1, not {self.dropout}")
        if self.num_fiducials < 4 or self.num_fiducials % 2:
            raise InputError(f"num_fiducials must be even and at least 4, not {self.num_fiducials}")
        self._check_size(*self.model_config.image_size)
        super().__post_init__()

    def _check_size(self, height: int, width: int) -> None:
        """Raises InputError if no frame is left of an image of this size."""
        least = extractors.MINIMUM_SIZE[self.features]
        if self.transformation == "tps":
            least = tuple(max(8, n) for n in least)
        if height < least[0] or width < least[1]:
            raise InputError(
                f"images of {height}x{width} are too small for features={self.features!r} with "
                f"transformation={self.transformation!r}: give at least {least[0]}x{least[1]}"
            )

    def _scaled(self, size: int, multiple: int) -> int:
        """`size` times `width`, as a multiple of `multiple`, because the stages divide it further."""
        if self.width == 1.0:
            return size
        return max(1, round(size * self.width / multiple)) * multiple

    @property
    def num_frames(self) -> int:
        """S for images of model_config.image_size; with CTC also T."""
        return extractors.num_frames(self.features, self.model_config.image_size[1])

    @property
    def _compute_dtype(self) -> Any:
        return jnp.bfloat16 if self.dtype == "bfloat16" else None  # None: that of the parameters, float32

    @property
    def autoregressive(self) -> bool:
        """Whether the decoder reads the tokens written so far."""
        return self.prediction == "attention"

    @property
    def has_projection(self) -> bool:
        """Whether there is a layer for `project=True`."""
        return self.projection != "none"

    @nn.compact
    def __call__(
        self, images: Array, tokens: Array | None = None, *, train: bool, project: bool = False, stop: bool = False
    ) -> dict[str, Array]:
        """Reads images [B, H, W, C], float32 in [-1, 1] or uint8.

        tokens [B, max_length + 2] int32, BOS first: inputs of the attention decoder (teacher forcing); None: it decodes
          greedily. CTC ignores them.
        train: batch norm uses, and updates, the statistics of the batch.
        project: puts the projection layer before the classifier.
        stop: greedy attention decoding ends when all words have ended; later outputs are 0.

        Returns:
          logits [B, T, C] float32, T = max_length + 1 (CTC: T = S); visual [B, S, D] before the sequence stage; frames
          [B, S, D'] after it; with attention also glimpses [B, T, D'] and attention [B, T, S].

        Raises:
          InputError: images or tokens of another shape, or `project` without a projection layer.
        """
        self._check_inputs(images, tokens, project)
        dtype, x = self._compute_dtype, normalise(images)
        if self.transformation == "tps":
            channels = self._scaled(self.localization_channels, 16)
            x = TPS(self.num_fiducials, channels, dtype, name="rectifier")(x, train=train)
        extractor, channels = extractors.EXTRACTORS[self.features], self._scaled(self.output_channels, 16)
        visual = extractor(channels, dtype, name="extractor")(x, train=train).mean(axis=1)
        frames, hidden = visual, self._scaled(self.hidden_size, 8)
        if self.sequence == "bilstm":
            for index in range(2):
                frames = BiLSTMBlock(hidden, dtype, name=f"sequence_{index}")(frames)
        if self.dropout:
            frames = nn.Dropout(self.dropout, deterministic=not train)(frames)
        outputs = {"visual": visual, "frames": frames}
        if self.prediction == "ctc":
            head = CTCHead(self.model_config.num_classes, self.projection, dtype, name="decoder")
            return outputs | head(frames, project=project)
        decoder_inputs = None if tokens is None else tokens[:, :-1]
        stop_id = self.model_config.eos_id if stop else None
        decoder = self.attention_decoder(name="decoder")
        return outputs | decoder(frames, decoder_inputs, project=project, stop_id=stop_id)

    def attention_decoder(self, **linen_fields: Any) -> AttentionDecoder:
        """The module of the last stage, whose parameters lie under `decoder`. linen_fields: name or parent."""
        model_config, hidden = self.model_config, self._scaled(self.hidden_size, 8)
        embedding = 0 if self.token_embedding == "one_hot" else hidden
        if embedding and self.embedding_size is not None:
            embedding = self._scaled(self.embedding_size, 8)
        sizes = model_config.num_classes, hidden, model_config.max_length + 1, model_config.bos_id, embedding
        return AttentionDecoder(*sizes, self.projection, self._compute_dtype, **linen_fields)

    def advance(
        self, frames: Array, tokens: Array, state: tuple[Array, Array] | None = None
    ) -> tuple[Array, tuple[Array, Array]]:
        """One step of the attention decoder, for beam search. For `model.apply(..., method="advance")`.

        frames [B, S, D']: of `__call__`. tokens [B]: the last ones written. state: as the step before returned it;
        None: tokens are BOS.

        Returns:
          logits [B, C] of the next token, and the state: hidden and cell [B, H].
        """
        if state is None:
            state = (jnp.zeros((len(frames), self._scaled(self.hidden_size, 8)), frames.dtype),) * 2
        decoder, params = self.attention_decoder(parent=None), self.variables["params"]["decoder"]
        outputs = decoder.apply({"params": params}, frames, tokens[:, None], state=state)
        return outputs["logits"][:, 0], outputs["state"]

    def _check_inputs(self, images: Array, tokens: Array | None, project: bool) -> None:
        if images.ndim != 4 or images.shape[-1] != self.model_config.channels:
            raise InputError(f"images must be [B, H, W, {self.model_config.channels}], not {list(images.shape)}")
        self._check_size(*images.shape[1:3])
        length = self.model_config.max_length + 2
        if self.prediction == "attention" and tokens is not None and tokens.shape[1:] != (length,):
            raise InputError(f"tokens must be [B, {length}] (BOS, max_length, EOS), not {list(tokens.shape)}")
        if project and not self.has_projection:
            raise InputError("this model has no projection layer: set config.model.projection to mlp or linear")

    def decode(self, images: Array) -> Prediction:
        """Decodes images [B, H, W, C] greedily: ids and scores [B, T]. For `model.apply(..., method="decode")`."""
        logits = self(images, train=False, stop=True)["logits"]
        if self.prediction == "ctc":
            return greedy.ctc_prediction(logits)
        return greedy.attention_prediction(logits, eos_id=self.model_config.eos_id, pad_id=self.model_config.pad_id)
