"""Measures what a reader's confidence is worth on labelled words.

python -m jstr.calibrate --workdir=W --data=LABELLED [--check=NAME=OTHERS] [--plot=FILE.png]

prints for several precisions from which confidence on readings are kept, and stores that in W/calibration.json, where
`predict --precision=0.99` finds it. Fit it on crops like those that will be read, and on none that were trained on.
--check says how far the thresholds keep their promise on other labelled words. With several --data they hold on each,
which makes them safer for words of yet another kind.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

from jstr.cli import Parser, cli, named_paths, path
from jstr.inference import calibration
from jstr.inference.guide import add_options, with_options
from jstr.inference.reader import WORDS_HELP, WORKDIR_HELP, load
from jstr.inference.score import open_sets
from jstr.text.messages import InputError, writing
from jstr.text.metrics import PROTOCOL_HELP, PROTOCOLS


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = Parser("python -m jstr.calibrate", __doc__)
    parser.add_argument("--workdir", type=path, help=WORKDIR_HELP)
    parser.add_argument("--language_model", metavar="WORDS", help=WORDS_HELP)
    add_options(parser)
    several = dict(action="append", type=path, metavar="PATH", required=True)
    parser.add_argument("--data", help="labelled words, not trained on; if repeated, promises hold on each", **several)
    more = dict(action="append", default=[], metavar="NAME=PATH")
    parser.add_argument("--check", help="other labelled words, on which the thresholds are tried", **more)
    parser.add_argument("--labels", help="label file inside PATH")
    parser.add_argument("--protocol", default="alnum36", choices=PROTOCOLS, help=PROTOCOL_HELP)
    parser.add_argument("--out", type=path, metavar="FILE", help="default: calibration.json in the workdir")
    parser.add_argument("--plot", type=path, metavar="FILE", help="draw a reliability diagram, a PNG")
    return parser.parse_args(argv)


def run(argv: list[str] | None = None) -> None:
    """Prints the table and stores the calibration."""
    args = _parse(argv)
    if not args.out and not (args.workdir and os.path.exists(args.workdir)):
        raise InputError("give --workdir=DIR, beside whose checkpoint the calibration is stored, or --out=FILE")
    reader = with_options(load(args.workdir, args.language_model), args)
    data, checks = {f"data {place}": place for place in args.data}, named_paths("--check", args.check)
    sources, notes = open_sets(data | checks, args.labels)
    for line in notes:
        print(line, file=sys.stderr)
    about = dict(protocol=args.protocol, language_model=args.language_model, data=", ".join(data.values()))
    about |= calibration.expected_texts(reader)
    measured = {name: calibration.measure(reader, source, args.protocol, about) for name, source in sources.items()}
    fitted = calibration.Calibration.of_all([measured[name] for name in data], about)
    for name, one in measured.items():
        print(f"{name}:", *one.lines(fitted), sep="\n  ")
    file = Path(args.out) if args.out else calibration.file_of(args.workdir)
    with writing(f"--out={file}", file.parent):
        file.write_text(json.dumps(asdict(fitted)) + "\n", encoding="utf-8")
    print(file)
    if args.plot:
        calibration.plot(fitted, args.plot)
        print(args.plot)


if __name__ == "__main__":
    cli(run)
