"""Opens what a `SourceSpec` describes: a data set or rendered words as they are, or filtered for training."""

from __future__ import annotations

import inspect
import os
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np

from jstr.data.decode import image_size
from jstr.data.images import ImageSpec
from jstr.data.sample_filter import FilteredSource
from jstr.data.source_config import ReadLabel, SourceSpec, resolve
from jstr.data.sources.label_notes import is_suspicious, label_notes
from jstr.data.sources.open import open_source
from jstr.data.sources.text_corpus import TextWords
from jstr.data.synth.fonts import NAMED
from jstr.data.synth.source import RenderedWords, Style
from jstr.data.word_lists import word_file
from jstr.text import Charset
from jstr.text.label_report import LabelReport
from jstr.text.messages import InputError, check_known

SLOW_PIXELS = 1_000_000  # decoded in about 10 ms on one core


def open_images(spec: SourceSpec, charset: Charset | None) -> Any:
    """The data set or rendered words of a spec, unfiltered. charset: what rendered words are written in.

    Raises:
      InputError: the spec is of text, an option that does not exist, or what open_source and RenderedWords raise.
    """
    if spec.kind == "words":
        raise InputError(f"{spec.where} is text without images; give a path or rendered={{...}}")
    if spec.kind == "rendered":
        return _render(spec, charset)
    path = spec.location
    try:
        return open_source(path, labels=spec.labels, labelled=spec.labelled)
    except InputError as error:
        if os.path.isabs(os.path.expanduser(spec.path)) or os.path.exists(path.partition("#")[0]):
            raise
        hint = "relative paths lie under --config.data_root or JSTR_DATA, if set"
        raise type(error)(f"{error}; {hint}") from error


def open_filtered(
    spec: SourceSpec,
    charset: Charset,
    image: ImageSpec,
    frames: int | None,
    labels_read: Mapping[str, ReadLabel | None] | None = None,
) -> FilteredSource:
    """The samples of a data set or of rendered words that can be trained on.

    frames: T of a CTC model, which labels must fit; None for others. labels_read: by key, those that spec.read_by
    stands for.

    Raises:
      InputError: the source cannot be opened or has no usable sample.
    """
    if (spec.read_by is None) != (labels_read is None):
        raise InputError(f"{spec.where}.read_by is for labelled data sets that are trained on")
    if labels_read and not any(labels_read.values()):
        raise InputError(
            f"{spec.name} ({spec.path}): of {len(labels_read):,} images none is read surely enough to be learned, or "
            f"all have been corrected by hand; lower {spec.where}.read_by.threshold, or train on your labels alone"
        )
    if spec.kind == "rendered":
        source = _render(spec, charset, frames if spec.labelled else None)
    else:
        source = _open_relabelled(spec, charset, labels_read)
    notes = [f"{spec.name}: {note}" for note in getattr(source, "notes", [])]
    if spec.kind == "rendered":
        return FilteredSource(spec.name, source, None, image, spec.labelled, notes)
    notes += [f"{spec.name}: {note}" for note in slow_notes(source)]
    indices = None
    if spec.labelled:
        report, suspicious = LabelReport(charset, frames), Counter()
        good = np.zeros(len(source), bool)
        for i, label in enumerate(source.labels()):
            good[i] = report.usable(label)
            if is_suspicious(label):
                suspicious[label] += 1
        indices = np.flatnonzero(good)
        notes += _new_notes(spec.name, label_notes(suspicious, len(source)), source.notes) + report.lines(spec.name)
        report.require_some(f"{spec.name} ({source.path})")
    else:
        notes.append(f"{spec.name}: {len(source):,} images without labels")
    if spec.share:
        everything = np.arange(len(source)) if indices is None else indices
        indices = spec.share.choose(everything, len(source))
        notes.append(f"{spec.name}: of these {len(indices):,} chosen ({spec.share})")
    return FilteredSource(spec.name, source, indices, image, spec.labelled, notes)


def _new_notes(name: str, notes: Sequence[str], said: Sequence[str]) -> list[str]:
    """The notes that the source has not said itself."""
    return [f"{name}: {note}" for note in notes if not any(note in known for known in said)]


def slow_notes(source: Any) -> list[str]:
    """A note where images of a data set are so large that they take long to decode. Looks at a few."""
    some = np.unique(np.linspace(0, len(source) - 1, 8).astype(int)).tolist()
    sizes = [image_size(data) for i in some if (data := source[i]["image"])]
    pixels = sorted(width * height for width, height in filter(None, sizes))
    if not pixels or pixels[len(pixels) // 2] < SLOW_PIXELS:
        return []
    return [
        f"images are slow to decode: half of {len(pixels)} have {pixels[len(pixels) // 2] / 1e6:.1f} million pixels or "
        "more; save them as smaller crops"
    ]


def open_text(spec: SourceSpec, charset: Charset) -> TextWords:
    """The words of a spec of text; spec.share is a part of the different ones.

    Raises:
      InputError: the spec is of images, an option that does not exist, or what TextWords raises.
    """
    if spec.kind != "words":
        raise InputError(f"{spec.where} has images; this stream reads text: give words={{...}}")
    options = dict(spec.options or {})
    check_known(f"{spec.where}.words", options, _parameters(TextWords)[2:])
    path = _placed(str(options.pop("path", "english")), spec.data_root)
    try:
        words = TextWords(spec.name, charset, path, **options)
    except TypeError as error:  # a value of another type
        raise InputError(f"{spec.where}.words: {error}") from error
    if spec.share:
        indices = np.arange(len(words.words))
        words.keep(spec.share.choose(indices, len(indices)))
        words.notes.append(f"{spec.name}: of these {words.count:,} chosen")
    return words


def _placed(value: Any, data_root: str) -> Any:
    """A path among the options of a source, or a list of them, under data_root; names and paths from here stay."""
    if isinstance(value, list | tuple):
        return [_placed(each, data_root) for each in value]
    if not isinstance(value, str) or value in (*NAMED, "none") or word_file(value).exists():
        return value
    return resolve(value, data_root)


class RelabelledSource:
    """A source with other labels, by key, and their confidence as `weight`; None where a sample has none."""

    def __init__(self, source: Any, labels: Mapping[str, ReadLabel | None]):
        self.source, self.path, self._labels = source, source.path, labels
        self.notes = source.notes

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, i: int) -> dict[str, Any]:
        sample = self.source[i]
        found = self._labels.get(sample["key"]) or ReadLabel(None, 1.0)
        return sample | {"label": found.text, "weight": found.confidence}

    def keys(self) -> Iterator[str]:
        """Every key in order."""
        return self.source.keys()

    def labels(self) -> Iterator[str | None]:
        """Every label in order."""
        return (found and found.text for found in map(self._labels.get, self.source.keys()))


def _open_relabelled(spec: SourceSpec, charset: Charset, labels: Mapping[str, ReadLabel | None] | None) -> Any:
    if labels is None:
        return open_images(spec, charset)
    return RelabelledSource(open_images(replace(spec, labelled=False), charset), labels)


ENDLESS = 1_000_000_000  # words, where a row does not say how many


def _render(spec: SourceSpec, charset: Charset | None, frames: int | None = None) -> RenderedWords:
    if charset is None:
        raise InputError(f"{spec.where}: rendered words are drawn with a charset; give a path")
    options = dict(size=ENDLESS) | dict(spec.options or {})
    check_known(f"{spec.where}.rendered", options, [n for n in _parameters(RenderedWords) if n not in _OF_CHARSET])
    style = options.pop("style", None) or {}
    for name in ("words", "fonts", "backgrounds"):  # a list of words holds no paths
        if name in options and (name != "words" or isinstance(options[name], str)):
            options[name] = _placed(options[name], spec.data_root)
    if not hasattr(style, "items"):  # a dict or a ConfigDict
        raise InputError(f"{spec.where}.rendered.style={style!r}: give the values of some of its keys")
    check_known(f"{spec.where}.rendered.style", style, [field.name for field in fields(Style)])
    # Those that Unicode's NFKC writes as others, such as ½, are read in labels of data sets only.
    written = "".join(c for c in charset.characters if not charset.nfkc or unicodedata.is_normalized("NFKC", c))
    of_charset = dict(characters=written, max_length=charset.max_length, frames=frames)
    try:
        return RenderedWords(style=Style(**dict(style)), **of_charset, **options)
    except (InputError, TypeError) as error:  # a bad value, or one that is missing
        raise InputError(f"{spec.where}.rendered: {error}") from error


_OF_CHARSET = ("characters", "max_length", "frames")


def _parameters(kind: type) -> list[str]:
    return list(inspect.signature(kind).parameters)
