"""An image for people: where a recogniser with position attention looks while it reads."""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from jstr.inference.read_source import decoded
from jstr.inference.reader import Reader, default_batch_size
from jstr.text.messages import InputError

SHOWN = 16


def attention_image(reader: Reader, source: Any) -> np.ndarray | None:
    """uint8 [H, W, 3]: where the first readable images of a source are looked at; None if none can be read.

    Raises:
      InputError: a recogniser without position attention.
    """
    size = default_batch_size()  # for which the model is compiled already; fewer are shown
    readable = (sample.image for sample in decoded(source, reader.spec, 2 * size) if sample.image is not None)
    images = list(itertools.islice(readable, size))
    return reader.attention_sheet(np.stack(images), SHOWN) if images else None


def attention_images(reader: Reader, sources: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """{"attention": attention_image of the first source}; {} for other recognisers, without sources or images."""
    if not (sources and reader.has_attention):
        return {}
    image = attention_image(reader, next(iter(sources.values())))
    return {} if image is None else {"attention": image}


def save_attention(reader: Reader, source: Any, file: str) -> None:
    """Writes attention_image to a file. Raises InputError: no image can be read, or the file cannot be written."""
    image = attention_image(reader, source)
    if image is None:
        raise InputError(f"--attention: no image of {source.path} can be read")
    try:
        Image.fromarray(image).save(Path(os.path.expanduser(file)))
    except (OSError, ValueError) as error:
        raise InputError(f"--attention={file}: {error}") from error
