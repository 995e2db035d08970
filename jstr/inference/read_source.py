"""Reads all images of a source. Evaluation, prediction and pseudo-labelling do so through here."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple, TypeVar

import numpy as np

from jstr.data.images import ImageSpec
from jstr.inference.crops import Answer, answers_of, is_unusual
from jstr.inference.reader import Reader, default_batch_size
from jstr.inference.widths import chunks, in_batches, window

T = TypeVar("T")


class Reading(NamedTuple):
    """A sample of a source and what a reader makes of it. A broken image has neither `image` nor `answer`.

    index: its place in the source. image: uint8 [H, W, C] as the model sees it. aspect: width / height before that.
    crop: uint8 [h, w, C] before that, where crops.is_unusual.
    """

    index: int
    key: str
    label: str | None
    image: np.ndarray | None
    answer: Answer | None
    aspect: float = 0.0
    crop: np.ndarray | None = None


def read_source(
    reader: Reader,
    source: Any,
    batch_size: int | None = None,
    *,
    heads: bool = False,
    checked: bool = False,
    details: bool = False,
    turn: str = "never",
    read: Callable[[np.ndarray], Iterable[Answer]] | None = None,
) -> Iterator[Reading]:
    """Every sample of a source once, in order.

    All batches have `batch_size` images, the last one padded with zeros, so that the model is compiled once; where
    images may be wider than usual, see in_batches.
    heads, checked, details, turn: see answers_of.
    read: another way to read a batch [B, H, W, C], of which only the first answers may be used.
    """
    size = min(batch_size or default_batch_size(), 1 << max(len(source) - 1, 0).bit_length())
    for samples in chunks(decoded(source, reader.spec, 2 * size), window(reader.spec, size)):
        images, crops = [sample.image for sample in samples], [sample.crop for sample in samples]
        if read:
            answers = in_batches(images, reader.spec, size, read, full=True)
        else:
            options = dict(heads=heads, checked=checked, details=details, turn=turn)
            aspects = [sample.aspect for sample in samples]
            answers = answers_of(reader, images, crops, size, aspects=aspects, full=True, **options)
        for sample, answer in zip(samples, answers, strict=True):
            yield sample._replace(answer=answer, crop=None)


def decoded(source: Any, spec: ImageSpec, ahead: int) -> Iterator[Reading]:
    """Every sample of a source in order, decoded and resized but not read. ahead: how many a thread prepares."""

    def load(i: int) -> Reading:
        sample = source[i]
        key, label, image = sample["key"], sample["label"], spec.decode(sample["image"])
        if image is None:
            return Reading(i, key, label, None, None)
        aspect = image.shape[1] / image.shape[0]
        return Reading(
            i, key, label, spec.fit_for_reading(image), None, aspect, image if is_unusual(image, spec) else None
        )

    return _in_a_thread(load, len(source), ahead)


def _in_a_thread(load: Callable[[int], T], count: int, ahead: int) -> Iterator[T]:
    """load(0) to load(count - 1), of which a thread prepares `ahead` while others are used."""
    with ThreadPoolExecutor(1) as pool:
        started: deque[Future[T]] = deque()
        try:
            for i in range(count):
                started.append(pool.submit(load, i))
                if len(started) > ahead:
                    yield started.popleft().result()
            while started:
                yield started.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)
