"""Reads image files: python -m jstr.predict [--workdir=DIR] [--json] IMAGE|FOLDER ...

Prints `path<TAB>text<TAB>confidence` for each image, or one JSON object a line.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from jstr.core import InputError
from jstr.reader import BATCH_SIZE, Reader, load

SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif", ".ppm", ".pgm", ".jp2"}


def image_files(paths: list[str]) -> Iterator[Path]:
    """The files themselves, and the image files of every folder below the folders, in order of name."""
    for path in map(Path, paths):
        if path.is_dir():
            yield from sorted(p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
        else:
            yield path


def read_files(reader: Reader, paths: Iterator[Path]) -> Iterator[tuple[Path, str | None, float | str]]:
    """(path, text, confidence), or (path, None, what is wrong) for a file that cannot be read; in the order given."""
    waiting: list[tuple[Path, np.ndarray | str]] = []

    def finish():
        good = [pixels for _, pixels in waiting if not isinstance(pixels, str)]
        results = iter(zip(*reader.read_batch(np.stack(good)), strict=True)) if good else iter(())
        for path, pixels in waiting:
            yield (path, None, pixels) if isinstance(pixels, str) else (path, *next(results))
        waiting.clear()

    for path in paths:
        try:
            waiting.append((path, next(reader.pixels(path))))
        except InputError as error:
            waiting.append((path, str(error)))
        if len(waiting) == BATCH_SIZE:
            yield from finish()
    yield from finish()


def run(argv: list[str] | None = None) -> int:
    """Exit status: 0, or 1 when a file could not be read."""
    parser = argparse.ArgumentParser(prog="python -m jstr.predict", description=__doc__, allow_abbrev=False)
    parser.add_argument("--workdir", help="a run, converted weights or a packed file; default: the bundled reader")
    parser.add_argument("--json", action="store_true", help="print JSON objects, one a line")
    parser.add_argument("paths", nargs="+", metavar="IMAGE|FOLDER")
    args = parser.parse_args(argv)
    reader = load(args.workdir)
    count = failed = 0
    for path, text, value in read_files(reader, image_files(args.paths)):
        count += 1
        if text is None:
            failed += 1
            print(value, file=sys.stderr)
        elif args.json:
            print(json.dumps({"path": str(path), "text": text, "confidence": float(value)}, ensure_ascii=False))
        else:
            print(f"{path}\t{text}\t{value:.4f}", flush=True)
    if not count:
        print(f"no image files in {', '.join(args.paths)}", file=sys.stderr)
    return 1 if failed or not count else 0


if __name__ == "__main__":
    from jstr.main import cli

    cli(run)
