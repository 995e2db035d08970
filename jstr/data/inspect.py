"""Reports on data sets: counts, labels, characters, sizes, broken images, and images that occur twice.

python -m jstr.data.inspect [NAME=]PATH ... [--charset=94] [--sheet=FILE.png] [--json=FILE]

PATH is anything that jstr trains on: LMDB, image folder, tar, TFDS (see jstr/data/sources/open.py).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from jstr.cli import Parser, cli, path
from jstr.data.analysis.fingerprints import ANY_BITS, BITS, DIFFERENCE, LARGE_GROUP, LIKE
from jstr.data.analysis.near_duplicates import NearDuplicates
from jstr.data.analysis.set_summary import SetSummary, describe, open_set, scan
from jstr.data.images import RGB
from jstr.data.patterns.checksums import CHECKSUMS
from jstr.data.patterns.pattern import Pattern
from jstr.data.patterns.spec import PatternSpec
from jstr.data.preview import contact_sheet
from jstr.text import Charset
from jstr.text.messages import InputError, first_few

_SHEET = 50  # images of a set, and pairs, on the contact sheet


class ReaderFacts(NamedTuple):
    """What a reader holds: its charset, about how many characters of a crop, and a line that says so."""

    charset: Charset
    most: int
    line: str


def sheet(reports: Sequence[SetSummary], duplicates: NearDuplicates) -> Iterator[dict]:
    """For the contact sheet: images spread over each set, then pairs side by side, first those of two sets."""
    for report in reports:
        whole = report.whole
        spread = whole[np.linspace(0, len(whole) - 1, min(_SHEET, len(whole))).astype(int)]
        for i in spread.tolist():
            sample = report.source[i]
            yield dict(image=RGB.decode(sample["image"]), label=sample["label"] or "")
    for pair in duplicates.pairs(_SHEET):
        for which, place, label in zip(pair.sets, pair.places, pair.labels, strict=True):
            yield dict(
                image=duplicates.image(which, place), label=f"{pair.kind}: {label or ''} ({reports[which].name})"
            )


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = Parser("python -m jstr.data.inspect", __doc__)
    parser.add_argument("paths", nargs="+", metavar="[NAME=]PATH", help="LMDB, folder, tar, TFDS; several are compared")
    parser.add_argument("--labels", help="label file inside every PATH, such as labels_classic.tsv")
    parser.add_argument("--workdir", help="a reader whose charset and capacity the labels are compared with")
    parser.add_argument("--charset", default="94", help="a name such as 36 or 94, file:PATH, or the characters")
    parser.add_argument("--lower", action="store_true", help="labels are made lower-case first")
    parser.add_argument("--nfkc", action="store_true", help="labels are brought into Unicode's form NFKC first")
    parser.add_argument("--max_length", type=int, default=25, help="characters that a model may read")
    parser.add_argument("--pattern", action="append", metavar="REGEX", help="counts labels that do not follow it")
    parser.add_argument("--checksum", choices=CHECKSUMS, help="counts labels whose check digit is wrong")
    parser.add_argument("--limit", type=int, help="only the first N images of each set")
    parser.add_argument(
        "--compare", type=int, default=100_000, help="most pairs to compare for near duplicates; 0: none"
    )
    parser.add_argument(
        "--sheet", type=path, metavar="FILE.png", help="write a contact sheet: images of each set, then pairs"
    )
    parser.add_argument(
        "--font", type=path, help="draws the labels of the sheet, for scripts that the bundled font lacks"
    )
    parser.add_argument("--json", type=path, metavar="FILE", help="also write everything there")
    return parser.parse_args(argv)


def run(argv: Sequence[str] | None = None, facts_of: Callable[[str], ReaderFacts] | None = None) -> None:
    """Inspects the sets that the arguments name and prints the report. Raises InputError.

    facts_of: what the reader of --workdir holds, see jstr.inference.inspect.
    """
    args = _parse(argv)
    _check(args)
    charset = Charset.make(args.charset, "cr_ctc", args.max_length, lower=args.lower, nfkc=args.nfkc)
    reader = None
    if args.workdir:
        if facts_of is None:
            raise InputError("--workdir: use jstr inspect, or python -m jstr.inference.inspect")
        reader = facts_of(args.workdir)
        charset = reader.charset
        print(reader.line + "\n")
    pattern = None
    if args.pattern or args.checksum:
        pattern = Pattern(PatternSpec.make(args.pattern, checksum=args.checksum), charset.characters)
    reports = [open_set(item, args.labels) for item in args.paths]
    twice = [n for n, k in Counter(r.name for r in reports).items() if k > 1]
    if twice:
        raise InputError(f"{twice[0]} is given twice; give each set a name of its own, NAME=PATH")
    numbers: dict[str, int] = {}
    facts = {}
    for report in reports:
        scan(report, numbers, args.limit, _progress)
        facts[report.name], lines = describe(report, charset, pattern)
        if reader:
            longer = {label: n for label, n in report.labels.items() if len(label) > reader.most}
            facts[report.name]["longer"] = dict(
                most=reader.most, labels=sum(longer.values()), examples=[*longer][:1000]
            )
            shown = f": {first_few([*map(repr, longer)])}" if longer else ""
            lines.append(f"  longer than {reader.most} characters: {sum(longer.values()):,} labels{shown}")
        print("\n".join(lines) + "\n", flush=True)
    duplicates, names = NearDuplicates(reports), [r.name for r in reports]
    duplicates.compare(args.compare, _progress)
    print("\n".join(duplicates.lines(names)))
    if args.sheet:
        _write_sheet(args.sheet, contact_sheet(sheet(reports, duplicates), columns=6, font=args.font))
    if args.json:
        text = json.dumps(dict(sets=facts, duplicates=_as_json(duplicates, names)), indent=1, ensure_ascii=False)
        Path(args.json).write_text(text + "\n", encoding="utf-8", errors="backslashreplace")  # names in other encodings


def _check(args: argparse.Namespace) -> None:
    if (args.limit is not None and args.limit < 1) or args.compare < 0:
        raise InputError(f"--limit={args.limit} --compare={args.compare}: give positive numbers")
    for option in ("json", "sheet"):
        file = getattr(args, option)
        if file and not Path(file).absolute().parent.is_dir():
            raise InputError(f"--{option}={file}: its folder does not exist")
        if file and Path(file).is_dir():
            raise InputError(f"--{option}={file} is a folder; give a file")


def _progress(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _as_json(duplicates: NearDuplicates, names: Sequence[str]) -> dict:
    method = dict(bits=BITS, any_bits=ANY_BITS, large_group=LARGE_GROUP, correlation=LIKE, difference=DIFFERENCE)
    counts = [dict(first=names[a], second=names[b], **kinds) for (a, b), kinds in duplicates.counts().items()]
    pairs = [pair.row(names) for pair in duplicates.pairs(1000)]
    return dict(near=method, not_compared=duplicates.unseen, counts=counts, pairs=pairs)


def _write_sheet(file: str, image: np.ndarray) -> None:
    try:
        Image.fromarray(image).save(file)
    except (OSError, ValueError) as error:
        raise InputError(f"--sheet={file}: {error}; give a name such as sheet.png") from error
    print(f"contact sheet: {file}")


if __name__ == "__main__":
    cli(run)
