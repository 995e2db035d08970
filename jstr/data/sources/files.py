"""Sources made of files: image folders and tar archives."""

from __future__ import annotations

import operator
import os
import posixpath
import tarfile
import threading
from collections.abc import Container, Iterator
from typing import Any

from jstr.core import InputError
from jstr.data.sources.label_files import LABEL_FILES, TEXT_SUFFIXES, NoLabels, parse_labels

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm")
_lock = threading.Lock()


def check_index(i: int, length: int) -> int:
    """`i` as a plain int. Raises IndexError outside 0..length-1, so that iteration over a source ends."""
    i = operator.index(i)
    if not 0 <= i < length:
        raise IndexError(f"sample {i} of {length}")
    return i


def images_in(files: list[str]) -> list[str]:
    """Those whose suffix is that of an image."""
    return [f for f in files if f.lower().endswith(IMAGE_SUFFIXES)]


def walk(root: str) -> list[str]:
    """Paths of all files below `root`, relative and sorted. Links are followed; hidden files are left out."""
    found = []
    for folder, subfolders, names in os.walk(root, followlinks=True):
        subfolders[:] = [s for s in subfolders if not s.startswith(".") and not _leads_back(root, folder, s)]
        prefix = os.path.relpath(folder, root)
        found += [os.path.normpath(os.path.join(prefix, n)) for n in names if not n.startswith(".")]
    return sorted(found)


def _leads_back(root: str, folder: str, name: str) -> bool:
    """Whether `name` is a link to a folder on the way from `root` to itself: following it would never end."""
    link = os.path.join(folder, name)
    if not os.path.islink(link):
        return False
    way = [os.path.realpath(root)]
    for part in os.path.relpath(folder, root).split(os.sep):
        root = os.path.join(root, part)
        way.append(os.path.realpath(root))
    return os.path.realpath(link) in way


class _FileList:
    """What folder and tar share: a list of keys, with labels or without. `_read(i)` gives the image, or None."""

    path: str
    notes: list[str]
    labelled: bool
    _keys: list[str]
    _labels: list[str] | None = None

    def _set_pairs(self, pairs: list[tuple[str, str]], name: str) -> None:
        if not pairs:
            raise InputError(f"{name} holds no lines; write one line per image, or open it unlabelled")
        self._keys = [file for file, _ in pairs]
        self._labels = [label for _, label in pairs] if self.labelled else None

    def _set_images(self, images: list[str]) -> None:
        if not images:
            raise InputError(f"{self.path} holds no image files ({' '.join(IMAGE_SUFFIXES)}); check the path")
        self._keys = images

    def _compare(self, files: Container[str], images: list[str], found: set[str], name: str) -> None:
        """Notes what the label file and the images do not share. `found`: the files that the labels reach."""
        missing = [key for key in self._keys if key not in files]
        if len(missing) == len(self._keys):
            raise InputError(
                f"{name}: none of the {len(missing):,} files it names exists in {self.path} (the first is "
                f"{missing[0][:80]!r}); give file names relative to the label file"
            )
        if missing:
            self.notes.append(f"{name}: {len(missing):,} files that it names do not exist: {_few(missing)}")
        unused = [image for image in images if image not in found]
        if unused:
            what = f"{len(unused):,} images have no line in {name} and are not used"
            self.notes.append(f"{self.path}: {what}: {_few(unused)}")

    def __len__(self) -> int:
        return len(self._keys)

    def __getitem__(self, i: int) -> dict[str, Any]:
        i = check_index(i, len(self._keys))
        return {"image": self._read(i), "label": self._labels[i] if self._labels else None, "key": self._keys[i]}

    def labels(self) -> Iterator[str | None]:
        """Every label in order."""
        return iter(self._labels) if self._labels else (None for _ in self._keys)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.path!r}, samples={len(self)}, labelled={self.labelled})"


def _few(names: list[str]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")


def _choose(names: list[str], labels: str | None, where: str, labelled: bool, notes: list[str]) -> str | None:
    """The label file to use among `names` (all text files there), or None: use every image."""
    if labels is not None:
        same = [name for name in names if labels in (name, posixpath.basename(name))]
        if same:
            return same[0]
        raise InputError(f"{where} has no label file {labels!r}; it holds {', '.join(names[:20]) or 'no text file'}")
    known = [name for known in LABEL_FILES for name in names if posixpath.basename(name) == known]
    if not labelled:
        if known:
            notes.append(f"{where}: opened unlabelled, {', '.join(known)} not read, all images used")
        return None
    if not known:
        looked = ", ".join(LABEL_FILES)
        raise NoLabels(f"{where} has no labels (looked for {looked}); open it unlabelled or give labels=")
    if len(known) > 1:
        notes.append(f"{where}: labels from {known[0]}; choose another with labels= ({', '.join(known[1:])})")
    return known[0]


class FolderSource(_FileList):
    """A folder of image files with a label file, or, unlabelled, all its images (also in sub-folders), sorted."""

    def __init__(self, path: str, labels: str | None = None, labelled: bool = True):
        """Raises InputError: no (such) label file, one that cannot be read, or no images."""
        self.path, self.labelled, self.notes = path, labelled, []
        files = walk(path)
        texts = [f for f in files if os.path.dirname(f) == "" and f.lower().endswith(TEXT_SUFFIXES)]
        if labels is not None and os.path.isfile(os.path.join(path, labels)):
            texts.append(labels)
        name = _choose(texts, labels, path, labelled, self.notes)
        images = images_in(files)
        if name is None:
            self._set_images(images)
            return
        full = os.path.join(path, name)
        try:
            with open(full, "rb") as stream:
                data = stream.read()
        except OSError as error:
            raise InputError(f"{full} cannot be read: {error.strerror}; check its permissions") from error
        self._set_pairs(parse_labels(data, full), full)
        named = {key: os.path.normpath(key) for key in self._keys}
        known = set(files)
        exist = {k for k, norm in named.items() if norm in known or os.path.isfile(os.path.join(path, k))}
        self._compare(exist, images, {named[k] for k in exist}, full)

    def _read(self, i: int) -> bytes | None:
        try:
            with open(os.path.join(self.path, self._keys[i]), "rb") as stream:
                return stream.read()
        except OSError:  # counted by the pipeline as an image that is not there
            return None


class TarSource(_FileList):
    """An uncompressed tar with images and a label file. It is indexed once, then images are read by offset."""

    def __init__(self, path: str, labels: str | None = None, labelled: bool = True):
        """Raises InputError: broken archive, no (such) label file, or one that cannot be read."""
        self.path, self.labelled, self.notes = path, labelled, []
        self._fd = None
        members = _index_tar(path)
        texts = [m for m in members if m.lower().endswith(TEXT_SUFFIXES) or m == labels]
        texts.sort(key=lambda m: (m.count("/"), m))
        name = _choose(texts, labels, path, labelled, self.notes)
        images = images_in(list(members))
        if name is None:
            self._set_images(images)
            places = images
        else:
            self._set_pairs(parse_labels(self._pread(members[name]), f"{path}:{name}"), f"{path}:{name}")
            folder = posixpath.dirname(name)
            places = [posixpath.normpath(posixpath.join(folder, key)) for key in self._keys]
            exist = {k for k, place in zip(self._keys, places, strict=True) if place in members}
            self._compare(exist, images, set(places), name)
        self._places = [members.get(place) for place in places]

    def _read(self, i: int) -> bytes | None:
        place = self._places[i]
        return None if place is None else self._pread(place)

    def _pread(self, place: tuple[int, int]) -> bytes:
        if self._fd is None:
            with _lock:
                if self._fd is None:
                    self._fd = _Descriptor(self.path)
        # pread has no position of its own, so threads do not disturb each other.
        return os.pread(self._fd.number, place[1], place[0])

    def __getstate__(self) -> dict:
        return {**self.__dict__, "_fd": None}


class _Descriptor:
    """An open file that closes itself with its owner."""

    def __init__(self, path: str):
        try:
            self.number = os.open(path, os.O_RDONLY)
        except OSError as error:
            raise InputError(f"{path} cannot be read: {error.strerror}; check that it is still there") from error

    def __del__(self, close=os.close):  # bound here: when the interpreter ends, `os` may be empty already
        if hasattr(self, "number"):
            close(self.number)


def _index_tar(path: str) -> dict[str, tuple[int, int]]:
    """Member -> (offset, size) of every file in the archive."""
    try:
        size = os.path.getsize(path)
        with tarfile.open(path, "r:") as archive:
            infos = [info for info in archive if info.isfile()]
            end = archive.offset
        with open(path, "rb") as stream:
            stream.seek(end)
            ended = stream.read(512) == bytes(512)
    except (tarfile.TarError, OSError, EOFError) as error:
        raise InputError(f"{path} is not a readable uncompressed tar ({error}); copy or make it again") from error
    # tarfile takes any damaged or missing header after the first for the end of the archive.
    if not ended or any(info.offset_data + info.size > size for info in infos):
        raise InputError(f"{path} is truncated or damaged at byte {min(end, size):,}; copy or make it again")
    members = {posixpath.normpath(info.name): (info.offset_data, info.size) for info in infos}
    return {name: place for name, place in members.items() if "/." not in f"/{name}"}
