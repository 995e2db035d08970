"""Labels that another run reads: sources with read_by=dict(workdir=, language_model=, threshold=, pattern=).

Pseudo-labels (Baek et al. 2021, section 4.2), read once before training. A language model corrects the spelling, and
its confidence tells better which words are right.
"""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from jstr.data.source_config import SourceSpec, parse_sources
from jstr.data.sources.configured import open_images
from jstr.inference.read_source import read_source
from jstr.inference.reader import Reader, load
from jstr.messages import InputError, escape, unescape
from jstr.parallel import distributed

FOLDER = "read"  # in the workdir: a file for each source, so that a resumed run has the labels it began with

Texts = dict[str, tuple[str, float]]  # key of an image -> text and confidence; "" and 0 for a broken one


def read_rows(config: Any, workdir: str, part: str = "streams") -> tuple[dict[str, dict[str, str | None]], list[str]]:
    """("stream/source" -> key -> label, None below the threshold; lines that say how many are used).

    part: "streams", or "held_back", whose images are not read again where a stream of the same name has the source.

    Raises:
      InputError: a reader that cannot be loaded, images that cannot be opened, or readings of other images.
    """
    labels: dict[str, dict[str, str | None]] = {}
    lines, load_once = [], functools.cache(load)
    for stream, row in config[part].items():
        for spec in parse_sources(f"config.{part}.{stream}", row.sources, config.data_root):
            if spec.read_by is None:
                continue
            source = open_images(replace(spec, labelled=False), None)
            names = [f"{stream}_{spec.name}.tsv"] + [f"{part}_{stream}_{spec.name}.tsv"] * (part != "streams")
            texts = _saved_or_read([Path(workdir) / FOLDER / name for name in names], spec, source, load_once)
            by = spec.read_by
            usable = {key: text if text and value >= by.threshold else None for key, (text, value) in texts.items()}
            count = sum(label is not None for label in usable.values())
            lines.append(
                f"{spec.name}: {count:,} of {len(usable):,} images read by {by.workdir} with confidence "
                f"{by.threshold} or more"
            )
            labels[f"{stream}/{spec.name}"] = usable
    return labels, lines


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
    reader = load_reader(by.workdir, by.language_model)
    reader = reader.guided(by.pattern) if by.pattern else reader
    if distributed.is_lead_host():
        print(f"reading {source.path} with {by.workdir} ...", flush=True)
    texts = {}
    for reading in read_source(reader, source):
        answer = reading.answer
        texts[reading.key] = (answer.text, round(answer.confidence, 6)) if answer else ("", 0.0)
    if distributed.is_lead_host():
        _save(files[-1], header, texts)
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
