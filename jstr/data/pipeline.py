"""Config streams to batches.

Every batch is a pure function of (config, number of the batch): sources are random access, Grain shuffles, repeats and
mixes by index, and batches are formed before anything is handed to threads or workers. So the position in the data is
one number, and a run may resume with another number of workers or processes.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import grain
import numpy as np
from absl import flags

from jstr.data import worker_processes
from jstr.data.fields import BASE, BASE_SIZE, FILLED, image_views, make_fields
from jstr.data.images import ImageSpec
from jstr.data.sample_filter import FilteredSource, NumberedSamples
from jstr.data.source_config import ReadLabel, SourceSpec, parse_sources
from jstr.data.sources.configured import open_filtered, open_text
from jstr.data.sources.text_corpus import NOISED, TextWords, text_stream
from jstr.text import Charset
from jstr.text.messages import InputError, check_known

STREAM_KEYS = ("batch_size", "sources", "views", "batches")


class TrainData:
    """The training streams of a config, opened and checked; `batches` iterates over them.

    fields: stream -> its fields, see jstr/data/fields.py; `noised` [B, N] int32, tokens with spelling noise, makes it a
    stream of text without images.
    part: "streams", or another key of the config with rows in that form. read: "stream/source" -> labels by key, of
    the rows that have read_by; a row without any is left out.
    sources: "stream/source" -> the opened source.
    resident: of the streams that config.device_data names, all samples, with the fields of the stream; the batches then
    have the numbers of samples in their place: `row` [B] int32.
    notes: what a person should know before training starts, a line each (labels used and left out, remarks).

    Raises:
      InputError: a source that cannot be opened or has no usable sample, or an operation that does not exist.
    """

    def __init__(
        self,
        config: Any,
        charset: Charset,
        fields: Mapping[str, tuple[str, ...]],
        frames: int | None = None,
        part: str = "streams",
        read: Mapping[str, Mapping[str, ReadLabel | None]] | None = None,
    ):
        self.config, self.charset, self.fields = config, charset, fields
        self.spec = ImageSpec.make(config.image)
        self.notes: list[str] = []
        self.streams: dict[str, grain.MapDataset] = {}
        self.sources: dict[str, FilteredSource | TextWords] = {}
        self.resident: dict[str, grain.MapDataset] = {}
        self._rows, self._part, self._frames, self._read = config[part], part, frames, read or {}
        if part == "streams" and (unknown := set(config.device_data) - set(fields)):
            raise InputError(f"config.device_data names {sorted(unknown)}; the streams are {sorted(fields)}")
        if set(self._rows) != set(fields):
            raise InputError(f"config.{part} has {sorted(self._rows)}; this objective reads {sorted(fields)}")
        for number, name in enumerate(fields):
            self.streams[name] = self._stream(name, number)

    def with_labels(self, read: Mapping[str, Mapping[str, ReadLabel | None]]) -> TrainData:
        """The same data with other labels of the rows that have read_by."""
        return TrainData(self.config, self.charset, self.fields, self._frames, self._part, read)

    @property
    def sizes(self) -> dict[str, int]:
        """Samples by name of the source; of the largest where streams use one in different ways."""
        sizes: dict[str, int] = {}
        for source in self.sources.values():
            sizes[source.name] = max(len(source), sizes.get(source.name, 0))
        return sizes

    @property
    def sure(self) -> float:
        """The share of the images of rows with read_by whose reading is a label; 1 without such rows."""
        labels = [label for rows in self._read.values() for label in rows.values()]
        return sum(label is not None for label in labels) / len(labels) if labels else 1.0

    def _stream(self, name: str, number: int) -> grain.MapDataset:
        """The endless dataset of stream `name`: its sources shuffled, repeated and mixed, with all its fields."""
        where, fields, row = f"config.{self._part}.{name}", self.fields[name], self._rows[name]
        check_known(where, row, STREAM_KEYS)
        resident = self._part == "streams" and name in self.config.device_data
        if resident and NOISED in fields:
            raise InputError(f"config.device_data: {name} is text; only images are kept on the device")
        seed = int(np.random.SeedSequence([self.config.seed, number]).generate_state(1)[0])
        specs = parse_sources(where, row.sources, self.config.data_root)
        opened = self._open(name, specs)
        mixed = _mix(specs, opened, seed, resident)
        given = row.get("views", {})
        if NOISED in fields:
            return text_stream(mixed, seed, f"{where}.views", given, self.charset)
        views = {BASE: {}} if BASE in fields else image_views(f"{where}.views", fields, given)
        finish = functools.partial(
            make_fields, seed=seed, fields=fields, views=views, spec=self.spec, charset=self.charset
        )
        if not resident:
            return finish(mixed)
        if any(views.values()):
            raise InputError(f"config.device_data: {name} has views from the host; use config.augment.where=device")
        self.resident[name] = finish(grain.MapDataset.concatenate(list(map(grain.MapDataset.source, opened.values()))))
        return mixed

    def _open(self, stream: str, specs: Sequence[SourceSpec]) -> dict[int, FilteredSource | TextWords]:
        """Position of the row -> its source; without the rows of which read_by gives no label."""
        fields, opened = self.fields[stream], {}
        for i, spec in enumerate(specs):
            key = f"{stream}/{spec.name}"
            read = self._read.get(key)
            if read is not None and not any(read.values()) and len(specs) > 1:
                self.notes.append(f"{spec.name}: left out, because no sample has a label")
                continue
            if NOISED in fields:
                source = open_text(spec, self.charset)
            else:
                spec = replace(spec, labelled=_reads_labels(spec, fields))
                source = open_filtered(spec, self.charset, self.spec, self._frames, read)
            self.notes += source.notes
            self.sources[key] = opened[i] = source
        return opened

    def batches(
        self, start: int, put: Callable = lambda arrays: arrays, process_index=0, process_count=1, workers=None
    ) -> grain.DatasetIterator:
        """Endless batches from number `start` on: "arrays" (stream -> field -> array), "keys" and "broken" (strings).

        put: moves the arrays to the devices; it runs in a thread of its own, ahead of the training step. Each process
        gets its share of every global batch: together they see each sample once. workers: instead of
        config.num_workers.

        The iterator is to be closed: `close` ends threads and worker processes.
        """
        streams = []
        for name, dataset in self.streams.items():
            size, where = self._rows[name].batch_size, f"config.{self._part}.{name}.batch_size"
            if size % process_count:
                raise InputError(f"{where}={size} is not a multiple of {process_count} hosts")
            # Batches of a share; the shares of the processes, in their order, are the global batch.
            # The slice, because Grain rounds the number of batches of an endless dataset up to more than len() can say.
            dataset = dataset[: 2**62].batch(size // process_count, batch_fn=_stack)
            streams.append(dataset[process_index::process_count])
        merge = functools.partial(_merge, tuple(self.streams))
        length = min(map(len, streams))  # endless for each, but in batches of different sizes
        zipped = grain.experimental.ZipMapDataset([s[:length] for s in streams])[start:].map(merge)
        workers = self.config.get("num_workers", 0) if workers is None else workers
        if workers:
            if not flags.FLAGS.is_parsed():  # Grain's worker processes read flags, also in programs that have none
                flags.FLAGS.mark_as_parsed()
            dataset = zipped.to_iter_dataset(grain.ReadOptions(num_threads=0, prefetch_buffer_size=0))
            # Through pipes: shared memory is 64 MB in many containers, and a killed run leaves it behind.
            pipes = grain.experimental.DatasetOptions(min_shm_size=sys.maxsize)
            dataset = grain.experimental.WithOptionsIterDataset(dataset, pipes)
            options = grain.MultiprocessingOptions(num_workers=workers, per_worker_buffer_size=4)
            dataset = dataset.mp_prefetch(options, worker_processes.begin)
        else:
            dataset = zipped.to_iter_dataset(grain.ReadOptions(num_threads=1, prefetch_buffer_size=4))
        dataset = dataset.map(lambda batch: batch | {"arrays": put(batch["arrays"])})
        batches = iter(grain.experimental.ThreadPrefetchIterDataset(dataset, prefetch_buffer_size=2))
        if workers:
            with worker_processes.signals_blocked():
                batches.start_prefetch()
        return batches


def _reads_labels(spec: SourceSpec, fields: Sequence[str]) -> bool:
    """Whether a stream with these fields reads the labels of a source. Raises InputError: it needs them and may not."""
    if spec.kind == "words":
        raise InputError(f"{spec.where} is text without images; this stream reads images")
    if not spec.labelled and "tokens" in fields and "has_label" not in fields:
        raise InputError(f"{spec.where}.labelled=False, but this stream needs every label")
    return spec.labelled and "tokens" in fields


def _mix(
    specs: Sequence[SourceSpec], opened: Mapping[int, FilteredSource | TextWords], seed: int, numbered: bool
) -> grain.MapDataset:
    """The sources, shuffled, repeated and mixed by weight. numbered: gives row numbers instead of samples."""
    datasets, first = [], 0
    for i, source in opened.items():
        samples = NumberedSamples(source, first) if numbered else source
        dataset = grain.MapDataset.source(samples).seed((seed + i) % 2**32)
        datasets.append((dataset if specs[i].is_random else dataset.shuffle()).repeat())
        first += len(source)
    if len(datasets) == 1:
        return datasets[0]
    return grain.MapDataset.mix(datasets, [specs[i].weight for i in opened])


def example_batch(
    config: Any, fields: Mapping[str, tuple[str, ...]], spec: ImageSpec, charset: Charset
) -> dict[str, dict[str, np.ndarray]]:
    """A synthetic batch in the form of the real ones, for shapes and benchmarks: noise, and words of 5 characters."""
    rng = np.random.default_rng(0)

    def make(field: str, size: int) -> np.ndarray:
        if field in ("tokens", NOISED):
            words = rng.choice(list(charset.characters), (size, min(5, charset.max_length)))
            return np.stack([charset.encode("".join(word)) for word in words])
        if field == "has_label":
            return np.arange(size) % 2 == 0
        if field.endswith(FILLED) or field == "weight":
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


def _stack(samples: list[dict]) -> dict:
    fields = [name for name in samples[0] if name not in ("key", "broken")]
    return {
        "arrays": {name: np.stack([s[name] for s in samples]) for name in fields},
        "keys": [s["key"] for s in samples],
        "broken": [key for s in samples for key in s["broken"].split("\n") if key],
    }
