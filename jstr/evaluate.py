"""Measures a workdir on word images by the field's protocol.

python -m jstr.evaluate [--workdir=DIR] --data=NAME=PATH [--data=...]
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jstr.cli import Parser, cli, named_paths, path
from jstr.inference.attention import save_attention
from jstr.inference.crops import TURNS
from jstr.inference.guide import add_options, with_options
from jstr.inference.reader import WORDS_HELP, WORKDIR_HELP, Reader, load
from jstr.inference.score import as_json, check_scorable, open_sets, remarks, score
from jstr.interop import weights
from jstr.text.messages import InputError
from jstr.text.metrics import PROTOCOL_HELP, PROTOCOLS, Score, table


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = Parser("python -m jstr.evaluate", __doc__)
    parser.add_argument("--workdir", type=path, help=WORKDIR_HELP)
    parser.add_argument("--language_model", metavar="WORDS", help=WORDS_HELP)
    add_options(parser)
    parser.add_argument(
        "--data", action="append", required=True, metavar="NAME=PATH", help="a labelled set; may be given many times"
    )
    parser.add_argument("--labels", help="label file inside every PATH, such as labels_classic.tsv")
    parser.add_argument("--protocol", default="alnum36", choices=PROTOCOLS, help=PROTOCOL_HELP)
    parser.add_argument("--turn", choices=TURNS, default="never", help="auto: also read tall or doubtful crops turned")
    parser.add_argument("--batch_size", type=int, help="default: 16 on a CPU, else 64")
    parser.add_argument(
        "--attention", type=path, metavar="FILE", help="draw where the first words are looked at, a PNG"
    )
    parser.add_argument("--json", type=path, metavar="FILE", help="also write the figures there")
    return parser.parse_args(argv)


def run(argv: list[str] | None = None) -> None:
    """Prints the table of scores, and remarks on stderr."""
    args = _parse(argv)
    sets = named_paths("--data", args.data)
    if args.batch_size is not None and args.batch_size < 1:
        raise InputError(f"--batch_size={args.batch_size}: give a positive number")
    if args.json and not Path(args.json).absolute().parent.is_dir():
        raise InputError(f"--json={args.json}: its folder does not exist")
    reader = with_options(load(args.workdir, args.language_model), args)
    sources, notes = open_sets(sets, args.labels)
    if args.attention and not reader.has_attention:
        raise InputError("--attention: this recogniser has no position attention to show; ABINet has")
    scores, start = {}, time.monotonic()
    for line in notes:
        print(line, file=sys.stderr)
    for name, source in sources.items():  # all of them, before any is read
        check_scorable(reader.charset, source, name, args.protocol)
    for name, source in sources.items():
        scores[name] = score(reader, source, name, args.protocol, args.batch_size, args.turn)
        for line in remarks(name, scores[name]):
            print(line, file=sys.stderr)
    print(table(scores))
    print(intervals(scores))
    if args.attention:
        save_attention(reader, next(iter(sources.values())), args.attention)
    if args.json:
        _write_json(args, reader, scores, time.monotonic() - start)


def intervals(scores: Mapping[str, Score]) -> str:
    """The accuracy that is expected of more such words."""
    parts = [f"{name} {low:.1f} to {high:.1f}" for name, s in scores.items() for low, high in [s.interval]]
    return f"accuracy, 95 % confidence: {', '.join(parts)}"


def _write_json(args: argparse.Namespace, reader: Reader, scores: Mapping[str, Score], seconds: float) -> None:
    about: dict[str, Any] = {
        "workdir": args.workdir or weights.default()[0],
        "step": reader.step,
        "language_model": args.language_model or "as the config says",
        **({"pattern": args.pattern, "allow": args.allow, "checksum": args.checksum} if reader.rules.pattern else {}),
        "protocol": args.protocol,
        "labels": args.labels or "labels.tsv",
        "seconds": round(seconds, 1),
    }
    Path(args.json).write_text(json.dumps(as_json(scores, **about), indent=2) + "\n")


if __name__ == "__main__":
    cli(run)
