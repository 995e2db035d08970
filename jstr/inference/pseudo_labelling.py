"""Labels that another run reads: rows of sources with read_by=dict(workdir=..., language_model=..., threshold=...).

Pseudo-labels, read once before training (baselines.md section 2). With a language model a reader corrects itself by
spelling, and its confidence says much better which words are right.
"""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np

from jstr.data.pipeline import padded_batches
from jstr.data.source_config import ReadBy, SourceSpec, parse_sources
from jstr.data.sources.configured import open_images
from jstr.inference.reader import batch_size, load
from jstr.parallel import distributed

FOLDER = "read"  # in the workdir: a file for each row, so that a run that goes on has the labels it began with


def read_rows(config, workdir: str) -> tuple[dict[str, list[str | None]], list[str]]:
    """("stream/source" -> the label of each sample, None for those read with less confidence; lines that say so).

    Raises:
      InputError: a reader that cannot be loaded, or pictures that cannot be opened.
    """
    found, lines, known = {}, [], {}
    for stream, row in config.streams.items():
        for spec in parse_sources(f"config.streams.{stream}", row.sources, config.data_root):
            if spec.read_by is None:
                continue
            texts, sure = _saved(Path(workdir) / FOLDER / f"{stream}_{spec.name}.tsv", spec, known)
            threshold = spec.read_by.threshold
            labels = [t if t and c >= threshold else None for t, c in zip(texts, sure, strict=True)]
            count = sum(label is not None for label in labels)
            lines.append(
                f"{spec.name}: {count:,} of {len(labels):,} pictures read by {spec.read_by.workdir} with confidence "
                f"{threshold} or more"
            )
            found[f"{stream}/{spec.name}"] = labels
    return found, lines


def _saved(file: Path, spec: SourceSpec, known: dict) -> tuple[list[str], np.ndarray]:
    """Texts and confidences of the source of a row, from `file`, or else read and written there.

    The first line of `file` says who read what, so that another reader, or other words, reads anew.
    """
    by = spec.read_by
    reads = json.dumps([spec.path, by.workdir, by.language_model])
    if file.exists():
        head, *rows = file.read_text(encoding="utf-8").split("\n")[:-1]
        if head == reads:
            rows = [row.rsplit("\t", 2) for row in rows]
            return [text for _, text, _ in rows], np.array([float(value) for *_, value in rows])
    source, reader = open_images(replace(spec, labelled=False), None), _reader(by, known)
    if distributed.is_lead_host():
        print(f"reading {source.path} with {by.workdir} ...", flush=True)
    keys, texts, sure = [], [], []
    for batch in padded_batches(source, reader.spec, batch_size()):
        some, confidences = reader.read_batch(batch["image"])
        good = batch["mask"][: len(batch["keys"])]
        keys += batch["keys"]
        texts += [text if ok else "" for text, ok in zip(some, good, strict=False)]
        sure += [float(c) if ok else 0.0 for c, ok in zip(confidences, good, strict=False)]
    if distributed.is_lead_host():
        lines = [reads, *(f"{k}\t{t}\t{c:.6f}" for k, t, c in zip(keys, texts, sure, strict=True))]
        file.parent.mkdir(parents=True, exist_ok=True)
        part = file.with_suffix(".part")
        part.write_text("".join(f"{line}\n" for line in lines), "utf-8")
        os.replace(part, file)
    return texts, np.round(sure, 6)


def _reader(by: ReadBy, known: dict):
    key = by.workdir, by.language_model
    if key not in known:
        known[key] = load(*key)
    return known[key]
