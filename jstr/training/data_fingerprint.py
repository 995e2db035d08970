"""What a checkpoint remembers of the training data: a run that continues says when they are no longer the same."""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from jstr.data.pipeline import TrainData
from jstr.data.sources.text_corpus import TextWords
from jstr.data.synth.source import RenderedWords

MOST_LABELS = 200_000  # labels of larger sets are not read again: that would take minutes


def fingerprints(data: TrainData) -> dict[str, list[int]]:
    """ "stream/source" -> [samples used, checksum of which they are and of their labels]."""
    found = {}
    for key, source in data.sources.items():
        if isinstance(source, TextWords):
            found[key] = [source.count, zlib.crc32("\n".join(source.words).encode())]
            continue
        stream, _, name = key.partition("/")
        if "rendered" in data.config.streams[stream].sources[name]:
            found[key] = [len(source), _of_rendered(source.source)]
            continue
        checksum = zlib.crc32(b"" if source.indices is None else source.indices.tobytes())
        if source.labelled and len(source.source) <= MOST_LABELS:
            for label in source.source.labels():
                checksum = zlib.crc32(f"{label}\n".encode(), checksum)
        found[key] = [len(source), checksum]
    return found


def _of_rendered(words: RenderedWords) -> int:
    """Of the first words, which another word list or pattern changes, and of the names of the fonts."""
    names = (Path(path).name for path in words.fonts)
    return zlib.crc32("\n".join([*itertools.islice(words.labels(), 50), *names]).encode())


def moved(saved: Mapping[str, Sequence[int]], now: Mapping[str, Sequence[int]]) -> list[str]:
    """The config keys of the paths that may differ, because the same data lie there."""
    same = [key.split("/", 1) for key in now if list(saved.get(key, ())) == list(now[key])]
    return [f"streams.{stream}.sources.{name}.path" for stream, name in same]


def changes(saved: Mapping[str, Sequence[int]], now: Mapping[str, Sequence[int]]) -> list[str]:
    """Lines that name the data sets which are no longer those of the checkpoint."""
    lines = []
    for key in now:
        old, new = list(saved.get(key, now[key])), list(now[key])
        if old != new:
            what = f"{old[0]:,} -> {new[0]:,} samples" if old[0] != new[0] else "other labels or samples"
            lines.append(
                f"changed since the checkpoint: {key}: {what}; the run continues with the data as they are now, "
                "in another order than an unbroken run"
            )
    return lines
