"""Reads whole photographs: the words are found by a detector (jstr/data/photos) and read by a reader."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from jstr.data.decode import read_regular_file
from jstr.data.images import RGB
from jstr.data.photos.finder import Finder, FindOptions
from jstr.data.photos.word_folder import Photograph, decode_photograph, real_path
from jstr.data.sources.files import FolderSource
from jstr.data.sources.label_notes import few_names
from jstr.data.worker_processes import core_count
from jstr.inference.image_files import ImageFiles, Named, find_images
from jstr.text.messages import InputError


class ReadsWords(Protocol):
    """A Reader, as far as it is needed here."""

    def read(self, images: Any) -> tuple[list[str], np.ndarray]: ...


class ReadWord(NamedTuple):
    """A word of a photograph. box: float32 [4, 2], x and y in pixels, clockwise from where the text begins, at its top.

    confidence: of the reader. score: of the detector. Both 0..1.
    """

    text: str
    confidence: float
    box: np.ndarray
    score: float


def open_photographs(paths: Iterable[str], *outs: str) -> tuple[list[Photograph], list[str]]:
    """(photographs at paths, notes for the user). Folders, tars and other sources are opened as in training.

    Paths may overlap: each photograph comes once. outs: folders whose contents are not photographs, where they lie in
    one of the paths.
    """
    photographs: dict[str, Photograph] = {}
    notes: list[str] = []
    twice: list[str] = []
    written = {Path(real_path(out)) for out in outs}
    for named in find_images(paths):
        if isinstance(named, InputError):
            notes.append(str(named))
            continue
        notes += named.source.notes
        for photograph in _photographs(named):
            place = real_path(photograph.name)
            if place in photographs:
                twice.append(photograph.name)
            elif written.isdisjoint(Path(place).parents):
                photographs[place] = photograph
    if twice:
        notes.append(f"{len(twice):,} photographs are named twice and are taken once: {few_names(twice)}")
    return list(photographs.values()), notes


def _photographs(named: Named) -> Iterator[Photograph]:
    """Files are read by their paths, so that an error says what is wrong with them."""
    source = named.source
    keys = source.files if isinstance(source, ImageFiles) else source.keys()
    for i, key in enumerate(keys):
        name = named.path(i, key)
        if isinstance(source, ImageFiles | FolderSource):
            yield Photograph(name, lambda name=name: read_regular_file(os.path.expanduser(name)))
        else:
            yield Photograph(name, lambda i=i: source[i]["image"] or b"")


def read_photos(reader: ReadsWords, photographs: Any, split: str = "words") -> list[list[ReadWord]]:
    """The words of each photograph, in reading order. See Reader.read_photos."""
    opened = RGB.open_all(photographs, "a photograph", "photographs")
    finder = Finder(FindOptions.make(dict(split=split), ""), threads=core_count())
    return [read_photo(reader, photograph, finder) for photograph in opened]


def read_photo(reader: ReadsWords, photograph: np.ndarray, finder: Finder) -> list[ReadWord]:
    """The words of a photograph RGB uint8 [H, W, 3], in reading order."""
    boxes = finder.find(photograph)
    texts, confidences = reader.read(finder.crops(photograph, boxes))
    rows = zip(texts, confidences, boxes, strict=True)
    return [ReadWord(text, float(value), box.corners, box.score) for text, value, box in rows]


def open_photograph(photograph: Photograph) -> np.ndarray:
    """RGB uint8 [H, W, 3]. Raises InputError: it cannot be read or decoded."""
    try:
        data = photograph.read()
    except (OSError, ValueError) as error:
        raise InputError(f"{photograph.name}: {getattr(error, 'strerror', None) or error}") from error
    return decode_photograph(data, photograph.name)


def as_json(name: str, photograph: np.ndarray, words: Sequence[ReadWord], least: float | None = None) -> dict[str, Any]:
    """What is read in a photograph [H, W, 3]: path, width, height, and words with text, confidence, box and score.

    least: words of less confidence are marked as doubtful; None: none is.
    """
    rows = []
    for word in words:
        box = word.box.astype(np.float64).round(1).tolist()  # rounded floats of 32 bits have more digits
        row = {"text": word.text, "confidence": word.confidence, "box": box, "score": round(word.score, 4)}
        rows.append(row | ({"doubtful": True} if least is not None and word.confidence < least else {}))
    return {"path": name, "width": photograph.shape[1], "height": photograph.shape[0], "words": rows}


def add_split(parser: Any, default: str | None = "words") -> None:
    """The option of whole lines."""
    parser.add_argument(
        "--split", default=default, help="photographs: words (default), or lines as the detector finds them"
    )


def add_find_options(parser: Any) -> None:
    """The options of the command that finds words."""
    usual = FindOptions()
    add_split(parser)
    for name, what in (
        ("min_score", "least score of the detector, 0 to 1"),
        ("min_height", "least height of a word, in pixels"),
        ("reach", "larger photographs are reduced to this longer side"),
    ):
        default = getattr(usual, name)
        parser.add_argument(f"--{name}", type=type(default), default=default, help=f"{what}; default: {default}")


def find_options(args: Any) -> FindOptions:
    """Of the options that add_find_options has added. Raises InputError."""
    names = ("split", "min_score", "min_height", "reach")
    return FindOptions.make({name: getattr(args, name) for name in names}, "--")
