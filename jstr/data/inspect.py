"""Reports on data sets: counts, labels, characters, sizes, broken images, and pictures that occur twice.

python -m jstr.data.inspect [NAME=]PATH ... [--charset=94] [--sheet=FILE.png] [--json=FILE]

PATH is anything that jstr trains on: LMDB, image folder, tar, TFDS (see jstr.data.sources.open_source).
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import sys
import textwrap
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from PIL import Image

from jstr.core import InputError
from jstr.data.analysis.fingerprints import BITS, DIFFERENCE, LARGE_GROUP, LIKE, fingerprint, label_key
from jstr.data.analysis.near_duplicates import Twins
from jstr.data.images import ImageSpec
from jstr.data.preview import contact_sheet
from jstr.data.sources.open import Source, open_source
from jstr.text import Charset, LabelReport

_ABOUT = __doc__.split("\n")[0]
_COLOUR = ImageSpec((32, 100), 3)
_CHUNK = 128
_SHOWN = 10  # examples of a kind in the text; the JSON file has up to 1,000
_SHEET = 50  # pictures of a set, and pairs, on the contact sheet


@dataclass
class SetReport:
    """One data set, with what is kept of each of its pictures. Arrays are [N]; sizes are 0 where it is broken."""

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


def open_set(item: str, labels: str | None) -> SetReport:
    """From `PATH` or `NAME=PATH`. What has no labels is opened without.

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
        return SetReport(name, open_source(path, labels=labels))
    except InputError as error:
        if "open it unlabelled" not in str(error):
            raise
        return SetReport(name, open_source(path, labelled=False))


def scan(report: SetReport, numbers: dict[str, int], limit: int | None, progress=lambda line: None) -> None:
    """Reads every picture (or the first `limit`) once, over all cores. numbers: label key -> its number, shared.

    Memory holds hashes and sizes, about 40 bytes for a picture, and each different label once.
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
    """(key, label, (height, width, pixel hash, bits, bits) or None if broken) of a stretch of a source."""
    rows = []
    for i in range(start, min(start + _CHUNK, count)):
        sample = source[i]
        image = _COLOUR.decode(sample["image"])
        rows.append((sample["key"], sample["label"], image is not None and (*image.shape[:2], *fingerprint(image))))
    return [(key, label, row or None) for key, label, row in rows]


def _pack(report: SetReport, rows: list[tuple], last: bool) -> list[tuple]:
    """Moves rows into the arrays of `report`, many at a time; returns those that stay."""
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


def describe(report: SetReport, charset: Charset) -> tuple[dict, list[str]]:
    """What is known of one set without the others: for the JSON file, and as lines of text."""
    labels, count = report.labels, len(report.heights)
    lines = [f"{report.name}: {count:,} of {len(report.source):,} images read ({report.source!r})"]
    lines += [f"  note: {note}" for note in report.source.notes]
    facts = dict(path=str(report.source.path), images=count, notes=list(report.source.notes), broken=report.broken)
    if report.broken:
        lines.append(f"  broken or missing: {len(report.broken):,}: {_few(report.broken)}")
    facts["labels"] = label_facts = _label_facts(labels, count)
    if labels:
        lengths = label_facts["lengths"]
        lines.append(
            f"  labels: {labels.total():,}, {len(labels):,} different; length {lengths['min']} to {lengths['max']}, "
            f"median {lengths['median']:g}, mean {lengths['mean']:.1f}, 95 % up to {lengths['p95']:g}"
        )
        lines += _wrap("frequent", [f"{label!r} {n:,}" for label, n in labels.most_common(15)])
        characters = label_facts["characters"]
        shown = [f"{c if c.isprintable() and not c.isspace() else repr(c)} {n:,}" for c, n in characters.items()]
        more = [f"and {len(shown) - 120} more"] if len(shown) > 120 else []
        lines += _wrap(f"{len(characters):,} characters", shown[:120] + more)
        outside = LabelReport.of(charset, labels.elements())
        facts["charset"] = dict(used=outside.used, skipped=dict(outside.skipped), outside=dict(outside.outside))
        lines += [f"  {line}" for line in outside.lines("charset")]
        lowered = 0 if charset.lower else LabelReport.of(replace(charset, lower=True), labels.elements()).used
        if lowered > outside.used:
            lines.append(f"    with --lower {lowered:,} of {labels.total():,} labels used")
    else:
        lines.append("  labels: none")
    sizes = _sizes(report)
    facts["sizes"] = sizes
    if sizes:
        lines.append("  size        min    5 %    25 %  median   75 %    95 %    max")
        for name, values in sizes.items():
            lines.append(f"  {name:8}" + "".join(f"{v:8,.2f}" if name == "aspect" else f"{v:8,.0f}" for v in values))
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


def _sizes(report: SetReport) -> dict[str, list[float]]:
    """Percentiles 0, 5, 25, 50, 75, 95, 100 of height and width in pixels and of width / height."""
    whole = report.whole
    if not len(whole):
        return {}
    h, w = report.heights[whole], report.widths[whole]
    values = dict(height=h, width=w, aspect=w / h)
    return {name: np.percentile(v, [0, 5, 25, 50, 75, 95, 100]).tolist() for name, v in values.items()}


def _few(names: list[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")


def _wrap(head: str, items: list[str]) -> list[str]:
    """Lines of at most 112 characters; an item is never broken."""
    text = "  ".join(item.replace(" ", "\0") for item in items)
    lines = textwrap.wrap(text, 112, initial_indent=f"  {head}: ", subsequent_indent="    ", break_long_words=False)
    return [line.replace("\0", " ") for line in lines]


def sheet(reports: Sequence[SetReport], twins: Twins) -> Iterator[dict]:
    """For the contact sheet: pictures spread over each set, then pairs side by side, first those of two sets."""
    for report in reports:
        whole = report.whole
        spread = whole[np.linspace(0, len(whole) - 1, min(_SHEET, len(whole))).astype(int)]
        for i in spread.tolist():
            sample = report.source[i]
            yield dict(image=_COLOUR.decode(sample["image"]), label=sample["label"] or "")
    for pair in twins.pairs(_SHEET):
        for which, place, label in zip(pair.sets, pair.places, pair.labels, strict=True):
            yield dict(image=twins.image(which, place), label=f"{pair.kind}: {label or ''} ({reports[which].name})")


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m jstr.data.inspect", description=_ABOUT, allow_abbrev=False)
    parser.add_argument("paths", nargs="+", metavar="[NAME=]PATH", help="LMDB, folder, tar, TFDS; several are compared")
    parser.add_argument("--labels", help="label file inside every PATH, such as labels_classic.tsv")
    parser.add_argument("--charset", default="94", help="a name such as 36 or 94, file:PATH, or the characters")
    parser.add_argument("--lower", action="store_true", help="labels are made lower-case first")
    parser.add_argument("--nfkc", action="store_true", help="labels are brought into Unicode's form NFKC first")
    parser.add_argument("--max_length", type=int, default=25, help="characters that a model may read")
    parser.add_argument("--limit", type=int, help="only the first so many images of each set")
    parser.add_argument("--compare", type=int, default=100_000, help="pairs to look at for near twins, 0: none")
    parser.add_argument("--sheet", metavar="FILE.png", help="write a contact sheet: pictures of each set, then pairs")
    parser.add_argument("--font", help="draws the labels of the sheet, for scripts that the bundled font lacks")
    parser.add_argument("--json", metavar="FILE", help="also write everything there")
    return parser.parse_args(argv)


def run(argv: Sequence[str] | None = None) -> None:
    args = _parse(argv)
    if (args.limit is not None and args.limit < 1) or args.compare < 0:
        raise InputError(f"--limit={args.limit} --compare={args.compare}: give positive numbers")
    for option in ("json", "sheet"):
        file = getattr(args, option)
        if file and not Path(file).absolute().parent.is_dir():
            raise InputError(f"--{option}={file}: its folder does not exist")
    charset = Charset.make(args.charset, "cr_ctc", args.max_length, lower=args.lower, nfkc=args.nfkc)
    reports = [open_set(item, args.labels) for item in args.paths]
    twice = [n for n, k in Counter(r.name for r in reports).items() if k > 1]
    if twice:
        raise InputError(f"{twice[0]} is given twice; give each set a name of its own, NAME=PATH")

    def progress(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    numbers: dict[str, int] = {}
    facts = {}
    for report in reports:
        scan(report, numbers, args.limit, progress)
        facts[report.name], lines = describe(report, charset)
        print("\n".join(lines) + "\n", flush=True)
    twins, names = Twins(reports), [r.name for r in reports]
    twins.look(args.compare, progress)
    print("\n".join(twins.lines(names)))
    if args.sheet:
        _write_sheet(args.sheet, contact_sheet(sheet(reports, twins), columns=6, font=args.font))
    if args.json:
        method = dict(bits=BITS, large_group=LARGE_GROUP, correlation=LIKE, difference=DIFFERENCE)
        counts = [dict(first=names[a], second=names[b], **kinds) for (a, b), kinds in twins.counts().items()]
        pairs = [pair.row(names) for pair in twins.pairs(1000)]
        duplicates = dict(near=method, not_compared=twins.unseen, counts=counts, pairs=pairs)
        text = json.dumps(dict(sets=facts, duplicates=duplicates), indent=1, ensure_ascii=False)
        Path(args.json).write_text(text + "\n", encoding="utf-8")


def _write_sheet(file: str, picture: np.ndarray) -> None:
    try:
        Image.fromarray(picture).save(file)
    except (OSError, ValueError) as error:
        raise InputError(f"--sheet={file}: {error}; give a name such as sheet.png") from error
    print(f"contact sheet: {file}")


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status: 0, or 2 with one line on stderr for what the user got wrong."""
    try:
        run(argv)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
