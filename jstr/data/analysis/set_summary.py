"""The summary of one data set: counts, labels, characters, sizes, and broken images."""

from __future__ import annotations

import itertools
import os
import textwrap
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

import numpy as np

from jstr.data.analysis.fingerprints import fingerprint, label_key
from jstr.data.images import RGB
from jstr.data.patterns.pattern import Pattern
from jstr.data.sources.configured import SLOW_PIXELS
from jstr.data.sources.label_files import NoLabels
from jstr.data.sources.label_notes import is_suspicious, label_notes
from jstr.data.sources.open import Source, open_source
from jstr.text import Charset
from jstr.text.label_report import LabelReport
from jstr.text.messages import InputError, escape, first_few

_CHUNK = 128
_WIDE, _TALL = 12, 1.5  # width / height, height / width
_LOW = 8  # pixels
_SHOWN = 10  # examples of a kind in the text; the JSON file has up to 1,000


@dataclass
class SetSummary:
    """One data set, with what is kept of each of its images. Arrays are [N]; sizes are 0 where an image is broken."""

    name: str
    source: Source
    labels: Counter = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)
    heights: np.ndarray | None = None
    widths: np.ndarray | None = None
    pixels: np.ndarray | None = None
    bits: np.ndarray | None = None
    words: np.ndarray | None = None  # number of the label's key, -1 without a label

    @property
    def whole(self) -> np.ndarray:
        return np.flatnonzero(self.heights)


def open_set(item: str, labels: str | None) -> SetSummary:
    """From `PATH` or `NAME=PATH`. A set that has no labels is opened without.

    Raises:
      InputError: nothing there, or it cannot be opened.
    """
    name, equals, path = item.partition("=")
    if not equals or os.path.exists(item):
        name = path = item
    if not name or not path:
        raise InputError(f"{item}: give PATH or NAME=PATH")
    path = os.path.expanduser(path)
    try:
        return SetSummary(name, open_source(path, labels=labels))
    except NoLabels:
        return SetSummary(name, open_source(path, labelled=False))


def scan(
    report: SetSummary, numbers: dict[str, int], limit: int | None, progress: Callable[[str], None] = lambda line: None
) -> None:
    """Reads every image (or the first `limit`) once, on all cores. numbers: label key -> its number, shared by sets.

    Memory holds hashes and sizes, about 40 bytes per image, and each distinct label once.
    """
    count = min(len(report.source), limit or len(report.source))
    parts, done, said = [], 0, time.monotonic()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        starts = iter(range(0, count, _CHUNK))
        waiting = [pool.submit(_read, report.source, s, count) for s in itertools.islice(starts, 4 * os.cpu_count())]
        while waiting:
            rows = waiting.pop(0).result()
            waiting += [pool.submit(_read, report.source, s, count) for s in itertools.islice(starts, 1)]
            for key, label, row in rows:
                if row is None:
                    report.broken.append(key)
                if label is not None:
                    report.labels[label] += 1
                word = label_key(label)
                number = numbers.setdefault(word, len(numbers)) if word else -1
                parts.append((*(row or (0, 0, 0, 0, 0)), number))
            done += len(rows)
            parts = _pack(report, parts, done == count)
            if time.monotonic() - said > 2:
                said = time.monotonic()
                progress(f"{report.name}: {done:,} of {count:,} images")


def _read(source: Source, start: int, count: int) -> list[tuple]:
    """(key, label, (height, width, pixel hash, bits, bits) or None if broken) of `_CHUNK` samples of a source."""
    rows = []
    for i in range(start, min(start + _CHUNK, count)):
        sample = source[i]
        image = RGB.decode(sample["image"])
        rows.append((sample["key"], sample["label"], image is not None and (*image.shape[:2], *fingerprint(image))))
    return [(key, label, row or None) for key, label, row in rows]


def _pack(report: SetSummary, rows: list[tuple], last: bool) -> list[tuple]:
    """Moves rows into the arrays of `report` once there are many; returns those that are left."""
    if not rows or (len(rows) < 100_000 and not last):
        return rows
    columns = list(zip(*rows, strict=True))
    new = dict(
        heights=np.array(columns[0], np.int32),
        widths=np.array(columns[1], np.int32),
        pixels=np.array(columns[2], np.uint64),
        bits=np.stack([np.array(columns[3], np.uint64), np.array(columns[4], np.uint64)], 1),
        words=np.array(columns[5], np.int64),
    )
    for name, array in new.items():
        old = getattr(report, name)
        setattr(report, name, array if old is None else np.concatenate([old, array]))
    return []


def describe(report: SetSummary, charset: Charset, pattern: Pattern | None = None) -> tuple[dict, list[str]]:
    """The facts about one set, without the others: for the JSON file, and as lines of text. pattern: of its labels."""
    labels, count = report.labels, len(report.heights)
    notes, sizes, warnings = list(report.source.notes), _sizes(report), warnings_of(report)
    facts = dict(path=str(report.source.path), images=count, notes=notes, warnings=warnings, broken=report.broken)
    facts["labels"] = _label_facts(labels, count)
    lines = [f"{report.name}: {len(report.whole):,} of {len(report.source):,} images read ({report.source!r})"]
    lines += [f"  note: {note}" for note in notes]
    lines += [f"  warning: {warning}" for warning in warnings]
    if report.broken:
        lines.append(f"  broken or missing: {len(report.broken):,}: {_few(report.broken)}")
    if labels:
        lines += _label_lines(labels, facts["labels"])
        if pattern is not None:
            facts["pattern"], line = _pattern_fit(labels, pattern)
            lines.append(line)
        facts["charset"], more = _charset_fit(labels, charset)
        lines += more
    else:
        lines.append("  labels: none")
    facts["sizes"] = sizes
    if sizes:
        lines.append("  size        min    5 %    25 %  median   75 %    95 %    max")
        for name, values in sizes.items():
            lines.append(f"  {name:8}" + "".join(f"{v:8,.2f}" if name == "aspect" else f"{v:8,.0f}" for v in values))
    return facts, lines


def warnings_of(report: SetSummary) -> list[str]:
    """What is likely to be wrong with the images and labels of a set: shapes, sizes and placeholders."""
    suspicious = {label: n for label, n in report.labels.items() if is_suspicious(label)}
    notes = label_notes(suspicious, report.labels.total())
    found = [note for note in notes if not any(note in known for known in report.source.notes)]
    if report.heights is None:
        return found
    heights, widths = report.heights, report.widths
    for which, what in (
        (widths > _WIDE * heights, f"more than {_WIDE} times as wide as high: lines of text, not words?"),
        (heights > _TALL * np.maximum(widths, 1), f"more than {_TALL:g} times as high as wide: turned or vertical?"),
        ((heights > 0) & (heights < _LOW), f"lower than {_LOW} pixels: too small to read?"),
        (heights.astype(np.int64) * widths > SLOW_PIXELS, f"larger than {SLOW_PIXELS:,} pixels: slow to decode"),
    ):
        places = np.flatnonzero(which)
        if len(places):
            keys = first_few([escape(report.source[int(i)]["key"]) for i in places[:3]])
            found.append(f"{len(places):,} images are {what} ({keys}{', ...' if len(places) > 3 else ''})")
    return found


def _label_lines(labels: Counter, facts: dict) -> list[str]:
    lengths, characters = facts["lengths"], facts["characters"]
    lines = [
        f"  labels: {labels.total():,}, {len(labels):,} different; length {lengths['min']} to {lengths['max']}, "
        f"median {lengths['median']:g}, mean {lengths['mean']:.1f}, 95 % up to {lengths['p95']:g}"
    ]
    lines += _wrap("frequent", [f"{label!r} {n:,}" for label, n in labels.most_common(15)])
    shown = [f"{c if c.isprintable() and not c.isspace() else repr(c)} {n:,}" for c, n in characters.items()]
    more = [f"and {len(shown) - 120} more"] if len(shown) > 120 else []
    return lines + _wrap(f"{len(characters):,} characters", shown[:120] + more)


def _pattern_fit(labels: Counter, pattern: Pattern) -> tuple[dict, str]:
    breaking = [(label, n) for label, n in labels.most_common() if not pattern.matches(label)]
    count = sum(n for _, n in breaking)
    facts = dict(regex=pattern.spec.regex, breaking=count, examples=[label for label, _ in breaking[:1000]])
    few = f": {_few([label for label, _ in breaking])}" if breaking else ""
    return facts, f"  pattern: {count:,} of {sum(labels.values()):,} labels break it{few}"


def _charset_fit(labels: Counter, charset: Charset) -> tuple[dict, list[str]]:
    """Which labels the charset can hold."""
    outside = LabelReport.of(charset, labels.elements())
    facts = dict(used=outside.used, skipped=dict(outside.skipped), outside=dict(outside.outside))
    lines = [f"  {line}" for line in outside.lines("charset")]
    lowered = 0 if charset.lower else LabelReport.of(replace(charset, lower=True), labels.elements()).used
    if lowered > outside.used:
        lines.append(f"    with --lower {lowered:,} of {labels.total():,} labels used")
    return facts, lines


def _label_facts(labels: Counter, count: int) -> dict:
    characters, lengths = Counter(), Counter()
    for label, n in labels.items():
        lengths[len(label)] += n
        for c in label:
            characters[c] += n
    facts = dict(labelled=labels.total(), without=count - labels.total(), different=len(labels))
    if labels:
        keys = sorted(lengths)
        all_lengths = np.repeat(keys, [lengths[k] for k in keys])
        facts["lengths"] = dict(
            min=keys[0],
            median=float(np.median(all_lengths)),
            mean=float(all_lengths.mean()),
            p95=float(np.percentile(all_lengths, 95)),
            max=keys[-1],
            counts={str(k): lengths[k] for k in keys},
        )
    facts["characters"] = dict(characters.most_common())
    return facts


def _sizes(report: SetSummary) -> dict[str, list[float]]:
    """Percentiles 0, 5, 25, 50, 75, 95, 100 of height and width in pixels and of width / height."""
    whole = report.whole
    if not len(whole):
        return {}
    h, w = report.heights[whole], report.widths[whole]
    values = dict(height=h, width=w, aspect=w / h)
    return {name: np.percentile(v, [0, 5, 25, 50, 75, 95, 100]).tolist() for name, v in values.items()}


def _few(names: list[str]) -> str:
    return ", ".join(map(escape, names[:_SHOWN])) + (", ..." if len(names) > _SHOWN else "")


def _wrap(head: str, items: list[str]) -> list[str]:
    """Lines of at most 112 characters; an item is never broken."""
    text = "  ".join(item.replace(" ", "\0") for item in items)
    lines = textwrap.wrap(text, 112, initial_indent=f"  {head}: ", subsequent_indent="    ", break_long_words=False)
    return [line.replace("\0", " ") for line in lines]
