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
import struct
import threading
from bisect import bisect_right
from collections.abc import Iterator
from itertools import accumulate
from typing import Any
from weakref import WeakValueDictionary

import lmdb

from jstr.core import InputError
from jstr.data.sources.files import FolderSource, TarSource, check_index, images_in, walk
from jstr.data.sources.label_files import LABEL_FILES, TEXT_SUFFIXES
from jstr.data.sources.tfds import TfdsSource, tfds_folders

Sample = dict[str, Any]
Source = Any  # any class of this module, files.py or tfds_source.py

_LMDB_MAGIC = 0xBEEFC0DE
_lock = threading.Lock()
# lmdb refuses to open one folder twice in a process, but two streams may well read the same one.
_environments: WeakValueDictionary[str, lmdb.Environment] = WeakValueDictionary()


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
    raise InputError(_nothing_found(path, files))


def _nothing_found(path: str, files: list[str]) -> str:
    looked = f"data.mdb (here or below), dataset_info.json, {', '.join(LABEL_FILES)}"
    images = len(images_in(files))
    if images:
        texts = [f for f in files if f.lower().endswith(TEXT_SUFFIXES)][:5]
        other = f", or name one of its text files with labels= ({', '.join(texts)})" if texts else ""
        return f"{path} holds {images:,} images but no labels (looked for {looked}); open it unlabelled{other}"
    return f"{path} holds no word images in a known form (looked for {looked}, image files below); check the path"


def _refuse_labels(path: str, labels: str | None, kind: str) -> None:
    if labels:
        raise InputError(f"labels={labels!r} is for folders and tars, but {path} is {kind}; leave it out")


class LmdbSource:
    """LMDB in the form of deep-text-recognition-benchmark. Labels that are not there are None."""

    def __init__(self, path: str, labelled: bool = True):
        """Raises InputError: damaged or truncated, empty, or without labels although `labelled`."""
        self.path = path
        self.labelled = labelled
        self.notes: list[str] = []
        self._env = None
        with self._begin() as txn:
            try:
                self._length = _num_samples(path, txn.get(b"num-samples"))
                self._inspect(txn)
            except lmdb.Error as error:
                raise self._damaged(error) from error

    def _inspect(self, txn: lmdb.Transaction) -> None:
        cursor = txn.cursor()
        if self.labelled and not (cursor.set_range(b"label-") and cursor.key().startswith(b"label-")):
            raise InputError(f"LMDB {self.path} holds images without labels (no label-%09d key); open it unlabelled")
        if txn.get(b"image-%09d" % (self._length + 1)) is not None:
            self.notes.append(f"{self.path}: images beyond num-samples ({self._length:,}) are not used")
        lacking = self._length * (2 if self.labelled else 1) + 1 - txn.stat()["entries"]
        if lacking > 0:
            missing = f"but {lacking:,} images or labels are missing"
            self.notes.append(f"{self.path}: num-samples is {self._length:,}, {missing}")

    def _begin(self) -> lmdb.Transaction:
        # A worker process gets here with _env None. The dictionary only shares; the attribute keeps it alive.
        env = self._env
        if env is None:
            env = self._env = _environment(self.path)
        return env.begin()

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, i: int) -> Sample:
        number = check_index(i, self._length) + 1
        label = None
        try:
            with self._begin() as txn:
                image = txn.get(b"image-%09d" % number)
                if self.labelled:
                    label = txn.get(b"label-%09d" % number)
        except lmdb.Error as error:
            raise self._damaged(error) from error
        return {"image": image, "label": self._text(label, number), "key": f"image-{number:09d}"}

    def labels(self) -> Iterator[str | None]:
        """Every label in order; images are not read."""
        if not self.labelled:
            yield from (None for _ in range(self._length))
            return
        try:
            with self._begin() as txn:
                for number in range(1, self._length + 1):
                    yield self._text(txn.get(b"label-%09d" % number), number)
        except lmdb.Error as error:
            raise self._damaged(error) from error

    def _text(self, label: bytes | None, number: int) -> str | None:
        if label is None:
            return None
        try:
            return label.decode()
        except UnicodeDecodeError:
            name = f"label-{number:09d}"
            raise InputError(f"LMDB {self.path}: {name} is not UTF-8: {label[:40]!r}; write it again") from None

    def _damaged(self, error: Exception) -> InputError:
        return InputError(f"LMDB {self.path} is damaged ({error}); copy or make it again")

    def __getstate__(self) -> dict:
        return {**self.__dict__, "_env": None}

    def __repr__(self) -> str:
        return f"LmdbSource({self.path!r}, samples={self._length}, labelled={self.labelled})"


def _environment(path: str) -> lmdb.Environment:
    real = os.path.realpath(path)
    with _lock:
        env = _environments.get(real)
        if env is None:
            _check_lmdb_size(os.path.join(real, "data.mdb"))
            try:
                # readahead would fetch neighbours that random access does not want; without a lock file the
                # folder may be read-only.
                env = lmdb.open(real, readonly=True, lock=False, readahead=False, max_readers=2048)
            except lmdb.Error as error:
                raise InputError(f"LMDB {path} cannot be opened: {error}; copy or make it again") from error
            _environments[real] = env
        return env


def _check_lmdb_size(file: str) -> None:
    """Raises InputError when `file` is shorter than its header says: reading past its end would kill the process.

    Layout of a page with the header (lmdb 0.9, 64 bit): 16 bytes of page header, magic u32, version u32, address u64,
    map size u64, then at 40 the page size u32, at 136 the last page u64, the transaction u64. Pages 0 and 1 each hold
    a copy; the one with the higher transaction counts.
    """
    again = "copy it again"
    try:
        size = os.path.getsize(file)
        with open(file, "rb") as stream:
            first = stream.read(152)
            page = struct.unpack_from("<I", first, 40)[0] if len(first) == 152 else 0
            stream.seek(page)
            heads = [first, stream.read(152)]
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}; check its permissions") from error
    if size == 0:
        raise InputError(f"{file} is empty (0 bytes); {again}")
    if page == 0 or size < 2 * page or len(heads[1]) < 152:
        raise InputError(f"{file} is truncated: its {size:,} bytes are less than its header needs; {again}")
    if any(struct.unpack_from("<I", head, 16)[0] != _LMDB_MAGIC for head in heads):
        raise InputError(f"{file} is not an LMDB data file, or its header is damaged; {again}")
    last_page, _ = max((struct.unpack_from("<QQ", head, 136) for head in heads), key=lambda meta: meta[1])
    if size < (last_page + 1) * page:
        raise InputError(f"{file} is truncated: {size:,} of {(last_page + 1) * page:,} bytes are there; {again}")


def _num_samples(path: str, value: bytes | None) -> int:
    if value is None:
        raise InputError(f"LMDB {path} has no num-samples entry, so it holds no word images; make it again")
    try:
        length = int(value)
    except ValueError:
        raise InputError(f"LMDB {path}: num-samples is {value[:40]!r}, not a number; make it again") from None
    if length <= 0:
        raise InputError(f"LMDB {path} is empty (num-samples is {length}); make it again")
    return length


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
