"""A trained recogniser that turns images into text. Evaluation, prediction and the Python API all read through it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from jstr import checkpoint, packed
from jstr.core import InputError
from jstr.data.images import ImageSpec, to_channels
from jstr.decode import confidence
from jstr.models import example_input, make_model
from jstr.text import Charset

BATCH_SIZE = 64


def make_charset(config) -> Charset:
    """From config.charset, whose keys are the arguments of Charset.make."""
    return Charset.make(**dict(config))


class Reader:
    """A recogniser with its charset, image size and variables. `jstr.load(workdir)` makes one.

    variables: {"params": ..., "batch_stats": ...} of the model; may be set anew at any time.
    """

    def __init__(self, config, variables=None):
        self.charset = make_charset(config["charset"])
        self.spec = ImageSpec.make(config["image"])
        self.model, self.facts = make_model(config["model"], self.charset, self.spec.size, self.spec.channels)
        self.variables = variables

        def decode(variables, images):
            prediction = self.model.apply(variables, images, method="decode")
            return prediction.ids, confidence(prediction, self.facts.first_id)

        self._decode = jax.jit(decode)
        self._logits = jax.jit(
            lambda variables, images, tokens: self.model.apply(variables, images, tokens, train=False)["logits"]
        )

    def read(self, images: Iterable | str | os.PathLike | np.ndarray | Image.Image) -> tuple[list[str], np.ndarray]:
        """(texts, confidences [N] in 0..1) of images: paths, PIL images or uint8 arrays [H, W] or RGB [H, W, 3].

        A single image is read as a list of one.

        Raises:
          InputError: a file that is not an image, or an array of another form.
        """
        texts, confidences = [], []
        for batch in _chunks(self.pixels(images), BATCH_SIZE):
            some_texts, some_confidences = self.read_batch(np.stack(batch))
            texts += some_texts
            confidences.append(some_confidences)
        return texts, np.concatenate(confidences) if confidences else np.zeros(0, np.float32)

    def logits(self, images, tokens: np.ndarray | None = None) -> np.ndarray:
        """Raw scores [N, T, C] float32: fed back greedily, or teacher-forced on tokens [N, max_length + 2]."""
        pixels = np.stack(list(self.pixels(images)))
        return np.asarray(self._logits(self.variables, pixels, None if tokens is None else jnp.asarray(tokens)))

    def read_batch(self, images: np.ndarray) -> tuple[list[str], np.ndarray]:
        """Texts and confidences of model-sized images uint8 [B, H, W, C]. Compiled once per power of two of B."""
        count = len(images)
        padded = 1 << max(count - 1, 0).bit_length()
        images = np.concatenate([images, np.zeros((padded - count, *images.shape[1:]), images.dtype)])
        ids, confidences = jax.device_get(self._decode(self.variables, images))
        return [self.charset.decode(row) for row in ids[:count].tolist()], confidences[:count]

    def pixels(self, images) -> Iterator[np.ndarray]:
        """Model-sized uint8 [H, W, C] of each image of `read`."""
        if isinstance(images, str | os.PathLike | Image.Image) or (isinstance(images, np.ndarray) and images.ndim < 4):
            images = [images]
        for image in images:
            yield self.spec.fit(self._open(image))

    def _open(self, image) -> np.ndarray:
        if isinstance(image, str | os.PathLike):
            try:
                pixels = self.spec.decode(Path(image).read_bytes())
            except OSError as error:
                raise InputError(f"{image}: {error.strerror}") from error
            if pixels is None:
                raise InputError(f"{image}: not an image that can be decoded")
            return pixels
        if isinstance(image, Image.Image):
            image = np.asarray(image.convert("L" if self.spec.channels == 1 else "RGB"))
        return to_channels(np.asarray(image), self.spec.channels)


def load(workdir: str | os.PathLike | None = None) -> Reader:
    """The reader of a training run's newest checkpoint (its best, if config.keep_best chose), of converted weights, or
    of a packed file.

    workdir: None loads the reader that comes with the package.

    Raises:
      InputError: not a workdir, or no complete checkpoint in it.
    """
    workdir = packed.BUNDLED if workdir is None else workdir
    config = checkpoint.read_meta(workdir)["config"]
    reader = Reader(config)
    example = example_input(reader.model)
    expected = jax.eval_shape(lambda key, x: reader.model.init(key, x, train=False), jax.random.PRNGKey(0), example)
    saved = checkpoint.load_variables(workdir, config.get("eval_weights", "student"))
    reader.variables = model_variables(saved["params"], saved["model_state"])
    _check_same(workdir, expected, reader.variables)
    return reader


def model_variables(params, model_state) -> dict:
    """The variables of the recogniser among those of a run: what `Model.apply` takes."""
    return {"params": params["model"], **model_state}


def _check_same(workdir, expected, found) -> None:
    shapes = [
        {jax.tree_util.keystr(path): leaf.shape for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}
        for tree in (expected, found)
    ]
    different = [k for k in shapes[0] | shapes[1] if shapes[0].get(k) != shapes[1].get(k)]
    if different:
        raise InputError(f"{workdir}: the checkpoint does not fit its config at {', '.join(different[:5])}")


def _chunks(items: Iterable, size: int) -> Iterator[list]:
    chunk = []
    for item in items:
        chunk.append(item)
        if len(chunk) == size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
