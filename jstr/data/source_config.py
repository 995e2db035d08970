"""Rows of `sources` in a config, parsed once into `SourceSpec`: where words come from and how they are used.

A row has exactly one of
path: a data set (LMDB, folder, tar, TFDS), see jstr/data/sources/open.py.
rendered: words drawn on the fly; the arguments of RenderedWords.
words: text without images, for language models; the arguments of TextWords.

and may have
optional: the row is left out where its path is empty: for labels that a user may have.
weight: how often its samples come, relative to the other rows; default 1.
labels: the label file of a folder or tar; by default it is looked for.
labelled: False ignores the labels.
read_by: the labels are what another run reads: workdir, language_model, threshold (jstr/inference/pseudo_labelling.py).
share, share_start, share_seed: the part of a data set that is used, see Share.

Rows of config.evals may also have protocol, subset and weights.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from jstr.data.patterns.spec import PatternSpec
from jstr.text.messages import InputError, check_known

Kind = Literal["path", "rendered", "words"]
KINDS: tuple[Kind, ...] = ("path", "rendered", "words")
DATA_SET_KEYS = ("labels", "read_by")  # have no meaning without a path
KEYS = (*KINDS, "optional", "weight", "labels", "labelled", "read_by", "share", "share_start", "share_seed")
EVAL_KEYS = (*KEYS, "protocol", "subset", "weights")


@dataclass(frozen=True)
class Share:
    """The part of a data set between `start` and `start + share` (0 to 1) in a random order of all its samples.

    The seed fixes the order, whatever is usable: the first 5 % lie inside the first 10 %, and parts that do not
    overlap have no sample in common, unless one is so small that it would be empty. This holds where one use of a data
    set has labels and another has none, too, for LMDBs and TFDS; for a folder or tar only if its label file lists all
    images in the order that they have without it.
    """

    share: float
    start: float = 0.0
    seed: int = 0

    def choose(self, indices: np.ndarray, length: int) -> np.ndarray:
        """Those of `indices` [K] (ascending, of `length` samples) that belong to this part; at least one."""
        place = np.empty(length, np.int64)
        place[np.random.default_rng(self.seed).permutation(length)] = np.arange(length)
        place = place[indices]
        # Rounded first: 0.1 + 0.2 is more than 0.3, and would end a part after the next one begins.
        begin, end = (round(round(border, 9) * length) for border in (self.start, self.start + self.share))
        inside = (place >= begin) & (place < end)
        return indices[inside] if inside.any() else indices[[np.argmin(np.abs(place - self.start * length))]]

    def __str__(self) -> str:
        given = {"share": self.share, "share_start": self.start, "share_seed": self.seed}
        return ", ".join(f"{name}={value}" for name, value in given.items() if value)


@dataclass(frozen=True)
class ReadBy:
    """The run whose readings are used as labels: those with a confidence of at least `threshold`.

    fallback: a lower confidence. Where the threshold keeps fewer than three quarters of the readings that are as sure
    as this, the surest three quarters of them are used instead: some readers, and codes, are never so sure.
    pattern: what they follow; None: what the run's config says. corrected: a label file; the images that it names have
    been looked at by a person, and no reading is used for them. lexicon: a word list; only its words are used.
    language_weight: how much the words that are expected weigh; None, or with a pattern: what the run's config says.
    """

    workdir: str
    language_model: str | None = None
    threshold: float = 0.9
    pattern: PatternSpec | None = None
    corrected: str = ""
    lexicon: str = ""
    language_weight: float | None = None
    fallback: float | None = None


class ReadLabel(NamedTuple):
    """A label that a run has read; text None: there is none."""

    text: str | None
    confidence: float


@dataclass(frozen=True)
class SourceSpec:
    """One parsed row. where: its place in the config, for messages. path: as written in the config."""

    where: str
    name: str
    kind: Kind
    path: str = ""
    data_root: str = ""
    options: Mapping[str, Any] | None = None  # arguments of RenderedWords or TextWords
    weight: float = 1.0
    labels: str | None = None
    labelled: bool = True
    read_by: ReadBy | None = None
    share: Share | None = None

    @property
    def location(self) -> str:
        """The path, resolved against data_root."""
        return resolve(self.path, self.data_root)

    @property
    def is_random(self) -> bool:
        """Whether samples are a random sequence already, of billions, whose order needs no shuffling."""
        return self.kind != "path"


def parse_source(
    where: str, name: str, row: Mapping[str, Any], data_root: str, keys: tuple[str, ...] = KEYS
) -> SourceSpec:
    """The spec of a row. where: such as "config.streams.labelled.sources.mj". keys: what it may have.

    Raises:
      InputError: unknown keys, none or several of path, rendered and words, or a value that is out of range.
    """
    check_known(where, row, keys)
    given: list[Kind] = [kind for kind in KINDS if row.get(kind) not in (None, "")]
    if len(given) > 1:
        raise InputError(f"{where} has {' and '.join(given)}; give one of them")
    if not given:
        raise InputError(
            f"{where}: a source needs a path, or rendered={{...}} (configs/adapt.py: give --config.images=FOLDER)"
        )
    kind = given[0]
    without_meaning = [key for key in DATA_SET_KEYS if row.get(key)]
    if kind != "path" and without_meaning:
        raise InputError(f"{where}.{without_meaning[0]} is for data sets, not for {kind}")
    return SourceSpec(
        where=where,
        name=name,
        kind=kind,
        path=str(row[kind]) if kind == "path" else "",
        data_root=data_root,
        options=None if kind == "path" else dict(row[kind]),
        weight=_weight(where, row),
        labels=row.get("labels") or None,
        labelled=bool(row.get("labelled", True)),
        read_by=_read_by(where, row["read_by"]) if row.get("read_by") else None,
        share=_share(where, row, kind),
    )


def parse_sources(where: str, rows: Mapping[str, Mapping[str, Any]], data_root: str) -> list[SourceSpec]:
    """The specs of all rows of `where`.sources. Raises InputError: there are none, or what parse_source raises."""
    if not rows:
        raise InputError(f"{where}.sources is empty: name at least one source")
    return [parse_source(f"{where}.sources.{name}", name, row, data_root) for name, row in given_rows(rows)]


def eval_specs(config: Any) -> dict[str, SourceSpec]:
    """The specs of config.evals by name. Raises InputError, see parse_source."""
    rows = given_rows(config.evals)
    return {n: parse_source(f"config.evals.{n}", n, row, config.data_root, EVAL_KEYS) for n, row in rows}


def given_rows(rows: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, Mapping[str, Any]]]:
    """(name, row) of the rows but those that are optional and have no path."""
    return [(n, row) for n, row in rows.items() if not row.get("optional") or any(row.get(kind) for kind in KINDS)]


def from_here(path: str) -> str:
    """A path of a command line. One that is there from the current folder is meant, also where JSTR_DATA is set."""
    there = os.path.exists(path) or os.path.exists(path.rpartition("#")[0])
    return os.path.abspath(path) if there and os.environ.get("JSTR_DATA") else path


def resolve(path: str, data_root: str) -> str:
    """A path from a config: relative ones lie under data_root (or the environment's JSTR_DATA), if one is given.

    "~" is expanded. A `tfds:NAME` is left alone.
    """
    root = data_root or os.environ.get("JSTR_DATA", "")
    path = os.path.expanduser(path)
    return path if path.startswith("tfds:") or not root else str(Path(os.path.expanduser(root)) / path)


def _number(where: str, row: Mapping[str, Any], key: str, default: float) -> float:
    try:
        return float(row.get(key, default))
    except (TypeError, ValueError):
        raise InputError(f"{where}.{key}={row[key]!r}: give a number") from None


def _weight(where: str, row: Mapping[str, Any]) -> float:
    weight = _number(where, row, "weight", 1.0)
    if not 0 < weight < float("inf"):
        raise InputError(f"{where}.weight={weight}: give a positive number")
    return weight


def _read_by(where: str, row: Mapping[str, Any]) -> ReadBy:
    where = f"{where}.read_by"
    check_known(where, row, tuple(field.name for field in fields(ReadBy)))
    if not row.get("workdir"):
        raise InputError(f"{where} needs a workdir, or a packed file, that reads")
    threshold = _number(where, row, "threshold", ReadBy.threshold)
    check_known(f"{where}.pattern", row.get("pattern") or (), [field.name for field in fields(PatternSpec)])
    pattern = PatternSpec.make(**(row.get("pattern") or {})) or None
    weight = None if row.get("language_weight") is None else _number(where, row, "language_weight", 0.0)
    if weight is not None and not 0 <= weight < math.inf:
        raise InputError(f"{where}.language_weight={weight}: give a number, 0 or more")
    fallback = None if row.get("fallback") is None else _number(where, row, "fallback", 0.0)
    if fallback is not None and fallback > threshold:
        raise InputError(f"{where}.fallback={fallback}: give a confidence below the threshold of {threshold}")
    corrected, lexicon = (row.get(key) or "" for key in ("corrected", "lexicon"))
    return ReadBy(
        str(row["workdir"]), row.get("language_model"), threshold, pattern, corrected, lexicon, weight, fallback
    )


def _share(where: str, row: Mapping[str, Any], kind: Kind) -> Share | None:
    if "share" not in row:
        if "share_start" in row or "share_seed" in row:
            raise InputError(f"{where}: share_start and share_seed need a share")
        return None
    if kind == "rendered":
        raise InputError(f"{where}.share is for data sets; rendered words have a size")
    share, start = _number(where, row, "share", 1.0), _number(where, row, "share_start", 0.0)
    seed = _number(where, row, "share_seed", 0)
    if not 0 <= seed < 2**53 or seed % 1:
        raise InputError(f"{where}.share_seed={row['share_seed']}: give a whole number, 0 or more")
    share = Share(share, start, int(seed))
    if not (0 < share.share <= 1 and 0 <= share.start < 1 and share.start + share.share <= 1 + 1e-9):
        raise InputError(f"{where}: share={share.share} from share_start={share.start} is not a part of 0 to 1")
    return share
