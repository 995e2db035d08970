"""What a row of `sources` in a config describes: words rendered, read from a data set, or text.

A row has one of `path`, `rendered` (arguments of RenderedWords) and `words`, and may have
weight: how often its samples come, against those of the other rows; 1.
labels: the file of a folder or tar that holds the labels; else it is looked for.
labelled: False: its labels are not read.
read_by: the labels are what another run reads: workdir, language_model, threshold, see inference/pseudo_labelling.py.
share, share_start, share_seed: the part of a data set that is used, see usable.chosen.
contiguous: True: runs of neighbours instead of a shuffled order, see usable.Runs.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jstr.core import InputError
from jstr.data.images import ImageSpec
from jstr.data.sample_filter import Usable, chosen
from jstr.data.sources.open import open_source
from jstr.data.sources.text_corpus import open_words
from jstr.data.synth.source import RenderedWords, Style
from jstr.text import Charset, LabelReport


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
        raise InputError("a source needs a path, or rendered={...} (configs/adapt.py: give --config.images=FOLDER)")
    path = resolve(row["path"], data_root)
    try:
        return open_source(path, labels=row.get("labels") or None, labelled=labelled)
    except InputError as error:
        rooted = path != row["path"] or os.path.isabs(path) or os.path.exists(path)
        hint = "" if rooted else "; relative paths lie under --config.data_root or JSTR_DATA, if set"
        raise InputError(f"{error}{hint}") from error


class Labelled:
    """A source with other labels; None where a sample has none."""

    def __init__(self, source, labels: Sequence[str | None]):
        self.source, self.path, self._labels = source, source.path, labels

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, i: int) -> dict[str, Any]:
        return self.source[i] | {"label": self._labels[i]}

    def labels(self) -> Sequence[str | None]:
        return self._labels


def usable_of(
    name: str,
    row,
    charset: Charset,
    data_root: str,
    spec: ImageSpec,
    labelled: bool,
    frames: int | None,
    read: Sequence[str | None] | None = None,
) -> tuple[Usable, list[str]]:
    """The samples of a row that can be trained on, and what a person should know about them, a line each.

    labelled: its labels are read. frames: T of a CTC model, which labels must fit; None for others. read: the labels
    that row.read_by stands for.

    Raises:
      InputError: the source cannot be opened or has no usable sample.
    """
    if "words" in row:
        words = open_words(name, row, charset, functools.partial(resolve, data_root=data_root))
        return words, words.notes
    if ("read_by" in row) != (read is not None):
        raise InputError(f"source {name}: read_by is for labelled data sets that are trained on")
    source = open_row(row, charset, data_root, labelled and read is None)
    if read is not None:
        if len(read) != len(source):
            counts = f"held {len(read):,} pictures when they were read, and holds {len(source):,} now"
            raise InputError(f"{source.path} {counts}; remove the folder `read` from the workdir")
        source = Labelled(source, read)
    notes = [f"{name}: {note}" for note in getattr(source, "notes", [])]
    if "rendered" in row:
        if "share" in row:
            raise InputError(f"source {name}: share is for data sets; rendered words have a size")
        return Usable(name, source, None, spec, labelled), notes
    if labelled:
        report = LabelReport(charset, frames)
        good = np.fromiter((report.usable(label) for label in source.labels()), bool, len(source))
        notes += report.lines(name)
        report.require_some(f"{name} ({source.path})")
        indices = np.flatnonzero(good)
    else:
        notes.append(f"{name}: {len(source):,} images without labels")
        indices = None
    if "share" in row:
        indices = np.arange(len(source)) if indices is None else indices
        part = row["share"], row.get("share_start", 0.0), row.get("share_seed", 0)
        indices = chosen(indices, len(source), *part, name)
        notes.append(f"{name}: of these {len(indices):,} chosen {_share_options(row)}")
    return Usable(name, source, indices, spec, labelled), notes


def _share_options(row) -> str:
    names = ("share", "share_start", "share_seed")
    return "(" + ", ".join(f"{name}={row[name]}" for name in names if name in row) + ")"
