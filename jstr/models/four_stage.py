"""The four-stage recognisers of Baek et al. 2019: transformation, features, sequence, prediction; all 24 combinations.

CRNN is none-vgg-bilstm-ctc, TRBA is tps-resnet-bilstm-attention. recognizers.md sections 1 to 7.
"""

from __future__ import annotations

import flax.linen as nn
import jax.numpy as jnp

from jstr.core import Array, InputError, ModelConfig, Prediction
from jstr.decoding import greedy
from jstr.nn import features as extractors
from jstr.nn.attention_decoder import AttentionDecoder, CTCHead
from jstr.nn.images import normalise
from jstr.nn.rnn import BiLSTMBlock
from jstr.nn.tps import TPS

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

    width: multiplies output_channels, hidden_size, embedding_size and localization_channels, for compact models.
    token_embedding: what the attention decoder reads, a learned embedding or (Baek et al.) a one-hot vector.
    embedding_size: of the learned embedding; None: hidden_size.
    dropout: share of the frames' values that training drops after the sequence stage; objectives need a key for it.
    projection: the layer before the classifier (Zheng et al. 2022) that `project=True` switches on; it rests otherwise.
    dtype: of the computation. Parameters, positions, softmax and logits stay float32.

    Raises:
      InputError: an unknown choice, token ids that do not go with the prediction stage, or too small an image.
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
            if getattr(self, name) not in choices:
                raise InputError(f"unknown {name} {getattr(self, name)!r}; choose one of {', '.join(choices)}")
        if (self.model_config.is_ctc) != (self.prediction == "ctc"):
            needed = "has no BOS" if self.prediction == "ctc" else "needs a BOS"
            raise InputError(
                f"prediction {self.prediction!r} {needed} token, but bos_id is {self.model_config.bos_id}; "
                "choose the token layout that goes with it"
            )
        if not self.width > 0:
            raise InputError(f"width must be positive, not {self.width}")
        if self.num_fiducials < 4 or self.num_fiducials % 2:
            raise InputError(f"num_fiducials must be even and at least 4, not {self.num_fiducials}")
        self._check_size(*self.model_config.image_size)
        super().__post_init__()

    def _check_size(self, height: int, width: int) -> None:
        least = extractors.MINIMUM_SIZE[self.features]
        if self.transformation == "tps":
            least = tuple(max(8, n) for n in least)
        if height < least[0] or width < least[1]:
            raise InputError(
                f"an image of {height}x{width} is too small for features {self.features!r} with "
                f"transformation {self.transformation!r}; it needs at least {least[0]}x{least[1]}"
            )

    def _scaled(self, size: int, multiple: int) -> int:
        """A size for this `width`: a multiple of `multiple`, because extractors divide it further."""
        if self.width == 1.0:
            return size
        return max(1, round(size * self.width / multiple)) * multiple

    @property
    def num_frames(self) -> int:
        """S for images of model_config.image_size: also T of a CTC model."""
        return extractors.num_frames(self.features, self.model_config.image_size[1])

    @property
    def _compute_dtype(self):
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

        tokens [B, max_length + 2] int32, BOS first: the attention decoder is told them (teacher forcing); None: it
        reads back what it writes. CTC ignores them. train: batch norm uses, and updates, the statistics of the batch.
        stop: an attention decoder without tokens ends when all words have ended; its outputs after that are 0.

        Returns:
          logits [B, T, C] float32, T = max_length + 1 (CTC: T = S); visual [B, S, D] before the sequence stage; frames
          [B, S, D'] after it; attention decoders add glimpses [B, T, D'] and attention [B, T, S].

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
        told, stop_id = None if tokens is None else tokens[:, :-1], self.model_config.eos_id if stop else None
        return outputs | self.attention_decoder(name="decoder")(frames, told, project=project, stop_id=stop_id)

    def attention_decoder(self, **of_linen) -> AttentionDecoder:
        """The last stage without its parameters, those under `decoder`. of_linen: name, or parent."""
        model_config, hidden = self.model_config, self._scaled(self.hidden_size, 8)
        embedding = 0 if self.token_embedding == "one_hot" else hidden
        if embedding and self.embedding_size is not None:
            embedding = self._scaled(self.embedding_size, 8)
        sizes = model_config.num_classes, hidden, model_config.max_length + 1, model_config.bos_id, embedding
        return AttentionDecoder(*sizes, self.projection, self._compute_dtype, **of_linen)

    def advance(
        self, frames: Array, tokens: Array, state: tuple[Array, Array] | None = None
    ) -> tuple[Array, tuple[Array, Array]]:
        """One step of the attention decoder, for searches: what comes after tokens [B], the last ones written.

        frames [B, S, D'] are those of `__call__`, state what the step before returned; None: tokens are BOS.
        Returns (logits [B, C], state), hidden and cell [B, H]. For `model.apply(..., method="advance")`.
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
            raise InputError(f"this model has no projection layer; set projection to {CHOICES['projection'][1:]}")

    def decode(self, images: Array) -> Prediction:
        """Greedy reading of images [B, H, W, C]: ids and scores [B, T]. For `model.apply(..., method="decode")`."""
        logits = self(images, train=False, stop=True)["logits"]
        if self.prediction == "ctc":
            return greedy.ctc_prediction(logits)
        return greedy.attention_prediction(logits, eos_id=self.model_config.eos_id, pad_id=self.model_config.pad_id)
