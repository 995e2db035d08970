"""What the readers of published data sets share: the words they give, text files of any length, and cutting out words.

A reader is small and can be pickled: worker processes get one, with some entries, and turn them into words.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from jstr.data.decode import fits_in_memory, read_regular_file
from jstr.text.messages import InputError

CROPS = ("jpg", "png")
_SMALLEST = 2  # pixels: a side of a cut-out word
_CROP_OPTIONS = {
    "jpg": (cv2.IMWRITE_JPEG_QUALITY, 95, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444),
    "png": (),
}


class Word(NamedTuple):
    """A word of a published data set.

    key: the name under which a person would look it up. image: the encoded file; None where there is none.
    problem: why it cannot be used, None where it can. note: what was done to it, e.g. a box that was cut.
    """

    key: str
    label: str | None
    image: bytes | None = None
    problem: str | None = None
    note: str | None = None


class Reader:
    """A data set in the form in which it was published. One subclass for each form.

    index: split -> the file that lists it (or whatever `entries` needs). entries: what one worker can turn into words
    by itself: a line, a photograph, a row group. root: where the names of images start.

    Raises:
      InputError: `src` does not hold this form; says what was looked for.
    """

    name: str
    words_per_entry: float = 1  # about; decides how many entries make a shard

    def __init__(self, src: str | os.PathLike, labels: str | None = None, crops: str = "jpg"):
        self.src, self.labels, self.crops = Path(os.path.expanduser(src)), labels, crops
        if not self.src.exists():
            raise InputError(f"--src={src} does not exist; check the path")
        if crops not in CROPS:
            raise InputError(f"--crops={crops} is not known; choose one of {', '.join(CROPS)}")
        self.root = self.src
        self.notes: list[str] = []
        self.index: dict[str, Any] = self.find()

    def find(self) -> dict[str, Any]:
        """The index; may set `root` and add notes."""
        raise NotImplementedError

    def files(self) -> list[Path]:
        """The files that say what is in the set. When one of them changes, an import cannot be continued."""
        return list(self.index.values())

    def entries(self, split: str) -> Sequence[Any]:
        """All entries of a split. May be large: it is cut into shards by slicing."""
        raise NotImplementedError

    def words(self, entry: Any) -> Iterator[Word]:
        """The words of an entry, those that cannot be used with the reason."""
        raise NotImplementedError

    def image_folders(self, split: str) -> list[Path]:
        """The folders in which the images of a split may lie."""
        return [self.root]

    def refuse_labels(self) -> None:
        """Raises InputError: --labels was given, but this form has only one kind of labels."""
        if self.labels is not None:
            raise InputError(f"--labels={self.labels} has no meaning for --from={self.name}; leave it out")

    def not_found(self, looked_for: str) -> InputError:
        holds = ", ".join(sorted(os.listdir(self.src))[:8]) if self.src.is_dir() else "a single file"
        found = f"it holds {holds}" if holds else "it is empty"
        return InputError(f"--src={self.src} is not {self.name}: looked for {looked_for}; {found}")


def first_folder(src: Path, folders: Iterable[str], names: Iterable[str]) -> Path | None:
    """The first of the `folders` below `src` that holds one of the files `names`."""
    names = list(names)
    return next((src / f for f in folders if any((src / f / name).is_file() for name in names)), None)


def read_text(path: Path) -> str:
    """Raises InputError: not UTF-8, or cannot be read."""
    return decode_text(read_file(path), path)


def read_file(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}; check its permissions") from error


def decode_text(data: bytes, path: Path) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError(f"{path} line {line}: not UTF-8 text ({error.reason}); save the file as UTF-8") from None


def file_word(root: Path, name: str, label: str | None) -> Word:
    """A word whose image is a file of its own, kept as it is."""
    try:
        return Word(name, label, read_regular_file(root / name))
    except FileNotFoundError:
        return Word(name, label, None, "missing file")
    except (OSError, ValueError) as error:  # ValueError: a name with a zero byte
        return Word(name, label, None, f"file cannot be read ({getattr(error, 'strerror', None) or error})")


class Lines(Sequence):
    """The lines of a text file, as bytes without their ends. MJSynth has nine million, too many for Python objects."""

    def __init__(self, path: Path):
        self._data = read_file(path).removeprefix(b"\xef\xbb\xbf")
        ends = np.flatnonzero(np.frombuffer(self._data, np.uint8) == ord("\n"))
        if self._data and not self._data.endswith(b"\n"):
            ends = np.append(ends, len(self._data))
        self._ends = ends

    def __len__(self) -> int:
        return len(self._ends)

    def __getitem__(self, i):
        if isinstance(i, slice):
            return [self[k] for k in range(*i.indices(len(self)))]
        start = self._ends[i - 1] + 1 if i else 0
        return self._data[start : self._ends[i]].rstrip(b"\r")


class Numbered(Sequence):
    """(name, 0), (name, 1), ... of several parts one after the other. `lengths`: name -> how many."""

    def __init__(self, lengths: dict[Any, int]):
        self._names = list(lengths)
        self._ends = list(accumulate(lengths.values()))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def __getitem__(self, i):
        if isinstance(i, slice):
            return [self[k] for k in range(*i.indices(len(self)))]
        part = bisect_right(self._ends, i)
        return self._names[part], i - (self._ends[part - 1] if part else 0)


def decode_photograph(data: bytes) -> np.ndarray | None:
    """BGR uint8 [H, W, 3], or None. Boxes count the stored pixels, so a turn noted in the file is not applied."""
    if not fits_in_memory(data):
        return None
    try:
        return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error:
        return None


def cut_words(path: Path, name: str, labels: Sequence[str], corners: np.ndarray, crops: str) -> Iterator[Word]:
    """The words of a photograph, each cut out by the upright box around its corners [N, K, 2] (x, y in pixels)."""
    keys = [f"{name}:{i}" for i in range(len(labels))]
    file = file_word(path, name, None)
    photo = None if file.problem else decode_photograph(file.image)
    if photo is None:
        problem = f"photograph: {file.problem or 'broken image'}"
        yield from (Word(key, label, None, problem) for key, label in zip(keys, labels, strict=True))
        return
    for key, label, points in zip(keys, labels, corners, strict=True):
        yield Word(key, label, *_cut(photo, points, crops))


def _cut(photo: np.ndarray, points: np.ndarray, crops: str) -> tuple[bytes | None, str | None, str | None]:
    """(encoded crop, problem, note)."""
    if not np.isfinite(points).all():
        return None, "box is not made of numbers", None
    wanted = np.stack([np.floor(points.min(0)), np.ceil(points.max(0))])
    box = np.clip(wanted, 0, photo.shape[1::-1]).astype(int)
    (left, top), (right, bottom) = box
    if (wanted[1] <= 0).any() or (wanted[0] >= photo.shape[1::-1]).any():
        return None, "box outside the photograph", None
    if min(right - left, bottom - top) < _SMALLEST:
        return None, f"box narrower than {_SMALLEST} pixels", None
    note = "box reaches over the edge of the photograph and was cut there" if (box != wanted).any() else None
    done, data = cv2.imencode(f".{crops}", photo[top:bottom, left:right], _CROP_OPTIONS[crops])
    return (data.tobytes(), None, note) if done else (None, "crop cannot be encoded", None)
