"""Labels that a reader gives: sources with read_by=dict(workdir=, language_model=, threshold=, pattern=).

Pseudo-labels (Baek et al. 2021, section 4.2), read before training and, with config.self_training, again in rounds. A
language model corrects the spelling, and its confidence tells better which words are right.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from jstr.data.source_config import ReadBy, SourceSpec, parse_sources, resolve
from jstr.data.sources.configured import open_images
from jstr.data.sources.open import open_source
from jstr.inference.read_source import read_source
from jstr.inference.reader import Reader, load
from jstr.messages import InputError, escape, unescape
from jstr.parallel import distributed

FOLDER = "read"  # in the workdir: a file for each source, so that a resumed run has the labels it began with

Texts = dict[str, tuple[str, float]]  # key of an image -> text and confidence; "" and 0 for a broken one
Labels = dict[str, dict[str, str | None]]  # "stream/source" -> key -> label, None below the threshold


class Round(NamedTuple):
    """A round of self-training. reader: language model -> who reads; None: it has read, and its texts are there."""

    number: int
    threshold: float | None  # None: that of read_by
    reader: Callable[[str | None], Reader] | None


def read_rows(config: Any, workdir: str, part: str = "streams") -> tuple[Labels, list[str]]:
    """("stream/source" -> key -> label, None below the threshold; lines that say how many are used).

    part: "streams", or "held_back", whose images are not read again where a stream of the same name has the source.

    Raises:
      InputError: a reader that cannot be loaded, images that cannot be opened, or readings of other images.
    """
    labels: Labels = {}
    lines, load_once = [], functools.cache(load)
    for stream, spec, by in _rows(config, part):
        source = open_images(replace(spec, labelled=False), None)
        names = [f"{stream}_{spec.name}.tsv"] + [f"{part}_{stream}_{spec.name}.tsv"] * (part != "streams")
        texts = _saved_or_read([Path(workdir) / FOLDER / name for name in names], spec, source, load_once)
        usable = labels[f"{stream}/{spec.name}"] = _usable(texts, by.threshold)
        lines += _without_corrected(usable, source, spec, config.data_root)
        lines.append(
            f"{spec.name}: {_count(usable)} images read by {by.workdir} with confidence {by.threshold} or more"
        )
    return labels, lines


def read_round(config: Any, workdir: str, this: Round) -> tuple[Labels, list[str]]:
    """The same for the streams, as read in a round of self-training, whose texts the workdir keeps.

    The lines say what has changed against the round before.

    Raises:
      InputError: the texts of a round that has read are gone, or are of other images.
    """
    labels: Labels = {}
    lines: list[str] = []
    for stream, spec, by in _rows(config, "streams"):
        source = open_images(replace(spec, labelled=False), None)
        file = _round_file(workdir, stream, spec, this.number)
        if this.reader is not None:
            texts = _read(this.reader(by.language_model), spec, source)
            if distributed.is_lead_host():
                _save(file, json.dumps([spec.path, f"round {this.number}", by.language_model]), texts)
        elif file.exists():
            texts = _load(file)[1]
            _check_same_images(file, source, texts)
        else:
            raise InputError(f"{file}, the labels of round {this.number}, is gone; start again with another --workdir")
        threshold = by.threshold if this.threshold is None else this.threshold
        usable = labels[f"{stream}/{spec.name}"] = _usable(texts, threshold)
        _without_corrected(usable, source, spec, config.data_root)
        sure = f"{_count(usable)} images read with confidence {threshold} or more"
        before = _load(_round_file(workdir, stream, spec, this.number - 1))[1]
        lines.append(f"round {this.number}: {spec.name}: {sure}{_changes(before, texts, usable)}")
    return labels, lines


def _rows(config: Any, part: str) -> Iterator[tuple[str, SourceSpec, ReadBy]]:
    """(stream, source, who reads it) of the sources whose labels are read."""
    for stream, row in config[part].items():
        for spec in parse_sources(f"config.{part}.{stream}", row.sources, config.data_root):
            if spec.read_by is not None:
                yield stream, spec, spec.read_by


def _round_file(workdir: str, stream: str, spec: SourceSpec, number: int) -> Path:
    return Path(workdir) / FOLDER / (f"round{number}_" * (number > 0) + f"{stream}_{spec.name}.tsv")


def _usable(texts: Texts, threshold: float) -> dict[str, str | None]:
    return {key: text if text and value >= threshold else None for key, (text, value) in texts.items()}


def _count(usable: dict[str, str | None]) -> str:
    return f"{sum(label is not None for label in usable.values()):,} of {len(usable):,}"


def _changes(before: Texts, texts: Texts, usable: dict[str, str | None]) -> str:
    changed = [key for key, (text, _) in texts.items() if before.get(key, ("", 0.0))[0] != text]
    if not changed:
        return "; none has changed"
    key = next((key for key in changed if usable[key]), changed[0])
    return f"; {len(changed):,} have changed, such as {before.get(key, ('', 0))[0]!r} now {texts[key][0]!r}"


def _without_corrected(usable: dict[str, str | None], source: Any, spec: SourceSpec, data_root: str) -> list[str]:
    """Drops the readings of images that a person has corrected (spec.read_by.corrected); says how many.

    Images are the same when their files are: another run finds the words of photographs into another folder.
    """
    if not spec.read_by.corrected:
        return []
    done = set(_digests(open_source(resolve(spec.read_by.corrected, data_root))).values()) - {None}
    mine = [key for key, digest in _digests(source).items() if digest in done]
    usable.update(dict.fromkeys(mine))
    return [f"{spec.name}: {len(mine):,} images have been corrected by hand, and what was read in them is not used"]


def _digests(source: Any) -> dict[str, bytes | None]:
    """Key -> digest of the image as it is stored; None where it cannot be read."""
    samples = (source[i] for i in range(len(source)))
    return {s["key"]: hashlib.blake2b(s["image"]).digest() if s["image"] else None for s in samples}


def _saved_or_read(files: list[Path], spec: SourceSpec, source: Any, load_reader: Callable[..., Reader]) -> Texts:
    """The texts of a source, from the first of `files` that fits, or else read and written to the last.

    The first line of a file says who read what: with another reader or other words the source is read again.
    """
    by = spec.read_by
    who = [spec.path, by.workdir, by.language_model, *([repr(by.pattern)] if by.pattern else [])]
    header = json.dumps(who)
    for file in filter(Path.exists, files):
        found, texts = _load(file)
        if found == header:
            _check_same_images(file, source, texts)
            return texts
    if distributed.is_lead_host():
        print(f"reading {source.path} with {by.workdir} ...", flush=True)
    texts = _read(load_reader(by.workdir, by.language_model), spec, source)
    if distributed.is_lead_host():
        _save(files[-1], header, texts)
    return texts


def _read(reader: Reader, spec: SourceSpec, source: Any) -> Texts:
    """What a reader makes of each image of a source."""
    if spec.read_by and spec.read_by.pattern:
        reader = reader.guided(spec.read_by.pattern)
    texts = {}
    for reading in read_source(reader, source):
        answer = reading.answer
        texts[reading.key] = (answer.text, round(answer.confidence, 6)) if answer else ("", 0.0)
    return texts


def _save(file: Path, header: str, texts: Texts) -> None:
    lines = [header, *(f"{escape(key)}\t{text}\t{value:.6f}" for key, (text, value) in texts.items())]
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_suffix(".part")
    part.write_bytes("".join(f"{line}\n" for line in lines).encode())
    os.replace(part, file)


def _load(file: Path) -> tuple[str, Texts]:
    """(first line, texts) of a file. Raises InputError: it is damaged."""
    texts: Texts = {}
    header, *lines = file.read_bytes().decode(errors="replace").split("\n")[:-1] or [""]
    for number, line in enumerate(lines, 2):
        try:
            key, rest = line.split("\t", 1)
            text, value = rest.rsplit("\t", 1)
            texts[unescape(key)] = text, float(value)
        except ValueError:
            raise InputError(
                f"{file} line {number}: expected key, text and confidence with tabs between; remove the folder "
                f"{file.parent} to read the images again"
            ) from None
    return header, texts


def _check_same_images(file: Path, source: Any, texts: Texts) -> None:
    """Raises InputError unless the texts are those of the images of the source."""
    keys = dict.fromkeys(source.keys())
    changes = []
    for what, names in (
        ("new", [key for key in keys if key not in texts]),
        ("gone", [k for k in texts if k not in keys]),
    ):
        if names:
            changes.append(f"{len(names):,} {what}, such as {names[0]!r}")
    if changes:
        raise InputError(
            f"{file}: the images of {source.path} are not those that were read ({'; '.join(changes)}); remove the "
            f"folder {file.parent} to read them again"
        )
