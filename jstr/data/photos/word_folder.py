"""A folder of photographs to a folder of word crops, on all cores. It may be interrupted: what is done stays done."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from jstr.data.decode import MAX_PIXELS, decode_file, image_size
from jstr.data.photos import words_file
from jstr.data.photos.finder import Finder, FindOptions
from jstr.data.photos.words_file import FoundWord
from jstr.data.sources.files import DONE
from jstr.data.worker_processes import core_count
from jstr.text.messages import InputError, duration

_JPEG = (cv2.IMWRITE_JPEG_QUALITY, 95, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444)


class Photograph(NamedTuple):
    """name: its path, as the user gave it. read: the bytes of its file; raises OSError or InputError."""

    name: str
    read: Callable[[], bytes]


class Found(NamedTuple):
    """words: of all photographs in order. broken: (photograph, why). reused: photographs that were done already.

    earlier: photographs found into the same folder by other calls; their words come last, after `own` words.
    """

    words: list[FoundWord]
    broken: list[tuple[str, str]]
    reused: int
    earlier: int
    own: int


def decode_photograph(data: bytes, name: str) -> np.ndarray:
    """RGB uint8 [H, W, 3], turned as its EXIF says. Raises InputError: what is wrong with the file."""
    pixels = decode_file(data, 3)
    if pixels is not None:
        return pixels
    if not data:
        raise InputError(f"{name}: an empty file")
    shape = image_size(data)
    if shape and shape[0] * shape[1] > MAX_PIXELS:
        most = f"{MAX_PIXELS / 1e6:.0f} million pixels can be decoded"
        raise InputError(f"{name}: {shape[0]} x {shape[1]} pixels are too many, {most}; make it smaller")
    raise InputError(f"{name}: not an image that can be decoded, or cut off")


def find_words(
    photographs: Sequence[Photograph],
    out: str | os.PathLike,
    options: FindOptions | None = None,
    jobs: int | None = None,
    report: Callable[[str], None] | None = None,
) -> Found:
    """Writes out/NAME-HASH/001.jpg, ... for each photograph, and out/words.tsv without texts.

    photographs: of different files, see `real_path`. jobs: threads; default: one for each core. report: gets a line on
    the progress, at most one a second.

    Raises:
      InputError: the optional packages are missing, or `out` cannot be written.
    """
    options, out = options or FindOptions(), Path(out)
    jobs = jobs or core_count()
    try:
        (out / DONE).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{out}: {error.strerror}; give a folder that can be written") from error
    several = len(photographs) > 1
    finder = Finder(options, threads=1 if several else jobs)
    results = _all(photographs, out, finder, jobs if several else 1, report or (lambda line: None))
    words, broken = [], []
    for photograph, (rows, why, _) in zip(photographs, results, strict=True):
        words += rows
        if why:
            broken.append((photograph.name, why))
    others = _found_earlier(out, {_key(photograph.name) for photograph in photographs})
    own = len(words)
    words += [word for rows in others for word in rows]
    words_file.write(out / words_file.NAME, words, read=False)
    return Found(words, broken, sum(result[2] for result in results), len(others), own)


Result = tuple[list[FoundWord], str, bool]  # words, why it is broken or "", whether it was done already


def _all(
    photographs: Sequence[Photograph], out: Path, finder: Finder, jobs: int, report: Callable[[str], None]
) -> list[Result]:
    results: list[Result | None] = [None] * len(photographs)
    waiting, running = iter(enumerate(photographs)), {}
    start, said, done, found = time.monotonic(), 0.0, 0, 0
    pool = ThreadPoolExecutor(jobs)
    try:
        while True:
            while len(running) < 2 * jobs and (following := next(waiting, None)):
                running[pool.submit(_one, following[1], out, finder)] = following[0]
            if not running:
                break
            finished: Iterable[Future] = wait(running, return_when=FIRST_COMPLETED).done
            for future in finished:
                result = future.result()
                results[running.pop(future)] = result
                done, found = done + 1, found + len(result[0])
            now = time.monotonic()
            if now - said > 1:
                said = now
                left = (now - start) / done * (len(photographs) - done)
                report(f"{done:,} of {len(photographs):,} photographs, {found:,} words, {duration(left)} left")
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
    return [result for result in results if result is not None]


def _one(photograph: Photograph, out: Path, finder: Finder) -> Result:
    try:
        data = photograph.read()
    except (OSError, ValueError) as error:
        return [], f"{photograph.name}: {getattr(error, 'strerror', None) or error}", False
    key = _key(photograph.name)
    note = out / DONE / f"{key}.json"
    made_by = {"file": hashlib.sha256(data).hexdigest(), "options": asdict(finder.options)}
    earlier = _load_note(note)
    if earlier and earlier["by"] == made_by and (out / earlier["folder"]).is_dir():
        if earlier["photograph"] != photograph.name:  # typed in another way this time
            earlier["photograph"] = photograph.name
            _save_note(note, earlier)
        return _rows(earlier), "", True
    try:
        pixels = decode_photograph(data, photograph.name)
    except InputError as error:
        return [], str(error), False
    boxes = finder.find(pixels)
    folder = f"{_safe(photograph.name)}-{key}"
    _write_crops(out, folder, finder.crops(pixels, boxes))
    rows = [[[round(float(v), 1) for v in box.corners.ravel()], round(box.score, 3)] for box in boxes]
    value = {"photograph": photograph.name, "folder": folder, "by": made_by, "words": rows}
    _save_note(note, value)
    return _rows(value), "", False


def _save_note(note: Path, value: dict) -> None:
    part = note.with_suffix(".part")
    part.write_text(json.dumps(value))
    os.replace(part, note)


def _write_crops(out: Path, folder: str, crops: list[np.ndarray]) -> None:
    """All crops of a photograph at once, or none."""
    part = out / f".{folder}.part"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    for number, crop in enumerate(crops, 1):
        _, data = cv2.imencode(".jpg", cv2.cvtColor(crop, cv2.COLOR_RGB2BGR), _JPEG)
        (part / f"{number:03d}.jpg").write_bytes(data.tobytes())
    shutil.rmtree(out / folder, ignore_errors=True)
    os.replace(part, out / folder)


def _rows(note: dict) -> list[FoundWord]:
    return [
        FoundWord(f"{note['folder']}/{number:03d}.jpg", note["photograph"], tuple(corners), score)
        for number, (corners, score) in enumerate(note["words"], 1)
    ]


def _found_earlier(out: Path, keys: set[str]) -> list[list[FoundWord]]:
    """The words of photographs that an earlier call found into the same folder."""
    notes = [_load_note(path) for path in sorted((out / DONE).glob("*.json")) if path.stem not in keys]
    return [_rows(note) for note in notes if note and (out / note["folder"]).is_dir()]


def _load_note(path: Path) -> dict | None:
    try:
        note = json.loads(path.read_text())
        return note if {"photograph", "folder", "by", "words"} <= set(note) else None
    except (OSError, ValueError, TypeError):
        return None


def real_path(name: str) -> str:
    """By which a photograph is known, however its path was typed and from whichever folder."""
    return name if name.startswith("tfds:") else os.path.realpath(os.path.expanduser(name))


def _key(name: str) -> str:
    return hashlib.sha256(os.fsencode(real_path(name))).hexdigest()[:8]


def _safe(name: str) -> str:
    """The start of a file's name, without what is awkward in a path."""
    return re.sub(r"[^\w-]+", "_", Path(name).stem.encode("ascii", "replace").decode())[:40].strip("_") or "photograph"


class ProgressLine:
    """A line on stderr that is written over, or, where that is no terminal, one every ten seconds."""

    def __init__(self) -> None:
        self._width, self._said = 0, time.monotonic()

    def __call__(self, line: str) -> None:
        if sys.stderr.isatty():
            print(f"\r{line:<{self._width}}", end="", file=sys.stderr, flush=True)
            self._width = len(line)
        elif time.monotonic() - self._said > 10:
            self._said = time.monotonic()
            print(line, file=sys.stderr, flush=True)

    def end(self) -> None:
        """Ends the line."""
        if self._width:
            print(file=sys.stderr)
