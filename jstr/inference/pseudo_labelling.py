"""Labels that a reader gives: sources with read_by=dict(workdir=, language_model=, threshold=, pattern=, ...).

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

import cv2

from jstr.data.images import ImageSpec
from jstr.data.source_config import ReadBy, SourceSpec, parse_sources, resolve
from jstr.data.sources.configured import open_images
from jstr.data.sources.open import open_source
from jstr.inference.read_source import read_source
from jstr.inference.reader import Reader, load
from jstr.inference.sure_readings import Gate, Usable, changes, counted, draw_changes
from jstr.parallel import distributed
from jstr.text.messages import InputError, escape, unescape

FOLDER = "read"  # in the workdir: a file for each source, so that a resumed run has the labels it began with

Texts = dict[str, tuple[str, float]]  # key of an image -> text and confidence; "" and 0 for a broken one
Labels = dict[str, Usable]  # "stream/source" -> key -> label, None where it is not sure


class Round(NamedTuple):
    """A round of self-training. reader: language model -> who reads; None: it has read, and its texts are there."""

    number: int
    reader: Callable[[str | None], Reader] | None


def read_rows(
    config: Any, workdir: str, part: str = "streams", load_reader: Callable[..., Reader] | None = None
) -> tuple[Labels, list[str]]:
    """("stream/source" -> key -> label, None where it is not sure; lines that say how many are used).

    part: "streams", or "held_back", whose images are not read again where a stream of the same name has the source.
    load_reader: instead of `load`, to keep readers from call to call.

    Raises:
      InputError: a reader that cannot be loaded, images that cannot be opened, or readings of other images.
    """
    labels: Labels = {}
    lines, load_once = [], load_reader or functools.cache(load)
    for stream, spec, by in rows_read_by(config, part):
        source = open_images(replace(spec, labelled=False), None)
        names = [f"{stream}_{spec.name}.tsv"] + [f"{part}_{stream}_{spec.name}.tsv"] * (part != "streams")
        texts = _saved_or_read([Path(workdir) / FOLDER / name for name in names], spec, source, load_once)
        gate = gate_of(config, by, 0)
        usable = labels[f"{stream}/{spec.name}"] = gate.usable(texts)
        if by.corrected:
            corrected = _corrected(source, spec, config.data_root)
            usable.update(dict.fromkeys(corrected))
            count = f"{len(corrected):,} images have been corrected by hand"
            lines.append(f"{spec.name}: {count}, and what was read in them is not used")
        lines.append(f"{spec.name}: {counted(usable)} images read by {by.workdir} {gate}")
    return labels, lines


def read_round(config: Any, workdir: str, this: Round) -> tuple[Labels, list[str]]:
    """The same for the streams, as read in a round of self-training, whose texts the workdir keeps.

    The lines, and a sheet of images beside the texts, say what has changed against the round before.

    Raises:
      InputError: the texts of a round that has read are gone, or are of other images.
    """
    labels: Labels = {}
    lines: list[str] = []
    for stream, spec, by in rows_read_by(config, "streams"):
        source = open_images(replace(spec, labelled=False), None)
        file = _round_file(workdir, stream, spec, this.number)
        if this.reader is not None:
            texts = texts_of(this.reader(by.language_model), spec, source)
            if distributed.is_lead_host():
                _save(file, json.dumps([spec.path, f"round {this.number}", by.language_model]), texts)
        elif file.exists():
            texts = load_texts(file)[1]
            _check_same_images(file, source, texts)
        else:
            raise InputError(f"{file}, the labels of round {this.number}, is gone; start again with another --workdir")
        gate = gate_of(config, by, this.number)
        usable = labels[f"{stream}/{spec.name}"] = gate.usable(texts)
        before = load_texts(_round_file(workdir, stream, spec, this.number - 1))[1]
        used = gate_of(config, by, this.number - 1).usable(before)
        for key in _corrected(source, spec, config.data_root):
            usable[key] = used[key] = None
        found = changes(used, usable)
        lines.append(
            f"round {this.number}: {spec.name}: {counted(usable)} images read {gate}{found.line(used, usable)}"
        )
        if this.reader is not None and distributed.is_lead_host():
            sheet = draw_changes(found, before, texts, _images(source, ImageSpec.make(config.image)))
            if sheet is not None:
                cv2.imwrite(str(file.with_suffix(".png")), sheet[..., ::-1])
    return labels, lines


def gate_of(config: Any, by: ReadBy, number: int) -> Gate:
    """What is sure in a round; round 0: in what the start has read."""
    rows = config.self_training if number else {}
    thresholds, shares = rows.get("thresholds", ()), rows.get("shares", ())
    last = [given[min(number, len(given)) - 1] if given else None for given in (thresholds, shares)]
    return Gate(by.threshold if last[0] is None else last[0], last[1], by.lexicon, by.fallback)


def _images(source: Any, spec: ImageSpec) -> Callable[[str], Any]:
    """Key -> image."""
    places = {key: i for i, key in enumerate(source.keys())}
    return lambda key: spec.decode(source[places[key]]["image"])


def rows_read_by(config: Any, part: str) -> Iterator[tuple[str, SourceSpec, ReadBy]]:
    """(stream, source, who reads it) of the sources whose labels are read."""
    for stream, row in config[part].items():
        for spec in parse_sources(f"config.{part}.{stream}", row.sources, config.data_root):
            if spec.read_by is not None:
                yield stream, spec, spec.read_by


def _round_file(workdir: str, stream: str, spec: SourceSpec, number: int) -> Path:
    return Path(workdir) / FOLDER / (f"round{number}_" * (number > 0) + f"{stream}_{spec.name}.tsv")


def _corrected(source: Any, spec: SourceSpec, data_root: str) -> list[str]:
    """Keys of the images that a person has corrected (spec.read_by.corrected), whose readings are not used.

    Images are the same when their files are: another run finds the words of photographs into another folder.
    """
    if not spec.read_by.corrected:
        return []
    done = set(_digests(open_source(resolve(spec.read_by.corrected, data_root))).values()) - {None}
    return [key for key, digest in _digests(source).items() if digest in done]


def _digests(source: Any) -> dict[str, bytes | None]:
    """Key -> digest of the image as it is stored; None where it cannot be read."""
    samples = (source[i] for i in range(len(source)))
    return {s["key"]: hashlib.blake2b(s["image"]).digest() if s["image"] else None for s in samples}


def _saved_or_read(files: list[Path], spec: SourceSpec, source: Any, load_reader: Callable[..., Reader]) -> Texts:
    """The texts of a source, from the first of `files` that fits, or else read and written to the last.

    The first line of a file says who read what: with another reader or other words the source is read again.
    """
    by = spec.read_by
    who = [spec.path, by.workdir, by.language_model]
    who += [repr(by.pattern)] if by.pattern else []
    who += [by.language_weight] if by.language_weight is not None else []
    header = json.dumps(who)
    for file in filter(Path.exists, files):
        found, texts = load_texts(file)
        if found == header:
            _check_same_images(file, source, texts)
            return texts
    if distributed.is_lead_host():
        print(f"reading {source.path} with {by.workdir} ...", flush=True)
    texts = texts_of(load_reader(by.workdir, by.language_model), spec, source)
    if distributed.is_lead_host():
        _save(files[-1], header, texts)
    return texts


def texts_of(reader: Reader, spec: SourceSpec, source: Any) -> Texts:
    """What a reader makes of each image of a source."""
    by = spec.read_by
    if by and by.pattern:
        reader = reader.guided(by.pattern)
    elif by and by.language_weight is not None:
        reader = reader.weighing(by.language_weight)
    texts = {}
    for reading in read_source(reader, source):
        answer = reading.answer
        texts[reading.key] = (answer.text, round(float(answer.confidence), 6)) if answer else ("", 0.0)
    return texts


def _save(file: Path, header: str, texts: Texts) -> None:
    lines = [header, *(f"{escape(key)}\t{text}\t{value:.6f}" for key, (text, value) in texts.items())]
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_suffix(".part")
    part.write_bytes("".join(f"{line}\n" for line in lines).encode())
    os.replace(part, file)


def load_texts(file: Path) -> tuple[str, Texts]:
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
