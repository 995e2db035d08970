"""Reads all images of a source. Evaluation, prediction and pseudo-labelling do so through here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import grain
import numpy as np

from jstr.data.images import ImageSpec
from jstr.inference.reader import Reader, default_batch_size
from jstr.inference.widths import chunks, in_batches, window

NO_HEADS: Mapping[str, tuple[str, float]] = MappingProxyType({})


class Answer(NamedTuple):
    """What a reader makes of one image. heads: (text, confidence) of each head by name, where asked for.

    is_complete: False for a decoder that ran out of steps before it wrote EOS.
    """

    text: str
    confidence: float
    heads: Mapping[str, tuple[str, float]] = NO_HEADS
    is_complete: bool = True


class Reading(NamedTuple):
    """A sample of a source and what a reader makes of it. A broken image has neither `image` nor `answer`.

    index: its place in the source. image: uint8 [H, W, C] as the model sees it. aspect: width / height before that.
    """

    index: int
    key: str
    label: str | None
    image: np.ndarray | None
    answer: Answer | None
    aspect: float = 0.0


def read_source(
    reader: Reader,
    source: Any,
    batch_size: int | None = None,
    *,
    heads: bool = False,
    checked: bool = False,
    read: Callable[[np.ndarray], Iterable[Answer]] | None = None,
) -> Iterator[Reading]:
    """Every sample of a source once, in order.

    All batches have `batch_size` images, the last one padded with zeros, so that the model is compiled once; where
    images may be wider than usual, see in_batches.
    heads: also says what each head reads, where the recogniser has several. checked: see Reader.read_checked.
    read: another way to read a batch [B, H, W, C], of which only the first answers may be used.
    """
    read = read or (lambda images: read_batch(reader, images, heads, checked))
    size = min(batch_size or default_batch_size(), 1 << max(len(source) - 1, 0).bit_length())
    for samples in chunks(decoded(source, reader.spec, 2 * size), window(reader.spec, size)):
        answers = in_batches([sample.image for sample in samples], reader.spec, size, read, full=True)
        yield from (sample._replace(answer=answer) for sample, answer in zip(samples, answers, strict=True))


def read_batch(reader: Reader, images: np.ndarray, heads: bool = False, checked: bool = False) -> list[Answer]:
    """The answers of a reader for images uint8 [B, H, W, C]."""
    if not (heads and reader.heads):
        found = reader.read_checked(images) if checked else reader.read_batch(images)
        return [Answer(text, float(value)) for text, value in zip(*found, strict=True)]
    found = reader.read_heads(images)
    rows = [{name: (texts[i], float(values[i])) for name, (texts, values) in found.items()} for i in range(len(images))]
    return [Answer(*row[reader.heads[-1]], row) for row in rows]


def decoded(source: Any, spec: ImageSpec, ahead: int) -> Iterator[Reading]:
    """Every sample of a source in order, decoded and resized but not read. ahead: how many a thread prepares."""

    def load(i: int) -> dict[str, Any]:
        sample = source[i]
        image = spec.decode(sample["image"])
        aspect = 0.0 if image is None else image.shape[1] / image.shape[0]
        if image is not None:
            image = spec.fit(image, spec.reading_width(image))
        return sample | {"index": i, "image": image, "aspect": aspect}

    options = grain.ReadOptions(num_threads=1, prefetch_buffer_size=ahead)
    for sample in grain.MapDataset.range(len(source)).map(load).to_iter_dataset(options):
        yield Reading(sample["index"], sample["key"], sample["label"], sample["image"], None, sample["aspect"])
