"""LMDBs in the form of deep-text-recognition-benchmark: num-samples, image-%09d and label-%09d from 1.

An LMDB is a folder with data.mdb, or a single file (subdir=False).
"""

from __future__ import annotations

import os
import struct
import threading
from collections.abc import Iterator
from typing import Any
from weakref import WeakValueDictionary

import lmdb

from jstr.data.sources.files import check_index
from jstr.data.sources.label_files import NoLabels
from jstr.data.sources.label_notes import readable
from jstr.text.messages import InputError

_LMDB_MAGIC = 0xBEEFC0DE
_WANTED = "num-samples, image-%09d and label-%09d, counted from 1"
_lock = threading.Lock()
# lmdb refuses to open one folder twice in a process, but two streams may well read the same one.
_environments: WeakValueDictionary[str, lmdb.Environment] = WeakValueDictionary()


class LmdbSource:
    """LMDB in the form of deep-text-recognition-benchmark. Labels that are not there are None."""

    def __init__(self, path: str, labelled: bool = True):
        """Raises InputError: damaged or truncated, empty, keys of another form, or no labels although `labelled`."""
        self.path = path
        self.labelled = labelled
        self.notes: list[str] = []
        self._env: lmdb.Environment | None = None
        with self._begin() as txn:
            try:
                self._length = _num_samples(path, txn)
                self._inspect(txn)
            except lmdb.Error as error:
                raise self._damaged(error) from error

    def _inspect(self, txn: lmdb.Transaction) -> None:
        """Refuses keys of another form, and notes what num-samples and the keys do not share."""
        self._check_keys(txn)
        if txn.get(b"image-%09d" % 0) is not None:
            self.notes.append(f"{self.path}: image-000000000 is not used, because keys count from 1")
        last = _last_number(txn, b"image-%09d", self._length)
        if last > self._length:
            first = f"image-{self._length + 1:09d}"
            self.notes.append(
                f"{self.path}: {last - self._length:,} images beyond num-samples ({self._length:,}), from {first} on, "
                f"are not used; write num-samples={last} to use them"
            )
        beyond = last - self._length + _last_number(txn, b"label-%09d", self._length) - self._length
        zero = sum(txn.get(key % 0) is not None for key in (b"image-%09d", b"label-%09d"))
        entries = txn.stat()["entries"] - beyond - zero
        lacking = self._length * (2 if self.labelled else 1) + 1 - entries
        if lacking > 0:
            self.notes.append(
                f"{self.path}: num-samples is {self._length:,}, but {lacking:,} images or labels are missing"
                f"{self._first_missing(txn)}"
            )

    def _check_keys(self, txn: lmdb.Transaction) -> None:
        """Raises InputError: no key of the wanted form; shows one that is there."""
        numbers = range(1, min(self._length, 100) + 1)
        if not (_has(txn, b"image-") and any(txn.get(b"image-%09d" % n) is not None for n in (*numbers, self._length))):
            raise InputError(f"LMDB {self.path} has no image-000000001; {_keys_there(txn)}")
        if self.labelled and not _has(txn, b"label-"):
            raise NoLabels(
                f"LMDB {self.path} holds images without labels (no label-000000001 key; {_keys_there(txn)}); "
                "open it unlabelled"
            )
        if self.labelled and not any(txn.get(b"label-%09d" % n) is not None for n in (*numbers, self._length)):
            raise InputError(f"LMDB {self.path} has no label-000000001; {_keys_there(txn)}")

    def _first_missing(self, txn: lmdb.Transaction) -> str:
        kinds = (b"image-%09d", b"label-%09d") if self.labelled else (b"image-%09d",)
        keys = (kind % number for number in range(1, min(self._length, 100_000) + 1) for kind in kinds)
        key = next((key for key in keys if txn.get(key) is None), None)
        return f", such as {key.decode()}" if key else ""

    def _begin(self) -> lmdb.Transaction:
        # A worker process gets here with _env None. The dictionary only shares; the attribute keeps it alive.
        env = self._env
        if env is None:
            env = self._env = _environment(self.path)
        return env.begin()

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, i: int) -> dict[str, Any]:
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

    def keys(self) -> Iterator[str]:
        """Every key in order; images are not read."""
        return (f"image-{number:09d}" for number in range(1, self._length + 1))

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
            return readable(label.decode())
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
            folder = os.path.isdir(real)
            _check_lmdb_size(os.path.join(real, "data.mdb") if folder else real)
            try:
                # readahead would fetch neighbours that random access does not want; without a lock file the
                # folder may be read-only.
                options = dict(readonly=True, lock=False, readahead=False, max_readers=2048)
                env = lmdb.open(real, subdir=folder, **options)
            except lmdb.Error as error:
                raise InputError(f"LMDB {path} cannot be opened: {error}; copy or make it again") from error
            _environments[real] = env
        return env


def is_lmdb_file(path: str) -> bool:
    """Whether a file is an LMDB by itself (subdir=False)."""
    try:
        with open(path, "rb") as stream:
            head = stream.read(20)
    except OSError:
        return False
    return len(head) == 20 and struct.unpack_from("<I", head, 16)[0] == _LMDB_MAGIC


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


def _num_samples(path: str, txn: lmdb.Transaction) -> int:
    value = txn.get(b"num-samples")
    if value is None:
        there = _keys_there(txn)
        raise InputError(f"LMDB {path} has no num-samples entry, so it holds no word images; {there}")
    try:
        length = int(value)
    except ValueError:
        raise InputError(f"LMDB {path}: num-samples is {value[:40]!r}, not a number; make it again") from None
    if length <= 0:
        raise InputError(f"LMDB {path} is empty (num-samples is {length}); make it again")
    if length >= 10**9:
        raise InputError(f"LMDB {path}: num-samples is {length:,}, more than keys of nine digits can name")
    return length


def _has(txn: lmdb.Transaction, prefix: bytes) -> bool:
    cursor = txn.cursor()
    return cursor.set_range(prefix) and cursor.key().startswith(prefix)


def _keys_there(txn: lmdb.Transaction) -> str:
    """For a message: the first and last key that are there, and one in between, and the form that is wanted."""
    cursor, some = txn.cursor(), []
    for found in (cursor.first, lambda: cursor.set_range(b"image\xff") or cursor.last(), cursor.last):
        if found() and (cursor.key() != b"num-samples" or cursor.next()):
            some.append(bytes(cursor.key())[:40].decode("utf-8", "backslashreplace"))
    there = ", ".join(map(repr, dict.fromkeys(some)))
    return f"it has {f'keys such as {there}' if some else 'no other keys'}; wanted are {_WANTED}"


def _last_number(txn: lmdb.Transaction, form: bytes, length: int) -> int:
    """The last number after `length` up to which every key of the form is there; `length` if there is none."""
    cursor, number = txn.cursor(), length
    found = cursor.set_range(form % (length + 1))
    while found and cursor.key() == form % (number + 1):
        number, found = number + 1, cursor.next()
    return number
