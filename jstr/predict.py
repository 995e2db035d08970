"""Reads image files: python -m jstr.predict [--workdir=DIR] [--json] [--heads] [--attention=FILE] IMAGE|FOLDER ...

Prints `path<TAB>text<TAB>confidence` for each image, or one JSON object a line. With a language model:
python -m jstr.predict --workdir=DIR --words WORD ...
"""

from __future__ import annotations

import argparse
import json
import sys

from jstr.cli import Parser, cli, path
from jstr.core import InputError
from jstr.inference.attention import save_attention
from jstr.inference.image_files import ImageFiles
from jstr.inference.read_source import Reading, read_source
from jstr.inference.reader import WORDS_HELP, Reader, load


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = Parser("python -m jstr.predict", __doc__)
    parser.add_argument(
        "--workdir", type=path, help="a run, converted weights or a packed file; default: the bundled reader"
    )
    parser.add_argument("--language_model", metavar="WORDS", help=WORDS_HELP)
    parser.add_argument("--json", action="store_true", help="print JSON objects, one a line")
    parser.add_argument("--heads", action="store_true", help="ABINet: show what vision, language and fusion read")
    parser.add_argument(
        "--attention", type=path, metavar="FILE", help="draw where the first images are looked at, a PNG"
    )
    parser.add_argument("--words", action="store_true", help="a language model: correct words given instead of images")
    parser.add_argument("paths", nargs="+", metavar="IMAGE|FOLDER")
    return parser.parse_args(argv)


def run(argv: list[str] | None = None) -> int:
    """Exit status: 0, or 1 when a file could not be read."""
    args = _parse(argv)
    reader = load(args.workdir, args.language_model)
    if args.words:
        return _correct(reader, args.paths)
    if args.heads and not reader.heads:
        raise InputError("--heads: this recogniser has one head only; abinet has three")
    files = ImageFiles.find(args.paths)
    if not len(files):
        print(f"no image files in {', '.join(args.paths)}", file=sys.stderr)
        return 1
    if args.attention:
        save_attention(reader, files, args.attention)
    failed = 0
    for reading in read_source(reader, files, heads=args.heads):
        if reading.answer is None:
            failed += 1
            print(files.problem(reading.index, reader), file=sys.stderr)
        else:
            print(_json_line(reading) if args.json else _line(reading), flush=True)
    return 1 if failed else 0


def _correct(reader: Reader, words: list[str]) -> int:
    for word, text, value in zip(words, *reader.correct(words), strict=True):
        print(f"{word}\t{text}\t{value:.4f}")
    return 0


def _line(reading: Reading) -> str:
    answer = reading.answer
    text = " -> ".join(f"{head} {text}" for head, (text, _) in answer.heads.items()) or answer.text
    return f"{reading.key}\t{text}\t{answer.confidence:.4f}"


def _json_line(reading: Reading) -> str:
    answer = reading.answer
    heads = {"heads": {head: text for head, (text, _) in answer.heads.items()}} if answer.heads else {}
    row = {"path": reading.key, "text": answer.text, **heads, "confidence": answer.confidence}
    return json.dumps(row)


if __name__ == "__main__":
    cli(run)
