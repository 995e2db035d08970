"""Image folders, and what they share with tar archives: a list of files with labels or without."""

from __future__ import annotations

import operator
import os
import posixpath
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from jstr.data.decode import read_regular_file
from jstr.data.sources.label_choice import choose_label_file, image_folders
from jstr.data.sources.label_files import LABEL_FILES, TEXT_SUFFIXES, parse_labels
from jstr.data.sources.label_notes import conflicts, few_names, held_out_notes, is_suspicious, label_notes
from jstr.data.sources.texts_beside import ENDS, read_beside, texts_beside
from jstr.text.messages import InputError, first_few

# What decode_file can decode, and people have. Other files are read where they are named one by one.
_SUFFIXES = (
    ".jpg .jpeg .jpe .jfif .png .apng .bmp .gif .tif .tiff .webp .avif .avifs .ppm .pgm .pbm .pnm .jp2 .j2k .jpf .jpx"
)
IMAGE_SUFFIXES = tuple(_SUFFIXES.split())
DONE = ".found"  # beside word crops, what jstr detect has done; nobody needs to hear that it is left out


def check_index(i: int, length: int) -> int:
    """`i` as a plain int. Raises IndexError outside 0..length-1, so that iteration over a source ends."""
    i = operator.index(i)
    if not 0 <= i < length:
        raise IndexError(f"sample {i} of {length}")
    return i


def images_in(files: Sequence[str]) -> list[str]:
    """Those whose suffix is that of an image."""
    return [f for f in files if f.lower().endswith(IMAGE_SUFFIXES)]


def walk(root: str, left_out: Callable[[str, str], None] = lambda path, why: None) -> list[str]:
    """Paths of all files below `root`, relative and sorted. Links are followed; hidden files are left out.

    left_out: called with the relative path of every file or folder that is not returned, and why.
    """
    found = []
    for folder, subfolders, names in os.walk(root, followlinks=True, onerror=lambda e: _cannot_list(e, root, left_out)):
        prefix, below = os.path.relpath(folder, root), set(subfolders)
        for name in [*subfolders, *names]:
            path = os.path.normpath(os.path.join(prefix, name))
            if name == DONE:
                continue
            if name.startswith("."):
                left_out(path, "hidden")
            elif name not in below:
                found.append(path)
            elif _leads_back(root, folder, name):
                left_out(path, "a link to a folder above it")
            elif images_in([name]):
                left_out(path, "a folder, not an image")
        subfolders[:] = [s for s in subfolders if not s.startswith(".") and not _leads_back(root, folder, s)]
    return sorted(found)


class Listing(NamedTuple):
    """files: what `walk` returns. left_out: why -> paths of what it leaves out."""

    files: list[str]
    left_out: dict[str, list[str]]

    @classmethod
    def of(cls, root: str) -> Listing:
        left_out: dict[str, list[str]] = {}
        return cls(walk(root, lambda path, why: left_out.setdefault(why, []).append(path)), left_out)


def _cannot_list(error: OSError, root: str, left_out: Callable[[str, str], None]) -> None:
    left_out(os.path.relpath(error.filename, root), f"cannot be listed ({error.strerror})")


def _leads_back(root: str, folder: str, name: str) -> bool:
    """Whether `name` is, through links, a folder between `root` and itself: following it would never end."""
    way = [root]
    for part in os.path.relpath(os.path.join(folder, name), root).split(os.sep):
        way.append(os.path.join(way[-1], part))
    if not any(map(os.path.islink, way[1:])):
        return False
    *above, last = map(os.path.realpath, way)
    return last in above


ReadText = Callable[[str], bytes]  # name of a text file -> its content


class FileList:
    """What folder and tar share: a list of keys, with labels or without. `_read(i)` gives the image, or None."""

    path: str
    notes: list[str]
    labelled: bool
    _keys: list[str]
    _labels: list[str | None] | None = None

    def _set_labels(self, data: bytes, name: str) -> None:
        pairs, notes = parse_labels(data, name)
        if not pairs:
            raise InputError(f"{name} holds no lines; write one line per image, or open it unlabelled")
        self.notes += notes
        self._set_pairs(pairs, name)

    def _set_pairs(self, pairs: Sequence[tuple[str, str | None]], name: str) -> None:
        self._keys = [file for file, _ in pairs]
        self._labels = [label for _, label in pairs] if self.labelled else None
        if self.labelled:
            unreadable = [file for file, label in pairs if label is None]
            if unreadable:
                self.notes.append(f"{name}: {len(unreadable):,} words are marked unreadable: {few_names(unreadable)}")
            suspicious = Counter(label for _, label in pairs if is_suspicious(label))
            self.notes += [f"{name}: {note}" for note in label_notes(suspicious, len(pairs))]
            self.notes += conflicts(((_plain(file), label) for file, label in pairs), name)

    def _set_beside(
        self, beside: Mapping[str, str], images: Sequence[str], files: Sequence[str], where: str, read: ReadText
    ) -> None:
        """Labels from the text files `beside` images, see read_beside; notes images and texts without the other."""
        self._set_pairs(read_beside(beside, where, read), self.path)
        texts = set(beside.values())
        alone = [file for file in files if file.endswith(ENDS) and file not in texts]
        without = [image for image in images if image not in beside]
        if without:
            what = f"{len(without):,} images have no text file beside them and are not used"
            self.notes.append(f"{self.path}: {what}: {few_names(without)}")
        if alone:
            self.notes.append(f"{self.path}: {len(alone):,} text files have no image beside them: {few_names(alone)}")

    def _set_images(self, images: list[str]) -> None:
        if not images:
            raise InputError(f"{self.path} holds no image files ({' '.join(IMAGE_SUFFIXES)}); check the path")
        self._keys = images

    def _locate(self, find: Callable[[str], str | None], images: Sequence[str], name: str) -> list[str | None]:
        """The file of each key, None where there is none; notes what label file and images do not share.

        find: key -> the file that it names, or None.
        """
        places = [next(filter(None, map(find, _spellings(key))), None) for key in self._keys]
        missing = [key for key, place in zip(self._keys, places, strict=True) if place is None]
        if len(missing) == len(self._keys):
            raise InputError(
                f"{name}: none of the {len(missing):,} files it names exists in {self.path} (the first is "
                f"{missing[0][:80]!r}); give file names relative to the label file"
            )
        if missing:
            what = "files that it names do not exist"
            self.notes.append(f"{name}: {len(missing):,} {what}: {few_names(missing)}")
        found = set(places)
        self.notes += held_out_notes(self.path, {posixpath.dirname(place) or "." for place in found if place})
        unused = [image for image in images if image not in found]
        if unused:
            what = f"{len(unused):,} images have no line in {name} and are not used"
            self.notes.append(f"{self.path}: {what}: {few_names(unused)}")
        return places

    def __len__(self) -> int:
        return len(self._keys)

    def __getitem__(self, i: int) -> dict[str, Any]:
        i = check_index(i, len(self._keys))
        return {"image": self._read(i), "label": self._labels[i] if self._labels else None, "key": self._keys[i]}

    def _read(self, i: int) -> bytes | None:
        raise NotImplementedError

    def keys(self) -> Iterator[str]:
        """Every key in order; images are not read."""
        return iter(self._keys)

    def labels(self) -> Iterator[str | None]:
        """Every label in order."""
        return iter(self._labels) if self._labels else (None for _ in self._keys)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.path!r}, samples={len(self)}, labelled={self.labelled})"


def _spellings(key: str) -> Iterator[str]:
    """A name as written, with the separators of Windows as /, and in Unicode's two normal forms: macOS uses NFD."""
    yield key
    if "\\" in key:
        yield key.replace("\\", "/")
    if not key.isascii():
        yield unicodedata.normalize("NFC", key)
        yield unicodedata.normalize("NFD", key)


def _plain(file: str) -> str:
    """The normal form of a name; the same string where it is that already, for memory."""
    return posixpath.normpath(file) if "./" in file or "//" in file else file


class FolderSource(FileList):
    """A folder of image files with a label file, or with texts beside its images, or, unlabelled, all its images.

    Without a label file, images in sub-folders count, too; they are sorted.
    """

    def __init__(self, path: str, labels: str | None = None, labelled: bool = True, listing: Listing | None = None):
        """Raises InputError: no (such) label file, one that cannot be read, or no images. listing: of `path`."""
        self.path, self.labelled, self.notes = path, labelled, []
        files, left_out = listing or Listing.of(path)
        texts = [f for f in files if os.path.dirname(f) == "" and f.lower().endswith(TEXT_SUFFIXES)]
        if labels is not None and os.path.isfile(os.path.join(path, labels)):
            inside = os.path.relpath(os.path.join(path, labels), path)
            labels = labels if inside.startswith(os.pardir) else inside  # a whole path to a file in the folder, too
            texts.append(labels)
        images = images_in(files)
        beside = texts_beside(images, files)
        name = choose_label_file(texts, labels, path, labelled, len(beside), self.notes)
        self._note_other_sources(files, name)
        self._places: list[str | None]
        if name is not None:
            self._set_labels(self._content(name), os.path.join(path, name))
            self._places = self._named(files, images, name)
            return
        others = [f for f in files if not f.lower().endswith((*IMAGE_SUFFIXES, *TEXT_SUFFIXES, ".mdb"))]
        if others:
            self.notes.append(f"{path}: {len(others):,} files are not images by their suffix: {by_suffix(others)}")
        for why, names in left_out.items():
            self.notes.append(f"{path}: left out, {why}: {few_names(names)}")
        if labelled:
            self._set_beside(beside, images, files, os.path.join(path, ""), self._content)
        else:
            self._set_images(images)
        self.notes += held_out_notes(path, {os.path.dirname(image) or "." for image in self._keys})
        self._places = list(self._keys)

    def place(self, i: int) -> str:
        """The file of sample i, below `path` where it is not absolute; its key where there is none."""
        return self._places[i] or self._keys[i]

    def _content(self, name: str) -> bytes:
        full = os.path.join(self.path, name)
        try:
            with open(full, "rb") as stream:
                return stream.read()
        except OSError as error:
            raise InputError(f"{full} cannot be read: {error.strerror}; check its permissions") from error

    def _named(self, files: Sequence[str], images: Sequence[str], name: str) -> list[str | None]:
        """The files that the label file `name` names."""
        known, starts = set(files), image_folders(name)

        def find(key: str) -> str | None:
            if key.startswith("~") and key not in known:
                key = os.path.expanduser(key)
            for folder in starts:
                place = os.path.normpath(os.path.join(folder, key)) if key else ""
                if place in known or (place and "\0" not in place and os.path.isfile(os.path.join(self.path, place))):
                    return place
            return None

        # Whole paths, as jstr review saves them wherever a browser puts its downloads, say nothing of this folder.
        own = any(not os.path.isabs(os.path.expanduser(key)) for key in self._keys)
        return self._locate(find, images if own else [], os.path.join(self.path, name))

    def _note_other_sources(self, files: Sequence[str], name: str | None) -> None:
        stores = [f for f in files if os.path.basename(f) == "data.mdb"]
        if stores:
            self.notes.append(f"{self.path}: {len(stores):,} LMDBs below are not read: {few_names(stores)}")
        deeper = [f for f in files if os.path.dirname(f) and os.path.basename(f) in LABEL_FILES and f != name]
        if deeper and (name is not None or self.labelled):
            self.notes.append(f"{self.path}: {len(deeper):,} label files below are not read: {few_names(deeper)}")

    def _read(self, i: int) -> bytes | None:
        place = self._places[i]
        try:
            return None if place is None else read_regular_file(os.path.join(self.path, place))
        except (OSError, ValueError):  # counted by the pipeline as an image that is not there
            return None


def by_suffix(files: Sequence[str]) -> str:
    """Counts of files by suffix, for a message: "3 .txt, 2 .heic"."""
    counts = Counter(os.path.splitext(f)[1].lower() or "without suffix" for f in files)
    return first_few([f"{n:,} {suffix}" for suffix, n in counts.most_common()], 3)
