"""Finds the words in photographs and cuts them out.

python -m jstr.detect PHOTO|FOLDER ... --out=FOLDER [--read] [--draw=FOLDER]

FOLDER gets the word crops and words.tsv: crop, photograph, the four corners of its box (x1 y1 ... x4 y4, clockwise from
where the text begins) and the detector's score, in reading order; with --read, text and confidence too. The command may
be interrupted; the same command continues. More photographs may be found into the same folder. Needs rapidocr and
onnxruntime, see the extra `photos`.
"""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from jstr.cli import Parser, cli, path
from jstr.data.photos import words_file
from jstr.data.photos.word_folder import Found, Photograph, ProgressLine, decode_photograph, find_words
from jstr.data.photos.words_file import FoundWord
from jstr.inference.image_files import ImageFiles
from jstr.inference.photographs import add_find_options, find_options, open_photographs
from jstr.text.messages import InputError, escape

if TYPE_CHECKING:
    from jstr.inference.reader import Reader


def _parse(argv: list[str] | None) -> Namespace:
    parser = Parser("python -m jstr.detect", __doc__)
    parser.add_argument("--out", type=path, required=True, metavar="FOLDER", help="where crops and words.tsv go")
    parser.add_argument("--read", action="store_true", help="also read the words")
    parser.add_argument("--workdir", type=path, help="the reader of --read; default: the strongest that is installed")
    parser.add_argument("--language_model", metavar="WORDS", help="as for predict")
    parser.add_argument("--draw", type=path, metavar="FOLDER", help="draw what is found on the photographs")
    parser.add_argument("--jobs", type=int, help="photographs at a time; default: one for each core")
    add_find_options(parser)
    parser.add_argument("paths", nargs="+", metavar="PHOTO|FOLDER")
    args = parser.parse_args(argv)
    if args.jobs is not None and args.jobs < 1:
        raise InputError(f"--jobs={args.jobs}: give a positive number")
    return args


def run(argv: list[str] | None = None) -> int:
    """Exit status: 0, 1 when a photograph could not be read, or 130 when it was interrupted."""
    args = _parse(argv)
    options = find_options(args)
    photographs, notes = open_photographs(args.paths, *filter(None, [args.out, args.draw]))
    for note in notes:
        print(escape(note), file=sys.stderr)
    if not photographs:
        raise InputError("no photographs there (what lies in --out and --draw is none); give image files, or folders")
    progress = ProgressLine()
    try:
        found = find_words(photographs, args.out, options, args.jobs, progress)
        progress.end()
        words = _read(args, found) if args.read else found.words
    except KeyboardInterrupt:
        print("\ninterrupted; the same command continues", file=sys.stderr)
        return 130
    _tell(args, photographs, found)
    if args.draw:
        _draw(args.draw, photographs, words[: found.own])
    return 1 if found.broken else 0


def _read(args: Namespace, found: Found) -> list[FoundWord]:
    from jstr.inference.reader import load  # jax is slow to start, and finding needs none

    words = _read_crops(load(args.workdir, args.language_model), args.out, found.words)
    words_file.write(os.path.join(args.out, words_file.NAME), words, read=True)
    return words


def _read_crops(reader: Reader, folder: str, words: Sequence[FoundWord]) -> list[FoundWord]:
    """The words of a words.tsv in `folder`, with text and confidence, in their order."""
    from jstr.inference.read_source import read_source  # as late as jax

    files = ImageFiles([os.path.join(folder, word.crop) for word in words])
    answers = [reading.answer for reading in read_source(reader, files, checked=True)]
    gone = [word.crop for word, answer in zip(words, answers, strict=True) if answer is None]
    if gone:
        raise InputError(f"{os.path.join(folder, gone[0])}: gone or damaged; remove {folder} and find the words again")
    return [replace(w, text=a.text, confidence=a.confidence) for w, a in zip(words, answers, strict=True)]


def _tell(args: Namespace, photographs: Sequence[Photograph], found: Found) -> None:
    for _, why in found.broken:
        print(escape(why), file=sys.stderr)
    whole = len(photographs) - len(found.broken)
    words = found.words[: found.own]
    done = f" ({found.reused:,} done earlier)" if found.reused else ""
    print(f"{os.path.join(args.out, words_file.NAME)}: {len(words):,} words in {whole:,} photographs{done}")
    if found.earlier:
        more = len(found.words) - len(words)
        print(f"and {more:,} words of {found.earlier:,} photographs that were found there before")
    empty = whole - len({word.photograph for word in words})
    if empty:
        print(f"{empty:,} photographs without words")


def _draw(folder: str, photographs: Sequence[Photograph], words: Sequence[FoundWord]) -> None:
    """A drawing of each photograph that has words."""
    from jstr.data.photos.draw import draw_words

    Path(folder).mkdir(parents=True, exist_ok=True)
    by_name = {photograph.name: photograph for photograph in photographs}
    for name, rows in groupby(words, lambda word: word.photograph):
        some = list(rows)
        pixels = decode_photograph(by_name[name].read(), name)
        boxes = [np.float32(word.corners).reshape(4, 2) for word in some]
        texts = None if some[0].text is None else [word.text or "" for word in some]
        drawn = draw_words(pixels, boxes, texts, [word.confidence for word in some])
        stem = os.path.dirname(some[0].crop)
        Image.fromarray(drawn).save(Path(folder) / f"{stem}.jpg", quality=88)
    print(f"{folder}: {len({word.photograph for word in words}):,} drawings")


if __name__ == "__main__":
    cli(run)
