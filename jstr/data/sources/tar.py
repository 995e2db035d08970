"""Uncompressed tar archives of images with labels, in one file or in texts beside the images."""

from __future__ import annotations

import os
import posixpath
import tarfile
import threading

from jstr.data.sources.files import FileList, images_in
from jstr.data.sources.label_choice import choose_label_file, image_folders
from jstr.data.sources.label_files import TEXT_SUFFIXES
from jstr.data.sources.label_notes import few_names
from jstr.data.sources.texts_beside import texts_beside
from jstr.text.messages import InputError, first_line

COMPRESSED = "is compressed, so samples cannot be read in any order; unpack it to a folder or .tar"
_lock = threading.Lock()
_MAX_LINKS = 10  # that lead from one member to another


class TarSource(FileList):
    """An uncompressed tar with images and a label file, or texts beside the images.

    It is indexed once, then images are read by offset.
    """

    def __init__(self, path: str, labels: str | None = None, labelled: bool = True):
        """Raises InputError: broken archive, no (such) label file, or one that cannot be read."""
        self.path, self.labelled, self.notes = path, labelled, []
        self._fd: _Descriptor | None = None
        members = _index_tar(path, self.notes)
        texts = [m for m in members if m.lower().endswith(TEXT_SUFFIXES) or m == labels]
        texts.sort(key=lambda m: (m.count("/"), m))
        files = list(members)
        images = images_in(files)
        beside = texts_beside(images, files)
        name = choose_label_file(texts, labels, path, labelled, len(beside), self.notes)
        places: list[str | None]
        if name is None:
            if labelled:
                self._set_beside(beside, images, files, f"{path}:", lambda text: self._pread(members[text]))
            else:
                self._set_images(images)
            places = list(self._keys)
        else:
            self._set_labels(self._pread(members[name]), f"{path}:{name}")
            folders = image_folders(name)

            def find(key: str) -> str | None:
                candidates = (_member_name(posixpath.join(folder, key)) for folder in folders)
                return next((place for place in candidates if place in members), None)

            places = self._locate(find, images, name)
        self._places = [None if place is None else members[place] for place in places]

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


def _member_name(name: str) -> str:
    """The normal form of a name in an archive, where "/a", "./a" and "a" are the same file."""
    return posixpath.normpath(name.lstrip("/"))


def _index_tar(path: str, notes: list[str]) -> dict[str, tuple[int, int]]:
    """Member -> (offset, size) of every file in the archive, hard and symbolic links included."""
    if _is_compressed(path):
        raise InputError(f"{path} {COMPRESSED}")
    try:
        size = os.path.getsize(path)
        with tarfile.open(path, "r:") as archive:
            infos = list(archive)
            end = archive.offset
        ended, more = _ending(path, end)
    except Exception as error:  # tarfile raises many kinds for damaged headers
        raise InputError(
            f"{path} is not a readable uncompressed tar ({first_line(error)}); copy or make it again"
        ) from error
    files = [info for info in infos if info.isreg() and not info.issparse()]
    # tarfile takes any damaged or missing header after the first for the end of the archive.
    if not ended or any(info.size < 0 or info.offset_data + info.size > size for info in files):
        raise InputError(f"{path} is truncated or damaged at byte {min(end, size):,}; copy or make it again")
    if more:
        raise InputError(
            f"{path} goes on after its end, at byte {end:,}: a second tar? Join tars with tar --concatenate"
        )
    places: dict[str, tuple[int, int]] = {}
    links: dict[str, str] = {}
    for info in infos:  # a later member replaces an earlier one of the same name
        name = _member_name(info.name)
        places.pop(name, None), links.pop(name, None)
        if info.isreg() and not info.issparse():
            places[name] = info.offset_data, info.size
        elif info.islnk():
            links[name] = _member_name(info.linkname)
        elif info.issym():
            links[name] = _member_name(posixpath.join(posixpath.dirname(name), info.linkname))
        elif not info.isdir():
            links[name] = ""  # sparse files and devices: no image can be read from them
    lost = _follow_links(places, links)
    if lost:
        notes.append(f"{path}: {len(lost):,} links and special files lead to no file in the archive: {few_names(lost)}")
    return {name: place for name, place in places.items() if not _is_hidden(name)}


def _ending(path: str, end: int) -> tuple[bool, bool]:
    """Whether an archive has an empty block at byte `end`, and whether anything but zeros follows."""
    with open(path, "rb") as stream:
        stream.seek(end)
        ended = stream.read(512) == bytes(512)
        return ended, ended and any(part.strip(b"\0") for part in iter(lambda: stream.read(1 << 16), b""))


def _is_compressed(path: str) -> bool:
    """Whether a file is one of gzip, bzip2, xz or zstd, by its first bytes."""
    try:
        with open(path, "rb") as stream:
            return stream.read(6).startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd"))
    except OSError:  # said where it is opened
        return False


def _is_hidden(name: str) -> bool:
    return any(part.startswith(".") and part != ".." for part in name.split("/"))


def _follow_links(places: dict[str, tuple[int, int]], links: dict[str, str]) -> list[str]:
    """Adds the links to the places; returns those that lead nowhere."""
    lost = []
    for name, target in links.items():
        for _ in range(_MAX_LINKS):
            target = links.get(target, target)
        if target in places:
            places[name] = places[target]
        else:
            lost.append(name)
    return lost
