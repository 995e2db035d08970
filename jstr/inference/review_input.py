"""The words that a review is made of: what a run, predict or detect has written."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import NamedTuple

from jstr.data.photos import words_file
from jstr.data.source_config import resolve
from jstr.text.messages import InputError, unescape

PREDICTIONS = "predictions.tsv"


class Read(NamedTuple):
    """file: of the image, absolute. text: None where it has not been read. source: where it comes from."""

    file: str
    text: str | None
    confidence: float
    source: str


class Input(NamedTuple):
    """workdir: of the run that has read the words; None where that is not known."""

    words: list[Read]
    workdir: str | None


def find_words(given: str, images: str | None = None) -> Input:
    """The words of a workdir, a predictions.tsv or a words.tsv. images: where the paths of a predictions.tsv start.

    Raises:
      InputError: not one of these, or a damaged line.
    """
    path = Path(given)
    if path.is_dir():
        names = [name for name in (PREDICTIONS, words_file.NAME) if (path / name).is_file()]
        if not names:
            raise InputError(
                f"{given} holds no {PREDICTIONS} and no {words_file.NAME}; give a run that has read images"
            )
        path = path / names[0]
    try:
        with path.open(encoding="utf-8") as stream:
            header = stream.readline().rstrip("\n").split("\t")
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text; give predictions.tsv or words.tsv") from error
    if tuple(header[:2]) == words_file.COLUMNS[:2]:
        return Input(_found_words(path), None)
    run = path.parent if (path.parent / "config.json").is_file() else None
    folder = images or (_images_of(run) if run else None)
    return Input(_predictions(path, folder), str(run) if run else None)


def _found_words(path: Path) -> list[Read]:
    words = []
    for word in words_file.load(path):
        file = os.path.abspath(path.parent / word.crop)
        words.append(
            Read(file, word.text, word.confidence, f"{word.photograph} at {word.corners[0]:.0f}, {word.corners[1]:.0f}")
        )
    return words


def _images_of(run: Path) -> str | None:
    try:
        config = json.loads((run / "config.json").read_text())
        return resolve(config["images"], config["data_root"]) if config["images"] else None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{run / 'config.json'} is damaged ({error}); give --images=FOLDER") from error


def _predictions(path: Path, folder: str | None) -> list[Read]:
    """Lines of path, text and confidence; two more columns say where a word comes from.

    A single one more is the mark of `predict --precision`.
    """
    if folder is not None and not os.path.exists(folder):
        raise InputError(f"{folder} does not exist from here; give --images=FOLDER, where the images are")
    if folder is not None and not os.path.isdir(folder):
        raise InputError(f"{folder}: the review shows image files of a folder; unpack them, and give --images=FOLDER")
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text ({error.reason} at byte {error.start}); save it as UTF-8") from None
    words = []
    for number, line in enumerate(lines, 1):
        cells = line.rstrip("\r").split("\t")
        if not line.strip() or cells[:2] == ["path", "text"]:
            continue
        try:
            name, text, confidence = unescape(cells[0]), cells[1], float(cells[2])
        except (IndexError, ValueError):
            raise InputError(f"{path} line {number}: not path, text and confidence in {line[:80]!r}") from None
        places = [folder] if folder else ["", str(path.parent)]
        files = [os.path.abspath(os.path.join(place, os.path.expanduser(name))) for place in places]
        file = next((f for f in files if os.path.isfile(f)), files[0])
        source = " at ".join(unescape(c) for c in cells[3:5]) if len(cells) > 4 and cells[3] else name
        words.append(Read(file, text, confidence, source))
    return words
