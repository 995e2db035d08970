"""Reads whole photographs: the words are found by a detector (jstr/data/photos) and read by a reader."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from jstr.data.images import ImageSpec, is_one_image
from jstr.data.photos import words_file
from jstr.data.photos.finder import Finder, FindOptions
from jstr.data.photos.word_folder import Photograph
from jstr.data.photos.words_file import FoundWord
from jstr.inference.image_files import ImageFiles, Named, find_images
from jstr.messages import InputError

if TYPE_CHECKING:
    from jstr.inference.reader import Reader

_ANY = ImageSpec((32, 100), 3)  # whose size is not used


class ReadWord(NamedTuple):
    """A word of a photograph. box: float32 [4, 2], x and y in pixels, clockwise from where the text begins, at its top.

    confidence: of the reader. score: of the detector. Both 0..1.
    """

    text: str
    confidence: float
    box: np.ndarray
    score: float


def open_photographs(paths: Iterable[str], out: str = "") -> tuple[list[Photograph], list[str]]:
    """(photographs at paths, notes for the user). Folders, tars and other sources are opened as in training.

    out: a folder whose contents are not photographs, where it lies in one of them.
    """
    photographs, notes = [], []
    inside = Path(out).resolve() if out else None
    for named in find_images(paths):
        if isinstance(named, InputError):
            notes.append(str(named))
            continue
        notes += named.source.notes
        for photograph in _photographs(named):
            if inside is None or inside not in Path(photograph.name).resolve().parents:
                photographs.append(photograph)
    return photographs, notes


def _photographs(named: Named) -> Iterator[Photograph]:
    """Files are read by their paths, so that an error says what is wrong with them."""
    from jstr.data.decode import read_regular_file
    from jstr.data.sources.files import FolderSource

    source = named.source
    keys = source.files if isinstance(source, ImageFiles) else source.keys()
    for i, key in enumerate(keys):
        name = named.prefix + key
        if isinstance(source, ImageFiles | FolderSource):
            yield Photograph(name, lambda name=name: read_regular_file(os.path.expanduser(name)))
        else:
            yield Photograph(name, lambda i=i: source[i]["image"] or b"")


def read_photos(reader: Reader, photographs: Any, finder: Finder | None = None) -> list[list[ReadWord]]:
    """The words of each photograph, in reading order. See Reader.read_photos."""
    one = is_one_image(photographs)
    finder = finder or Finder(threads=len(os.sched_getaffinity(0)))
    return [read_photo(reader, _ANY.open(p), finder) for p in ([photographs] if one else photographs)]


def read_photo(reader: Reader, photograph: np.ndarray, finder: Finder) -> list[ReadWord]:
    """The words of a photograph RGB uint8 [H, W, 3], in reading order."""
    boxes = finder.find(photograph)
    texts, confidences = reader.read(finder.crops(photograph, boxes))
    rows = zip(texts, confidences, boxes, strict=True)
    return [ReadWord(text, float(value), box.corners, box.score) for text, value, box in rows]


def read_crops(reader: Reader, folder: str | os.PathLike, words: Sequence[FoundWord]) -> list[FoundWord]:
    """The words of a words.tsv in `folder`, with text and confidence, in their order."""
    from jstr.inference.read_source import read_source

    files = ImageFiles([os.path.join(folder, word.crop) for word in words])
    answers = [reading.answer for reading in read_source(reader, files, checked=True)]
    gone = [word.crop for word, answer in zip(words, answers, strict=True) if answer is None]
    if gone:
        raise InputError(f"{os.path.join(folder, gone[0])}: gone or damaged; remove {folder} and find the words again")
    return [replace(w, text=a.text, confidence=a.confidence) for w, a in zip(words, answers, strict=True)]


def add_find_options(parser: Any) -> None:
    """The options of commands that find words."""
    usual = FindOptions()
    parser.add_argument("--split", default=usual.split, help="words (default), or lines as the detector finds them")
    parser.add_argument(
        "--min_score", type=float, default=usual.min_score, help=f"of the detector, 0 to 1; default {usual.min_score}"
    )
    parser.add_argument(
        "--min_height", type=int, default=usual.min_height, help=f"of a word, in pixels; default {usual.min_height}"
    )
    parser.add_argument(
        "--reach", type=int, default=usual.reach, help=f"longer side in pixels that is looked at; default {usual.reach}"
    )


def find_options(args: Any) -> FindOptions:
    """Of the options that add_find_options has added. Raises InputError."""
    names = ("split", "min_score", "min_height", "reach")
    return FindOptions.make({name: getattr(args, name) for name in names}, "--")


__all__ = ["ReadWord", "open_photographs", "read_crops", "read_photo", "read_photos", "words_file"]
