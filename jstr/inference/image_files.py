"""What a user names to be read: image files, folders of them, and any other source of images."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from jstr.data.decode import read_regular_file
from jstr.data.images import ImageSpec
from jstr.data.sources.files import FolderSource
from jstr.data.sources.label_files import TEXT_SUFFIXES
from jstr.data.sources.lmdb import is_lmdb_file
from jstr.data.sources.open import open_source
from jstr.text.messages import InputError

# What is opened as a source whether it is there or not. Compressed archives cannot be read, which open_source says.
ARCHIVES = (".tar", ".tar.gz", ".tgz", ".tar.xz", ".tar.bz2", ".zip", ".mdb", ".lmdb", *TEXT_SUFFIXES)


class ImageFiles:
    """Files as a source without labels, whose keys are their paths. An image is None where the file cannot be read."""

    path, notes = "", ()

    def __init__(self, files: Sequence[str]):
        self.files = list(files)

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, i: int) -> dict[str, Any]:
        try:
            image = read_regular_file(os.path.expanduser(self.files[i]))
        except (OSError, ValueError):  # `why_broken` says why
            image = None
        return {"image": image, "label": None, "key": self.files[i]}


class Named(NamedTuple):
    """A source, and what stands before its keys to make up paths."""

    source: Any
    prefix: str

    def path(self, i: int, key: str) -> str:
        """Of sample i, whose key is `key`: the file, where it is one; label files name files in several ways."""
        if isinstance(self.source, FolderSource):
            return os.path.join(self.prefix, self.source.place(i))
        return self.prefix + key


def find_images(paths: Iterable[str]) -> Iterator[Named | InputError]:
    """Sources of what is at the paths, in order; an error for a folder or an archive without images.

    A folder, a label file or an LMDB is opened as in training, without labels. Other files are images, whatever their
    names are.
    """
    for is_source, some in itertools.groupby(paths, _is_source):
        if not is_source:
            yield Named(ImageFiles(list(some)), "")
            continue
        for path in some:
            place = os.path.dirname(path) if path.lower().endswith(TEXT_SUFFIXES) else path
            try:
                yield Named(open_source(path, labelled=False), os.path.join(place, ""))
            except InputError as error:
                yield error


def why_broken(named: Named, i: int, key: str, spec: ImageSpec) -> str:
    """A line on sample i of a source, which could not be read."""
    path = named.path(i, key)
    if isinstance(named.source, ImageFiles | FolderSource):
        try:
            spec.open(path)
        except InputError as error:
            return str(error)
    return f"{path}: not an image that can be decoded"


def _is_source(path: str) -> bool:
    file = os.path.expanduser(path)
    named = path.startswith("tfds:") or path.lower().endswith(ARCHIVES)
    return named or os.path.isdir(file) or (os.path.isfile(file) and is_lmdb_file(file))
