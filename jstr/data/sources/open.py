"""Random-access readers of word images, labelled or not. `open_source` finds out what lies at a path.

A source is small and can be pickled; files are opened where they are first used. Threads may share a source.

  len(source), source[i] -> {"image": bytes | None, "label": str | None, "key": str}
  source.labels()        -> every label in order, without reading images
  source.path            where it came from
  source.notes           remarks for the user: what is missing, ignored or not used

`image` is the encoded file as stored: nothing is decoded here. It is None where the entry is missing.
`key` is the name under which a person would look the sample up.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Iterator
from itertools import accumulate
from typing import Any

from jstr.core import InputError
from jstr.data.sources.files import FolderSource, TarSource, check_index, images_in, walk
from jstr.data.sources.label_files import LABEL_FILES, TEXT_SUFFIXES, NoLabels
from jstr.data.sources.lmdb import LmdbSource
from jstr.data.sources.tfds import TfdsSource, tfds_folders

Sample = dict[str, Any]
Source = Any  # any class of this package


def open_source(path: str | os.PathLike, *, labels: str | None = None, labelled: bool = True) -> Source:
    """The source at `path`, its kind found from what is there.

    Formats:
      LMDB: a folder with data.mdb, or with such folders below it, which are joined in sorted order. Keys are
        `num-samples`, `image-%09d` and `label-%09d`, from 1.
      Image folder: images and labels.tsv (file<TAB>label), gt.txt (the same, or ICDAR's `file, "label"`) or
        labels.csv (columns filename and label, else the first two). UTF-8.
      Tar: an uncompressed .tar that holds images and labels.tsv (or another of these label files).
      TFDS: a folder with dataset_info.json, written as ArrayRecord, or `tfds:NAME[/CONFIG]`; `#SPLIT` at the end
        of the path chooses the split where there are several.

    Args:
      path: as above.
      labels: another label file in the folder or tar, e.g. "labels_classic.tsv".
      labelled: False ignores labels: every image of a folder or tar is used, unless `labels` names a label file.

    Raises:
      InputError: nothing there, not a known format, damaged, or labels that are missing or cannot be read.
    """
    path = os.fspath(path)
    if path.startswith("tfds:"):
        _refuse_labels(path, labels, "a TFDS data set")
        return TfdsSource(*_cut_split(path), labelled=labelled)
    split = None
    if not os.path.exists(path):
        path, split = _cut_split(path)
        if not os.path.exists(path):
            raise InputError(f"{path} does not exist; check the path")
    source = _open_folder(path, split, labels, labelled) if os.path.isdir(path) else _open_file(path, labels, labelled)
    if split is not None and not isinstance(source, TfdsSource):
        raise InputError(f"{path} is not a TFDS data set and has no splits; leave out #{split}")
    return source


def _cut_split(path: str) -> tuple[str, str | None]:
    head, mark, split = path.rpartition("#")
    return (head, split) if mark else (path, None)


def _open_file(path: str, labels: str | None, labelled: bool) -> Source:
    if os.path.basename(path) == "data.mdb":
        return _open_folder(os.path.dirname(path) or ".", None, labels, labelled)
    if path.endswith(".tar"):
        return TarSource(path, labels, labelled)
    if path.endswith((".tar.gz", ".tgz", ".tar.xz", ".tar.bz2", ".zip")):
        raise InputError(f"{path} is compressed, so samples cannot be read in any order; unpack it to a folder or .tar")
    raise InputError(f"{path} is a file of no known kind; give a folder, a .tar, or tfds:NAME")


def _open_folder(path: str, split: str | None, labels: str | None, labelled: bool) -> Source:
    if os.path.exists(os.path.join(path, "data.mdb")):
        _refuse_labels(path, labels, "an LMDB")
        return LmdbSource(path, labelled)
    if os.path.exists(os.path.join(path, "dataset_info.json")):
        _refuse_labels(path, labels, "a TFDS data set")
        return TfdsSource(path, split, labelled)
    if labels or any(os.path.exists(os.path.join(path, name)) for name in LABEL_FILES):
        return FolderSource(path, labels, labelled)
    files = walk(path)
    found = sorted(os.path.dirname(f) for f in files if os.path.basename(f) == "data.mdb")
    if found:
        return ConcatSource(path, [LmdbSource(os.path.join(path, f), labelled) for f in found], found)
    if tfds_folders(path):
        return TfdsSource(path, split, labelled)
    if not labelled and images_in(files):
        return FolderSource(path, None, labelled)
    raise _nothing_found(path, files)


def _nothing_found(path: str, files: list[str]) -> InputError:
    looked = f"data.mdb (here or below), dataset_info.json, {', '.join(LABEL_FILES)}"
    images = len(images_in(files))
    if images:
        texts = [f for f in files if f.lower().endswith(TEXT_SUFFIXES)][:5]
        other = f", or name one of its text files with labels= ({', '.join(texts)})" if texts else ""
        return NoLabels(
            f"{path} holds {images:,} images but no labels (looked for {looked}); open it unlabelled{other}"
        )
    return InputError(
        f"{path} holds no word images in a known form (looked for {looked}, image files below); check the path"
    )


def _refuse_labels(path: str, labels: str | None, kind: str) -> None:
    if labels:
        raise InputError(f"labels={labels!r} is for folders and tars, but {path} is {kind}; leave it out")


class ConcatSource:
    """Several sources one after the other. Keys get the name of their part in front."""

    def __init__(self, path: str, parts: list[Source], names: list[str]):
        self.path = path
        self.parts = parts
        self.names = names
        self.notes = [note for part in parts for note in part.notes]
        self._ends = list(accumulate(len(part) for part in parts))

    def __len__(self) -> int:
        return self._ends[-1]

    def __getitem__(self, i: int) -> Sample:
        i = check_index(i, len(self))
        which = bisect_right(self._ends, i)
        part = self.parts[which]
        sample = part[i - self._ends[which] + len(part)]
        return {**sample, "key": f"{self.names[which]}/{sample['key']}"}

    def labels(self) -> Iterator[str | None]:
        """Every label in order."""
        for part in self.parts:
            yield from part.labels()

    def __repr__(self) -> str:
        return f"ConcatSource({self.path!r}, samples={len(self)}, parts={self.names})"


__all__ = ["ConcatSource", "FolderSource", "LmdbSource", "TarSource", "TfdsSource", "open_source"]
