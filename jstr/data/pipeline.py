"""Config streams to batches.

Every batch is a pure function of (config, number of the batch): sources are random access, Grain shuffles, repeats and
mixes by index, and batches are formed before anything is handed to threads or workers. So the position in the data is
one number, and a run may resume on another count of workers or processes.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import grain
import numpy as np
from absl import flags

from jstr.augment.host import registry
from jstr.core import InputError
from jstr.data.images import ImageSpec
from jstr.data.sample_filter import Numbered, Runs, Usable
from jstr.data.source_config import usable_of
from jstr.data.sources.text_corpus import NOISED, text_stream
from jstr.text import Charset

LABEL_FIELDS = ("tokens", "has_label")
FILLED = "_filled"
# Of streams whose views are drawn on the device: the picture that views start from, its size before the resize
BASE, BASE_SIZE = "base", "base_size"


def image_fields(fields: tuple[str, ...]) -> list[str]:
    """Those of the fields of a stream that are pictures."""
    return [f for f in fields if f not in (*LABEL_FIELDS, BASE_SIZE) and not f.endswith(FILLED)]


def image_views(where: str, fields: tuple[str, ...], given: Mapping[str, Any]) -> dict[str, dict]:
    """The view of each picture of a stream, from its config. Raises InputError: a field or operation there is not."""
    views = {field: dict(given.get(field, {})) for field in image_fields(fields)}
    if set(given) - set(views):
        raise InputError(f"{where} has {sorted(given)}; the images of this stream are {sorted(views)}")
    for field, view in views.items():
        registry.check_view(f"{where.split('.')[-2]}.{field}", view)
    return views


class TrainData:
    """The training streams of a config, opened and checked; `batches` iterates over them.

    Fields of a stream: `tokens` [B, N] int32, padding where a row has no label; `has_label` [B] bool, which lets
    sources say `labelled=False`; `noised` [B, N], tokens with spelling noise, which make it a stream of text without
    images; `X_filled` [B] float32, the share of the width of image X that is not padding; any other name is an image
    uint8 [B, H, W, C], which the view of that name draws from the sample.
    part: "streams", or another key of the config with rows in that form. read: "stream/source" -> labels of the rows
    that have read_by; a row without any is left out.
    resident: of the streams that config.device_data names, all samples, with the fields of the stream; the batches then
    have the numbers of samples in its place: `row` [B] int32.
    notes: what a person should know before training starts, a line each (labels used and left out, remarks).

    Raises:
      InputError: a source that cannot be opened or has no usable sample, or an operation that does not exist.
    """

    def __init__(
        self, config, charset: Charset, fields: Mapping[str, tuple[str, ...]], frames=None, part="streams", read=None
    ):
        self.config, self.charset, self.fields = config, charset, fields
        self.spec = ImageSpec.make(config.image)
        self.notes: list[str] = []
        self.streams: dict[str, grain.MapDataset] = {}
        self.usable: dict[str, Usable] = {}
        self.resident: dict[str, grain.MapDataset] = {}
        self._rows, self._part, self._frames, self._read = config[part], part, frames, read or {}
        if part == "streams" and (unknown := set(config.device_data) - set(fields)):
            raise InputError(f"config.device_data names {sorted(unknown)}; the streams are {sorted(fields)}")
        if set(self._rows) != set(fields):
            raise InputError(f"config.{part} has {sorted(self._rows)}; this objective reads {sorted(fields)}")
        for number, name in enumerate(fields):
            self.streams[name] = self._stream(name, self._rows[name], number)

    @property
    def sizes(self) -> dict[str, int]:
        """Samples by name of the source; of the largest where streams use one in different ways."""
        sizes: dict[str, int] = {}
        for usable in self.usable.values():
            sizes[usable.name] = max(len(usable), sizes.get(usable.name, 0))
        return sizes

    def _stream(self, name: str, row, number: int) -> grain.MapDataset:
        where, fields = f"config.{self._part}.{name}", self.fields[name]
        if not row.sources:
            raise InputError(f"{where}.sources is empty: name at least one source")
        seed = int(np.random.SeedSequence([self.config.seed, number]).generate_state(1)[0])
        resident = self._part == "streams" and name in self.config.device_data
        datasets, weights, used, root = [], [], [], self.config.data_root
        for i, (source_name, source_row) in enumerate(row.sources.items()):
            labelled = "tokens" in fields and source_row.get("labelled", True)
            if not labelled and "tokens" in fields and "has_label" not in fields:
                raise InputError(f"{where}.sources.{source_name}.labelled=False, but this stream needs every label")
            if "words" in source_row and NOISED not in fields:
                raise InputError(f"{where}.sources.{source_name} is text without pictures; this stream reads pictures")
            key = f"{name}/{source_name}"
            if key in self._read and not any(self._read[key]) and len(row.sources) > 1:
                self.notes.append(f"{source_name}: left out, because no sample has a label")
                continue
            usable, notes = usable_of(
                source_name, source_row, self.charset, root, self.spec, labelled, self._frames, self._read.get(key)
            )
            self.usable[key] = usable
            self.notes += notes
            numbered = Numbered(usable, sum(map(len, used))) if resident else usable
            used.append(usable)
            # Rendered words and texts are random sequences already, of billions: their order needs no shuffling.
            random = "rendered" in source_row or "words" in source_row
            if source_row.get("contiguous"):
                if random:
                    raise InputError(f"{where}.sources.{source_name}.contiguous is for data sets")
                numbered, random = Runs(numbered, row.batch_size, (seed + i) % 2**32), True
            dataset = grain.MapDataset.source(numbered).seed((seed + i) % 2**32)
            datasets.append((dataset if random else dataset.shuffle()).repeat())
            weights.append(float(source_row.get("weight", 1.0)))
        mixed = datasets[0] if len(datasets) == 1 else grain.MapDataset.mix(datasets, weights)
        given = row.get("views", {})
        if NOISED in fields and resident:
            raise InputError(f"config.device_data: {name} is text; only pictures are kept on the device")
        if NOISED in fields:
            return text_stream(mixed, seed, f"{where}.views", given, self.charset)
        views = {BASE: {}} if BASE in fields else image_views(f"{where}.views", fields, given)
        if not resident:
            return _finish(mixed, seed, fields, views, self.spec, self.charset)
        if any(views.values()):
            raise InputError(f"config.device_data: {name} has views from the host; use config.augment.where=device")
        rows = grain.MapDataset.concatenate([grain.MapDataset.source(usable) for usable in used])
        self.resident[name] = _finish(rows, seed, fields, views, self.spec, self.charset)
        return mixed

    def batches(
        self, start: int, put: Callable = lambda arrays: arrays, process_index=0, process_count=1, workers=None
    ) -> Iterator:
        """Endless batches from number `start` on: "arrays" (stream -> field -> array), "keys" and "broken" (strings).

        put: moves the arrays to the devices; it runs in a thread of its own, ahead of the training step. Each process
        gets its share of every global batch: together they see each sample once. workers: instead of
        config.num_workers.
        """
        streams = []
        for name, dataset in self.streams.items():
            size, where = self._rows[name].batch_size, f"config.{self._part}.{name}.batch_size"
            if size % process_count:
                raise InputError(f"{where}={size} is not a multiple of {process_count} hosts")
            # Batches of a share; the shares of the processes, in their order, are the global batch.
            dataset = dataset.batch(size // process_count, batch_fn=_stack)
            streams.append(dataset[process_index::process_count])
        merge = functools.partial(_merge, tuple(self.streams))
        length = min(map(len, streams))  # endless for each, but in batches of different sizes
        zipped = grain.experimental.ZipMapDataset([s[:length] for s in streams])[start:].map(merge)
        workers = self.config.get("num_workers", 0) if workers is None else workers
        if workers:
            if not flags.FLAGS.is_parsed():  # Grain's worker processes read flags, also in programs that have none
                flags.FLAGS.mark_as_parsed()
            dataset = zipped.to_iter_dataset(grain.ReadOptions(num_threads=0, prefetch_buffer_size=0))
            dataset = dataset.mp_prefetch(grain.MultiprocessingOptions(num_workers=workers, per_worker_buffer_size=4))
        else:
            dataset = zipped.to_iter_dataset(grain.ReadOptions(num_threads=1, prefetch_buffer_size=4))
        dataset = dataset.map(lambda batch: batch | {"arrays": put(batch["arrays"])})
        return iter(grain.experimental.ThreadPrefetchIterDataset(dataset, prefetch_buffer_size=2))


def example_batch(config, fields, spec: ImageSpec, charset: Charset) -> dict[str, dict[str, np.ndarray]]:
    """A made-up batch in the form of the real ones, for shapes and benchmarks: noise, and words of five characters."""
    rng = np.random.default_rng(0)

    def make(field: str, size: int) -> np.ndarray:
        if field in ("tokens", NOISED):
            words = rng.choice(list(charset.characters), (size, min(5, charset.max_length)))
            return np.stack([charset.encode("".join(word)) for word in words])
        if field == "has_label":
            return np.arange(size) % 2 == 0
        if field.endswith(FILLED):
            return np.ones(size, np.float32)
        if field == BASE_SIZE:
            return np.tile(np.float32(spec.size), (size, 1))
        return rng.integers(0, 256, (size, *spec.size, spec.channels), np.uint8)

    return {n: {f: make(f, config.streams[n].batch_size) for f in some} for n, some in fields.items()}


def _merge(names: tuple[str, ...], batches: tuple) -> dict:
    return {
        "arrays": {name: batch["arrays"] for name, batch in zip(names, batches, strict=True)},
        "keys": [key for batch in batches for key in batch["keys"]],
        "broken": [key for batch in batches for key in batch["broken"]],
    }


def _finish(dataset, seed: int, fields, views: dict[str, dict], spec: ImageSpec, charset: Charset):
    """Element {image, label, key, broken} to {fields..., key, broken}: views, resize, tokens."""

    def make(sample: dict, rng: np.random.Generator | None) -> dict:
        out, label = {"key": sample["key"], "broken": sample["broken"]}, sample["label"]
        for (name, view), view_rng in zip(views.items(), _independent(rng, len(views)), strict=True):
            image = registry.apply_view(sample["image"], view_rng, view) if view else sample["image"]
            out[name] = spec.fit(image)
            if name + FILLED in fields:
                out[name + FILLED] = np.float32(spec.filled(image))
        if BASE_SIZE in fields:
            out[BASE_SIZE] = np.float32(sample["image"].shape[:2])
        if "tokens" in fields:
            out["tokens"] = charset.padding() if label is None else charset.encode(charset.normalise(label))
        if "has_label" in fields:
            out["has_label"] = np.bool_(label is not None)
        return out

    if any(views.values()):
        return dataset.seed(seed).random_map(make)
    return dataset.map(lambda sample: make(sample, None))


def _independent(rng: np.random.Generator | None, count: int) -> list:
    """A generator for each view: what one draws does not change the others."""
    if rng is None or count == 1:
        return [rng] * count
    return [np.random.Generator(np.random.PCG64(int(seed))) for seed in rng.integers(2**63, size=count)]


def _stack(samples: list[dict]) -> dict:
    fields = [name for name in samples[0] if name not in ("key", "broken")]
    return {
        "arrays": {name: np.stack([s[name] for s in samples]) for name in fields},
        "keys": [s["key"] for s in samples],
        "broken": [key for s in samples for key in s["broken"].split("\n") if key],
    }


def padded_batches(source, spec: ImageSpec, batch_size: int) -> Iterator[dict]:
    """All samples of a source once, in order: image uint8 [B, H, W, C], mask [B] (False: padding), labels and keys.

    A broken image is all zero, masked and named in `broken`. The last batch is padded with zeros.
    """

    def load(i: int) -> dict:
        sample = source[i]
        image = spec.decode(sample["image"])
        return sample | {"image": None if image is None else spec.fit(image)}

    dataset = grain.MapDataset.range(len(source)).map(load)
    empty = np.zeros((*spec.size, spec.channels), np.uint8)
    samples = []
    for sample in dataset.to_iter_dataset(grain.ReadOptions(num_threads=1, prefetch_buffer_size=2 * batch_size)):
        samples.append(sample)
        if len(samples) == batch_size:
            yield _pad(samples, empty, batch_size)
            samples = []
    if samples:
        yield _pad(samples, empty, batch_size)


def _pad(samples: list[dict], empty: np.ndarray, batch_size: int) -> dict:
    images = [empty if s["image"] is None else s["image"] for s in samples]
    good = [s["image"] is not None for s in samples]
    missing = batch_size - len(samples)
    return {
        "image": np.stack(images + [empty] * missing),
        "mask": np.array(good + [False] * missing),
        "labels": [s["label"] for s in samples],
        "keys": [s["key"] for s in samples],
        "broken": [s["key"] for s, ok in zip(samples, good, strict=True) if not ok],
    }
