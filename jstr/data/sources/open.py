"""Random-access readers of word images, labelled or not. `open_source` finds out what lies at a path.

A source is small and can be pickled; files are opened where they are first used. Threads may share a source.

  len(source), source[i] -> {"image": bytes | None, "label": str | None, "key": str}
  source.labels()        -> every label in order, without reading images
  source.keys()          -> every key in order, without reading images
  source.path            where it came from
  source.notes           remarks for the user: what is missing, ignored or not used

`image` is the encoded file as stored: nothing is decoded here. It is None where the entry is missing.
`key` is the name under which a person would look the sample up.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from itertools import accumulate
from typing import Any

from jstr.data.sources.files import FolderSource, Listing, by_suffix, check_index, images_in, walk
from jstr.data.sources.label_files import LABEL_FILES, LOOKED_FOR, TEXT_SUFFIXES, NoLabels
from jstr.data.sources.label_notes import few_names, held_out_notes
from jstr.data.sources.lmdb import LmdbSource, is_lmdb_file
from jstr.data.sources.tar import COMPRESSED, TarSource
from jstr.data.sources.texts_beside import texts_beside
from jstr.data.sources.tfds import TfdsSource, tfds_folders
from jstr.text.messages import InputError, first_few

Sample = dict[str, Any]
Source = Any  # any class of this package


def open_source(path: str | os.PathLike, *, labels: str | None = None, labelled: bool = True) -> Source:
    """The source at `path`, its kind found from what is there.

    Formats:
      LMDB: a folder with data.mdb, a single file (subdir=False), or a folder with such LMDBs below it, which are
        joined in sorted order. Keys are `num-samples`, `image-%09d` and `label-%09d`, from 1.
      Image folder: images and a label file: labels.tsv, gt.txt, labels.csv, metadata.jsonl, metadata.csv or
        labels.json, in the forms of label_files.py. A label file as `path` means its folder. Or, where none of them
        is there, a text file beside each image, see texts_beside.py.
      Tar: an uncompressed .tar that holds images and labels in one of these forms.
      TFDS: a folder with dataset_info.json, written as ArrayRecord, or `tfds:NAME[/CONFIG]`; `#SPLIT` at the end
        of the path chooses the split where there are several.

    Args:
      path: as above.
      labels: another label file in the folder or tar, e.g. "labels_classic.tsv".
      labelled: False ignores labels: every image of a folder or tar is used, unless `labels` names a label file.

    Raises:
      InputError: nothing there, not a known format, damaged, or labels that are missing or cannot be read.
    """
    path = os.path.expanduser(os.fspath(path))
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
    folder, name = os.path.split(path)
    if name == "data.mdb":
        return _open_folder(folder or ".", None, labels, labelled)
    if name.lower().endswith(".tar"):
        return TarSource(path, labels, labelled)
    if is_lmdb_file(path) or name.lower().endswith((".lmdb", ".mdb")):
        _refuse_labels(path, labels, "an LMDB")
        return LmdbSource(path, labelled)
    if name.lower().endswith(TEXT_SUFFIXES):
        if labels not in (None, "", name):
            raise InputError(f"{path} is a label file, and labels={labels!r} names another; give its folder, or one")
        return FolderSource(folder or ".", name, labelled)
    if name.lower().endswith((".tar.gz", ".tgz", ".tar.xz", ".tar.bz2", ".zip")):
        raise InputError(f"{path} {COMPRESSED}")
    raise InputError(f"{path} is a file of no known kind; give a folder, a .tar, an LMDB, a label file, or tfds:NAME")


def _open_folder(path: str, split: str | None, labels: str | None, labelled: bool) -> Source:
    if os.path.exists(os.path.join(path, "data.mdb")):
        _refuse_labels(path, labels, "an LMDB")
        source = LmdbSource(path, labelled)
        source.notes += _beside_lmdb(path)
        return source
    if os.path.exists(os.path.join(path, "dataset_info.json")):
        _refuse_labels(path, labels, "a TFDS data set")
        return TfdsSource(path, split, labelled)
    if labels or any(os.path.exists(os.path.join(path, name)) for name in LABEL_FILES):
        return FolderSource(path, labels, labelled)
    listing = Listing.of(path)
    files = listing.files
    if found := lmdbs_in(path, files):
        source = ConcatSource(path, [LmdbSource(os.path.join(path, f), labelled) for f in found], found)
        source.notes += _label_files_beside(path, files)
        return source
    if tfds_folders(path):
        return TfdsSource(path, split, labelled)
    images = images_in(files)
    if texts_beside(images, files) if labelled else images:
        return FolderSource(path, None, labelled, listing)
    raise _nothing_found(path, files)


def lmdbs_in(path: str, files: list[str]) -> list[str]:
    """The LMDBs among the files below a folder: folders with data.mdb, and single files."""
    folders = [os.path.dirname(f) for f in files if os.path.basename(f) == "data.mdb"]
    single = [f for f in files if f.lower().endswith((".lmdb", ".mdb")) and os.path.basename(f) != "data.mdb"]
    return sorted(folders + [f for f in single if is_lmdb_file(os.path.join(path, f))])


def _beside_lmdb(path: str) -> list[str]:
    """Notes on what else lies in the folder of an LMDB and is not read."""
    files = walk(path)
    others = [f for f in lmdbs_in(path, files) if f]
    notes = [f"{path}: {len(others):,} more LMDBs below are not read: {few_names(others)}"] if others else []
    return notes + _label_files_beside(path, files)


def _label_files_beside(path: str, files: list[str]) -> list[str]:
    texts = [f for f in files if os.path.basename(f) in LABEL_FILES]
    return [f"{path}: {few_names(texts)} beside the LMDB data.mdb is not read"] if texts else []


def _nothing_found(path: str, files: list[str]) -> InputError:
    looked = f"data.mdb (here or below), dataset_info.json, {LOOKED_FOR}"
    images = len(images_in(files))
    below = [os.path.dirname(f) for f in files if os.path.basename(f) in LABEL_FILES]
    if images and below:
        folders = first_few([os.path.join(path, f) for f in dict.fromkeys(below)])
        return NoLabels(f"{path} has its labels in folders below; give one of them: {folders}; or open it unlabelled")
    if images:
        texts = [f for f in files if f.lower().endswith(TEXT_SUFFIXES)][:5]
        other = f", or name one of its text files with labels= ({', '.join(texts)})" if texts else ""
        holds = f"{path} holds {images:,} images but no labels (looked for {looked})"
        return NoLabels(f"{holds}; open it unlabelled{other}")
    holds = f"; it holds {by_suffix(files)}" if files else ""
    return InputError(
        f"{path} holds no word images in a known form (looked for {looked}, image files below{holds}); check the path"
    )


def _refuse_labels(path: str, labels: str | None, kind: str) -> None:
    if labels:
        raise InputError(f"labels={labels!r} is for folders and tars, but {path} is {kind}; leave it out")


def source_notes(sources: Mapping[str, Source | None]) -> list[str]:
    """What the user should know about sources, by name: a line each. Every command that reads a source prints them."""
    return [f"{name}: {note}" for name, source in sources.items() if source is not None for note in source.notes]


class ConcatSource:
    """Several sources one after the other. Keys get the name of their part in front."""

    def __init__(self, path: str, parts: list[Source], names: list[str]):
        self.path = path
        self.parts = parts
        self.names = names
        self.notes = _joined(path, parts, names) + [note for part in parts for note in part.notes]
        self._ends = list(accumulate(len(part) for part in parts))

    def __len__(self) -> int:
        return self._ends[-1]

    def __getitem__(self, i: int) -> Sample:
        i = check_index(i, len(self))
        which = bisect_right(self._ends, i)
        part = self.parts[which]
        sample = part[i - self._ends[which] + len(part)]
        return {**sample, "key": f"{self.names[which]}/{sample['key']}"}

    def keys(self) -> Iterator[str]:
        """Every key in order; images are not read."""
        return (f"{name}/{key}" for name, part in zip(self.names, self.parts, strict=True) for key in part.keys())

    def labels(self) -> Iterator[str | None]:
        """Every label in order."""
        for part in self.parts:
            yield from part.labels()

    def __repr__(self) -> str:
        return f"ConcatSource({self.path!r}, samples={len(self)}, parts={self.names})"


def _joined(path: str, parts: list[Source], names: list[str]) -> list[str]:
    """Notes on which parts are joined, and on those that by their names are not for training."""
    if len(parts) < 2:
        return []
    counts = few_names([f"{name} ({len(part):,})" for name, part in zip(names, parts, strict=True)], 20)
    notes = [f"{path}: {len(parts):,} LMDBs are joined: {counts}"]
    return notes + held_out_notes(path, names)


__all__ = ["ConcatSource", "FolderSource", "LmdbSource", "TarSource", "TfdsSource", "open_source", "source_notes"]
