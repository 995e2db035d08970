"""Config streams to batches.

Every batch is a pure function of (config, number of the batch): sources are random access, Grain shuffles, repeats and
mixes by index, and batches are formed before anything is handed to threads or workers. So the position in the data is
one number, and a run may resume on another count of workers or processes.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grain
import numpy as np
from absl import flags

from jstr.core import InputError
from jstr.data import ops
from jstr.data.images import ImageSpec
from jstr.data.sources import open_source
from jstr.data.synth import RenderedWords, Style
from jstr.text import Charset, LabelReport

MAX_BROKEN_IN_A_ROW = 1000
BROKEN_LIMIT = 0.01


class Usable:
    """The usable samples of a source, decoded. A broken image is replaced by the next good one and named.

    `[i]` gives image uint8 [h, w, c], label, key ("name/key"), broken (keys of broken images met, newline between).
    """

    def __init__(self, name: str, source, indices: np.ndarray | None, spec: ImageSpec):
        self.name, self.source, self.indices, self.spec = name, source, indices, spec

    def __len__(self) -> int:
        return len(self.source) if self.indices is None else len(self.indices)

    def position(self, i: int) -> int:
        """Where sample i stands in the source."""
        return i if self.indices is None else int(self.indices[i])

    def __getitem__(self, i: int) -> dict[str, Any]:
        broken = []
        for _ in range(min(len(self), MAX_BROKEN_IN_A_ROW)):
            sample = self.source[self.position(i)]
            key = f"{self.name}/{sample['key']}"
            image = self.spec.decode(sample["image"])
            if image is not None:
                return {"image": image, "label": sample["label"], "key": key, "broken": "\n".join(broken)}
            broken.append(key)
            i = (i + 1) % len(self)
        raise InputError(f"{self.name} ({self.source.path}): {len(broken)} broken images in a row, from {broken[0]}")

    def __repr__(self) -> str:
        return f"Usable({self.name}, {self.source!r})"


@dataclass
class Broken:
    """Counts the broken images that training meets, each once."""

    sizes: Mapping[str, int]
    keys: dict[str, set[str]] = field(default_factory=dict)

    def add(self, broken: list[str]) -> list[str]:
        """Counts keys "name/key"; returns those not met before.

        Raises:
          InputError: more than 1 % of a source is broken.
        """
        new = []
        for key in broken:
            name = key.split("/", 1)[0]
            met = self.keys.setdefault(name, set())
            if key not in met:
                met.add(key)
                new.append(key)
        for name, met in self.keys.items():
            if len(met) > BROKEN_LIMIT * self.sizes[name]:
                some = ", ".join(sorted(met)[:5])
                raise InputError(
                    f"at least {len(met)} of {self.sizes[name]:,} images of {name} are broken or missing, "
                    f"more than {BROKEN_LIMIT:.0%}: {some}{', ...' if len(met) > 5 else ''}; mend or remove them"
                )
        return new


def resolve(path: str, data_root: str) -> str:
    """A path from a config: relative ones lie under data_root (or the environment's JSTR_DATA), if one is given.

    "~" is expanded. A `tfds:NAME` is left alone.
    """
    root = data_root or os.environ.get("JSTR_DATA", "")
    path = os.path.expanduser(path)
    return path if path.startswith("tfds:") or not root else str(Path(root).expanduser() / path)


def open_row(row: Mapping[str, Any], charset: Charset, data_root: str, labelled: bool):
    """The source that a config row describes: `rendered` (arguments of RenderedWords) or `path` (open_source).

    Raises:
      InputError: neither, or what open_source raises.
    """
    if "rendered" in row:
        arguments = dict(row["rendered"])
        try:
            style = Style(**dict(arguments.pop("style", {})))
            return RenderedWords(characters=charset.characters, max_length=charset.max_length, style=style, **arguments)
        except TypeError as error:  # a name that RenderedWords or Style does not have
            raise InputError(f"rendered words: {error}") from error
    if not row.get("path"):
        raise InputError("a source needs a path, or rendered={...}")
    path = resolve(row["path"], data_root)
    try:
        return open_source(path, labels=row.get("labels") or None, labelled=labelled)
    except InputError as error:
        rooted = path != row["path"] or os.path.isabs(path) or os.path.exists(path)
        hint = "" if rooted else "; relative paths lie under --config.data_root or JSTR_DATA, if set"
        raise InputError(f"{error}{hint}") from error


class TrainData:
    """The training streams of a config, opened and checked; `batches` iterates over them.

    notes: what a person should know before training starts, a line each (labels used and left out, remarks).

    Raises:
      InputError: a source that cannot be opened or has no usable sample, or an operation that does not exist.
    """

    def __init__(self, config, charset: Charset, fields: Mapping[str, tuple[str, ...]], frames: int | None = None):
        self.config, self.charset, self.fields = config, charset, fields
        self.spec = ImageSpec.make(config.image)
        self.notes: list[str] = []
        self.streams: dict[str, grain.MapDataset] = {}
        self.usable: dict[str, Usable] = {}
        if set(config.streams) != set(fields):
            raise InputError(f"config.streams has {sorted(config.streams)}; this objective reads {sorted(fields)}")
        for number, (name, required) in enumerate(fields.items()):
            self.streams[name] = self._stream(name, config.streams[name], "tokens" in required, frames, number)

    def _stream(self, name: str, row, labelled: bool, frames: int | None, number: int) -> grain.MapDataset:
        if not row.sources:
            raise InputError(f"config.streams.{name}.sources is empty: name at least one source")
        seed = int(np.random.SeedSequence([self.config.seed, number]).generate_state(1)[0])
        datasets, weights = [], []
        for i, (source_name, source_row) in enumerate(row.sources.items()):
            usable = self.usable[source_name] = self._usable(source_name, source_row, labelled, frames)
            dataset = grain.MapDataset.source(usable).seed((seed + i) % 2**32)
            # Rendered words are a random sequence already, of billions: their order needs no shuffling.
            datasets.append((dataset if "rendered" in source_row else dataset.shuffle()).repeat())
            weights.append(float(source_row.get("weight", 1.0)))
        mixed = datasets[0] if len(datasets) == 1 else grain.MapDataset.mix(datasets, weights)
        views = {field: dict(row.get("views", {}).get(field, {})) for field in self.fields[name] if field != "tokens"}
        for field_name, view in views.items():
            ops.check_view(f"{name}.{field_name}", view)
        return _finish(mixed, seed, views, self.spec, self.charset if labelled else None)

    def _usable(self, name: str, row, labelled: bool, frames: int | None) -> Usable:
        source = open_row(row, self.charset, self.config.data_root, labelled)
        self.notes += [f"{name}: {note}" for note in getattr(source, "notes", [])]
        if "rendered" in row:
            return Usable(name, source, None, self.spec)
        if not labelled:
            self.notes.append(f"{name}: {len(source):,} images without labels")
            return Usable(name, source, None, self.spec)
        report = LabelReport(self.charset, frames)
        indices = np.flatnonzero(np.fromiter((report.usable(label) for label in source.labels()), bool, len(source)))
        self.notes += report.lines(name)
        report.require_some(f"{name} ({source.path})")
        return Usable(name, source, indices, self.spec)

    def batches(self, start: int, put: Callable = lambda arrays: arrays, process_index=0, process_count=1) -> Iterator:
        """Endless batches from number `start` on: "arrays" (stream -> field -> array), "keys" and "broken" (strings).

        put: moves the arrays to the devices; it runs in a thread of its own, ahead of the training step. Each process
        gets its share of every global batch: together they see each sample once.
        """
        streams = []
        for name, dataset in self.streams.items():
            size = self.config.streams[name].batch_size
            if size % process_count:
                raise InputError(f"config.streams.{name}.batch_size={size} is not a multiple of {process_count} hosts")
            dataset = dataset[process_index::process_count]
            streams.append(dataset.batch(size // process_count, batch_fn=_stack))
        merge = functools.partial(_merge, tuple(self.streams))
        zipped = grain.experimental.ZipMapDataset(streams)[start:].map(merge)
        workers = self.config.get("num_workers", 0)
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
        if field == "tokens":
            words = rng.choice(list(charset.characters), (size, min(5, charset.max_length)))
            return np.stack([charset.encode("".join(word)) for word in words])
        return rng.integers(0, 256, (size, *spec.size, spec.channels), np.uint8)

    return {n: {f: make(f, config.streams[n].batch_size) for f in some} for n, some in fields.items()}


def _merge(names: tuple[str, ...], batches: tuple) -> dict:
    return {
        "arrays": {name: batch["arrays"] for name, batch in zip(names, batches, strict=True)},
        "keys": [key for batch in batches for key in batch["keys"]],
        "broken": [key for batch in batches for key in batch["broken"]],
    }


def _finish(dataset, seed: int, views: dict[str, dict], spec: ImageSpec, charset: Charset | None):
    """Element {image, label, key, broken} to {fields..., key, broken}: views, resize, tokens."""

    def make(sample: dict, rng: np.random.Generator | None) -> dict:
        out = {"key": sample["key"], "broken": sample["broken"]}
        for name, view in views.items():
            out[name] = spec.fit(ops.apply_view(sample["image"], rng, view) if view else sample["image"])
        if charset is not None:
            out["tokens"] = charset.encode(charset.normalise(sample["label"]))
        return out

    if any(views.values()):
        return dataset.seed(seed).random_map(make)
    return dataset.map(lambda sample: make(sample, None))


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
