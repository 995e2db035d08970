"""Reads image files: python -m jstr.predict [--workdir=DIR] [--json] [--heads] [--attention=FILE] IMAGE|FOLDER ...

Prints `path<TAB>text<TAB>confidence` for each image, or one JSON object a line. With a language model:
python -m jstr.predict --workdir=DIR --words WORD ...
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from jstr.core import InputError
from jstr.inference.reader import SHOWN, WORDS_HELP, Reader, batch_size, load

SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif", ".ppm", ".pgm", ".jp2"}


def image_files(paths: list[str]) -> Iterator[Path]:
    """The files themselves, and the image files of every folder below the folders, in order of name."""
    for path in map(Path, paths):
        if path.is_dir():
            yield from sorted(p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
        else:
            yield path


def read_files(reader: Reader, paths: Iterator[Path], read=None) -> Iterator[tuple[Path, str | None, float | str]]:
    """(path, text, confidence), or (path, None, what is wrong) for a file that cannot be read; in the order given.

    read: instead of reader.read_batch.
    """
    read = read or reader.read_batch
    waiting: list[tuple[Path, np.ndarray | str]] = []

    def finish():
        good = [pixels for _, pixels in waiting if not isinstance(pixels, str)]
        results = iter(zip(*read(np.stack(good)), strict=True)) if good else iter(())
        for path, pixels in waiting:
            yield (path, None, pixels) if isinstance(pixels, str) else (path, *next(results))
        waiting.clear()

    for path in paths:
        try:
            waiting.append((path, next(reader.pixels(path))))
        except InputError as error:
            waiting.append((path, str(error)))
        if len(waiting) == batch_size():
            yield from finish()
    yield from finish()


def _read_heads(reader: Reader, images: np.ndarray) -> tuple[list[dict[str, str]], np.ndarray]:
    """For every image what each head reads, by name, and the confidence of the last."""
    found = reader.read_heads(images)
    texts = zip(*(texts for texts, _ in found.values()), strict=True)
    return [dict(zip(found, row, strict=True)) for row in texts], found[reader.heads[-1]][1]


def draw_attention(reader: Reader, paths: list[str], file: str) -> None:
    """Writes a picture of where the first images that can be read are looked at, character by character.

    Raises:
      InputError: a recogniser without attention, no image that can be read, or a file that cannot be written.
    """
    pixels = []
    for path in image_files(paths):
        with contextlib.suppress(InputError):  # whoever reads them says so
            pixels.append(next(reader.pixels(path)))
        if len(pixels) == SHOWN:
            break
    if not pixels:
        raise InputError(f"--attention: no image that can be read in {', '.join(paths)}")
    try:
        Image.fromarray(reader.attention_sheet(np.stack(pixels))).save(file)
    except (OSError, ValueError) as error:
        raise InputError(f"--attention={file}: {error}") from error


def run(argv: list[str] | None = None) -> int:
    """Exit status: 0, or 1 when a file could not be read."""
    parser = argparse.ArgumentParser(prog="python -m jstr.predict", description=__doc__, allow_abbrev=False)
    parser.add_argument("--workdir", help="a run, converted weights or a packed file; default: the bundled reader")
    parser.add_argument("--language_model", metavar="WORDS", help=WORDS_HELP)
    parser.add_argument("--json", action="store_true", help="print JSON objects, one a line")
    parser.add_argument("--heads", action="store_true", help="ABINet: show what vision, language and fusion read")
    parser.add_argument("--attention", metavar="FILE", help="draw where the first images are looked at, a PNG")
    parser.add_argument("--words", action="store_true", help="a language model: correct words given instead of images")
    parser.add_argument("paths", nargs="+", metavar="IMAGE|FOLDER")
    args = parser.parse_args(argv)
    reader = load(args.workdir, args.language_model)
    if args.words:
        for word, text, value in zip(args.paths, *reader.correct(args.paths), strict=True):
            print(f"{word}\t{text}\t{value:.4f}")
        return 0
    if args.heads and not reader.heads:
        raise InputError("--heads: this recogniser has one head only; abinet has three")
    if args.attention:
        draw_attention(reader, args.paths, args.attention)
    count = failed = 0
    read = functools.partial(_read_heads, reader) if args.heads else None
    for path, text, value in read_files(reader, image_files(args.paths), read):
        count += 1
        if text is None:
            failed += 1
            print(value, file=sys.stderr)
        elif args.json:
            said = {"text": list(text.values())[-1], "heads": text} if args.heads else {"text": text}
            row = {"path": str(path), **said, "confidence": float(value)}
            print(json.dumps(row, ensure_ascii=False))
        else:
            said = " -> ".join(f"{head} {part}" for head, part in text.items()) if args.heads else text
            print(f"{path}\t{said}\t{value:.4f}", flush=True)
    if not count:
        print(f"no image files in {', '.join(args.paths)}", file=sys.stderr)
    return 1 if failed or not count else 0


if __name__ == "__main__":
    from jstr.cli import cli

    cli(run)
