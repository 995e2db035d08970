"""Reads image files: python -m jstr.predict [--workdir=DIR] [--json] [--heads] [--attention=FILE] IMAGE|FOLDER ...

Prints `path<TAB>text<TAB>confidence` for each image, or one JSON object a line; unusual characters of a path are
escaped. Folders, label files, tars, LMDBs and TFDS data sets are opened as in training. What is left out or cannot be
read is said on stderr. With --photos, whole photographs: their words are found (see detect), and each line is
`path<TAB>x1,y1,...,x4,y4<TAB>text<TAB>confidence`; with --json, one object for each photograph.
With a language model: python -m jstr.predict --workdir=DIR --words WORD ...
"""

from __future__ import annotations

import argparse
import json
import sys

from jstr.cli import Parser, cli, path
from jstr.data.photos.finder import Finder, FindOptions
from jstr.data.worker_processes import core_count
from jstr.inference import calibration
from jstr.inference.attention import save_attention
from jstr.inference.crops import DOUBTFUL, TURNS, characters_of
from jstr.inference.details import Character
from jstr.inference.guide import add_options, with_options
from jstr.inference.image_files import Named, find_images, why_broken
from jstr.inference.photographs import add_split, as_json, open_photograph, open_photographs, read_photo
from jstr.inference.read_source import Answer, read_source
from jstr.inference.reader import WORDS_HELP, WORKDIR_HELP, Reader, load
from jstr.text.messages import InputError, escape

NOT_WITH = {
    "--words": ("photos", "json", "precision", "calibration", "turn", "heads", "attention", "split"),
    "--photos": ("turn", "heads", "attention"),
    "images of words": ("split",),
}


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = Parser("python -m jstr.predict", __doc__)
    parser.add_argument("--workdir", type=path, help=WORKDIR_HELP)
    parser.add_argument("--language_model", metavar="WORDS", help=WORDS_HELP)
    add_options(parser)
    parser.add_argument("--json", action="store_true", help="print JSON objects, one a line")
    doubtful = "mark as doubtful what is below the threshold of this precision; see jstr calibrate"
    parser.add_argument("--precision", type=float, metavar="P", help=doubtful)
    kept = "what jstr calibrate wrote; default: that of the workdir"
    parser.add_argument("--calibration", type=path, metavar="FILE", help=kept)
    parser.add_argument("--turn", choices=TURNS, default="never", help="auto: also read tall or doubtful crops turned")
    parser.add_argument("--heads", action="store_true", help="ABINet: show what vision, language and fusion read")
    parser.add_argument(
        "--attention", type=path, metavar="FILE", help="draw where the first images are looked at, a PNG"
    )
    parser.add_argument("--words", action="store_true", help="a language model: correct words given instead of images")
    parser.add_argument("--photos", action="store_true", help="photographs are given: find their words and read them")
    add_split(parser, default=None)
    parser.add_argument("paths", nargs="+", metavar="IMAGE|FOLDER")
    args = parser.parse_args(argv)
    mode = "--words" if args.words else "--photos" if args.photos else "images of words"
    for name in NOT_WITH[mode]:
        if getattr(args, name) != parser.get_default(name):
            raise InputError(f"--{name} does not apply to {mode}; leave it out")
    if args.calibration and args.precision is None:
        raise InputError("--calibration needs --precision=P")
    return args


def run(argv: list[str] | None = None) -> int:
    """Exit status: 0, or 1 when a file could not be read."""
    args = _parse(argv)
    reader = with_options(load(args.workdir, args.language_model), args)
    if args.words:
        return _correct(reader, args.paths)
    if args.photos:
        return _read_photos(reader, args)
    if args.heads and not reader.heads:
        raise InputError("--heads: this recogniser has one head only; abinet has three")
    found = list(find_images(args.paths))
    if args.attention:
        _draw_attention(reader, found, args.attention)
    failed = 0
    for named in found:
        if isinstance(named, InputError):
            failed += 1
            print(escape(str(named)), file=sys.stderr)
        else:
            failed += _read(reader, named, args)
    return 1 if failed else 0


def _draw_attention(reader: Reader, found: list[Named | InputError], file: str) -> None:
    """Of the first source."""
    for named in found:
        if isinstance(named, Named):
            save_attention(reader, named.source, file)
            return
    raise InputError(f"--attention: {found[0]}")


def _read(reader: Reader, named: Named, args: argparse.Namespace) -> int:
    """Prints what is read in a source; returns how many images cannot be read."""
    failed = 0
    for note in named.source.notes:
        print(note, file=sys.stderr)
    least = _least(reader, args)
    for reading in read_source(reader, named.source, heads=args.heads, checked=True, details=args.json, turn=args.turn):
        where = named.path(reading.index, reading.key)
        if reading.answer is None:
            failed += 1
            print(escape(why_broken(named, reading.index, reading.key, reader.spec)), file=sys.stderr)
            continue
        sure = least is None or reading.answer.confidence >= least
        print((_json_line if args.json else _line)(where, reading.answer, sure), flush=True)
        upright = reading.answer.turned % 2 == 0 and not reading.answer.stacked
        characters, limit = characters_of(reading.aspect if upright else 1 / reading.aspect), reader.capacity
        in_parts = reading.answer.in_parts  # where a CTC reader reads better so; other readers cannot
        lost = characters > 2 * limit or (characters > limit and reading.answer.confidence < DOUBTFUL)
        if in_parts or (lost and not reader.charset.layout.is_ctc):
            print(_too_wide(where, characters, limit, in_parts), file=sys.stderr)
    return failed


def _read_photos(reader: Reader, args: argparse.Namespace) -> int:
    """Prints the words of photographs in reading order; returns 1 when one cannot be read."""
    photographs, notes = open_photographs(args.paths)
    failed, least = 0, _least(reader, args)
    for note in notes:
        print(escape(note), file=sys.stderr)
    finder = Finder(FindOptions.make(dict(split=args.split or "words"), "--"), threads=core_count())
    for photograph in photographs:
        try:
            pixels = open_photograph(photograph)
        except InputError as error:
            failed += 1
            print(escape(str(error)), file=sys.stderr)
            continue
        words = read_photo(reader, pixels, finder)
        if not words:
            print(escape(f"{photograph.name}: no words found"), file=sys.stderr)
        if args.json:
            print(json.dumps(as_json(photograph.name, pixels, words, least)), flush=True)
        for word in () if args.json else words:
            box = ",".join(f"{value:.0f}" for value in word.box.ravel())
            doubt = "" if least is None or word.confidence >= least else "\tdoubtful"
            print(f"{escape(photograph.name)}\t{box}\t{word.text}\t{word.confidence:.4f}{doubt}", flush=True)
    return 1 if failed or not photographs else 0


def _too_wide(where: str, characters: float, limit: int, in_parts: bool) -> str:
    room = f"room for {characters:.0f} characters, and this reader can tell about {limit} apart"
    return f"{escape(where)}: too wide: {room}; {'read in parts' if in_parts else 'cut it into words'}"


def _correct(reader: Reader, words: list[str]) -> int:
    for word, text, value in zip(words, *reader.correct(words), strict=True):
        print(f"{word}\t{text}\t{value:.4f}")
    return 0


def _least(reader: Reader, args: argparse.Namespace) -> float | None:
    """The confidence from which on words are right with --precision; None: no such wish. Raises InputError."""
    if args.precision is None:
        return None
    if not 0 < args.precision < 1:
        raise InputError(f"--precision={args.precision}: give a number between 0 and 1")
    if not args.calibration and not args.workdir:
        raise InputError("--precision needs --calibration=FILE or the --workdir of a run, measured by jstr calibrate")
    found = calibration.read(args.calibration or calibration.file_of(args.workdir))
    for line in calibration.differences(found.about, calibration.expected_texts(reader)):
        print(f"--precision: {line}", file=sys.stderr)
    least = found.threshold(args.precision)
    if least is None:
        raise InputError(
            f"--precision={args.precision}: no confidence promises it on the words of {found.about['data']}"
        )
    return least


def _line(where: str, answer: Answer, sure: bool) -> str:
    heads = {head: text for head, (text, _) in answer.heads.items()}
    if heads and answer.text not in heads.values():  # which follows a pattern
        heads["pattern"] = answer.text
    text = " -> ".join(f"{head} {text}" for head, text in heads.items()) or answer.text
    return f"{escape(where)}\t{text}\t{answer.confidence:.4f}{'' if sure else chr(9) + 'doubtful'}"


def _rounded(character: Character) -> list[str | float | None]:
    return [character.character, *(None if x is None else round(x, 4) for x in character[1:])]


def _json_line(where: str, answer: Answer, sure: bool) -> str:
    heads = {"heads": {head: text for head, (text, _) in answer.heads.items()}} if answer.heads else {}
    row = {"path": where, "text": answer.text, **heads, "confidence": answer.confidence}
    if not sure:
        row["doubtful"] = True
    if answer.turned:
        row["turned"] = 90 * answer.turned
    if answer.stacked:
        row["stacked"] = True
    if answer.details:
        row["characters"] = [_rounded(c) for c in answer.details.characters]
        row["alternatives"] = [[text, round(p, 6)] for text, p in answer.details.alternatives]
    return json.dumps(row)


if __name__ == "__main__":
    cli(run)
