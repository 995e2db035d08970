"""Readers of sets that were published as images of single words."""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from jstr.data.importers.base import Lines, Reader, Word, file_word, first_folder, read_file, read_text
from jstr.data.importers.matlab import load_mat, mat_text
from jstr.data.sources.label_files import parse_labels
from jstr.data.sources.label_notes import conflicts
from jstr.text.messages import InputError


class MjSynth(Reader):
    """MJSynth (Jaderberg, Simonyan, Vedaldi, Zisserman 2014), the archive mjsynth.tar.gz unpacked.

    mnt/ramdisk/max/90kDICT32px holds annotation_train.txt, annotation_val.txt and annotation_test.txt with lines
    `./2425/1/115_Lube_45484.jpg 45484`. The label is the middle of the file name, which keeps upper and lower case.
    """

    name = "mjsynth"
    _FOLDERS = ("mnt/ramdisk/max/90kDICT32px", "ramdisk/max/90kDICT32px", "max/90kDICT32px", "90kDICT32px", "")

    def find(self) -> dict[str, Path]:
        self.refuse_labels()
        names = {split: f"annotation_{split}.txt" for split in ("train", "val", "test")}
        root = first_folder(self.src, self._FOLDERS, names.values())
        if root is None:
            raise self.not_found(f"{', '.join(names.values())}, here or in {self._FOLDERS[0]}")
        self.root = root
        return {split: root / name for split, name in names.items() if (root / name).is_file()}

    def entries(self, split: str) -> Sequence[bytes]:
        return Lines(self.index[split])

    def words(self, entry: bytes) -> Iterator[Word]:
        line = entry.decode("utf-8", "replace").strip()
        if not line:
            return
        name = posixpath.normpath(line.split()[0])
        parts = posixpath.basename(name).split("_")
        if len(parts) < 3:
            yield Word(name, None, None, "file name holds no label (NUMBER_LABEL_NUMBER.jpg)")
        else:
            yield file_word(self.root, name, "_".join(parts[1:-1]))


class Iiit5k(Reader):
    """IIIT 5K-Word (Mishra, Alahari, Jawahar, BMVC 2012), IIIT5K-Word_V3.0 unpacked.

    traindata.mat and testdata.mat hold structs with ImgName and GroundTruth (mostly upper case); trainCharBound.mat
    and testCharBound.mat hold ImgName and `chars`, the same words with case. --labels=GroundTruth or chars chooses;
    without it the first that is there.
    """

    name = "iiit5k"
    _FILES = {"GroundTruth": "data.mat", "chars": "CharBound.mat"}

    def find(self) -> dict[str, Path]:
        if self.labels not in (None, *self._FILES):
            raise InputError(f"--labels={self.labels}: iiit5k has {' and '.join(self._FILES)}; choose one")
        ends = [self._FILES[self.labels]] if self.labels else list(self._FILES.values())
        for end in ends:
            names = {split: f"{split}{end}" for split in ("train", "test")}
            root = first_folder(self.src, ("", "IIIT5K", "IIIT5K-Word_V3.0"), names.values())
            if root is not None:
                self.root = root
                return {split: root / name for split, name in names.items() if (root / name).is_file()}
        raise self.not_found(" or ".join(f"train{end}, test{end}" for end in ends))

    def entries(self, split: str) -> list[tuple[str, str]]:
        path = self.index[split]
        field = next(field for field, end in self._FILES.items() if path.name.endswith(end))
        rows = load_mat(path, [path.stem])[path.stem].ravel()
        missing = {"ImgName", field} - set(rows.dtype.names or ())
        if missing:
            raise InputError(f"{path}: {path.stem} has no field {', '.join(sorted(missing))}; get the file again")
        return [(mat_text(row["ImgName"]), mat_text(row[field])) for row in rows]

    def words(self, entry: tuple[str, str]) -> Iterator[Word]:
        yield file_word(self.root, *entry)


class Icdar(Reader):
    """ICDAR 2013 and 2015 word recognition (Robust Reading Competition, tasks 2.3 and 4.3), unpacked.

    Ground truth is gt.txt beside the images, or Challenge*_Task3_GT.txt beside or in the folder of images, with lines
    `word_1.png, "Tiredness"`: UTF-8 with or without byte order mark, quotes inside escaped by a backslash. A path
    with "test" in it is the test split, others are for training. The label ### marks an unreadable word.
    """

    name = "icdar"
    _PATTERNS = ("gt.txt", "Challenge*_Task3_GT.txt")

    def find(self) -> dict[str, Path]:
        self.refuse_labels()
        found: dict[str, Path] = {}
        for path in (p for deep in ("", "*/", "*/*/") for end in self._PATTERNS for p in self.src.glob(deep + end)):
            split = self._split(path)
            if split in found:
                both = f"{found[split]} and {path}"
                raise InputError(f"{both} both look like the {split} split; import them one by one with --src")
            found[split] = path
        if not found:
            raise self.not_found(" or ".join(self._PATTERNS))
        return dict(sorted(found.items(), reverse=True))

    def _split(self, path: Path) -> str:
        name = f"{self.src.absolute().name}/{path.relative_to(self.src)}".lower()
        return "test" if re.search("(?<![a-z])test", name) else "train"

    def entries(self, split: str) -> list[tuple[str, str, str | None]]:
        path = self.index[split]
        pairs, notes = parse_labels(read_file(path), str(path))
        self.notes += notes + conflicts(pairs, str(path))
        folder = self._images(path, split, [name for name, _ in islice(pairs, 5)])
        return [(str(folder), name, label) for name, label in pairs]

    def image_folders(self, split: str) -> list[Path]:
        """The folder of the ground truth, then those in it, first of the same split."""
        folder = self.index[split].parent
        inside = [f for f in folder.iterdir() if f.is_dir() and not (f / "gt.txt").is_file()]
        return [folder, *sorted(inside, key=lambda f: (self._split(f) != split, f))]

    def _images(self, path: Path, split: str, names: list[str]) -> Path:
        """The folder that holds the files `names`: that of the ground truth, or one in it, best of the same split."""
        folders = self.image_folders(split)
        for folder in folders:
            if any((folder / name).is_file() for name in names):
                return folder
        looked = ", ".join(f.name for f in folders)
        raise InputError(f"{path}: {', '.join(names[:2])}, ... are in no folder of {looked}; unpack the images there")

    def words(self, entry: tuple[str, str, str | None]) -> Iterator[Word]:
        folder, name, label = entry
        word = file_word(Path(folder), name, label)
        yield word._replace(image=None, problem="marked unreadable (###)") if label is None else word


class IamWords(Reader):
    """IAM words (Marti and Bunke 2002), words.tgz and ascii.tgz unpacked.

    words.txt (or ascii/words.txt) has lines `a01-000u-00-00 ok 154 408 768 27 51 AT A`; the image is
    words/a01/a01-000u/a01-000u-00-00.png. trainset.txt, validationset1.txt, validationset2.txt and testset.txt of
    largeWriterIndependentTextLineRecognitionTask.zip, where they lie there too, make the splits; else all is `train`.
    """

    name = "iam"
    _TASK = "largeWriterIndependentTextLineRecognitionTask"
    _LISTS = {"train": "trainset", "validation1": "validationset1", "validation2": "validationset2", "test": "testset"}

    def find(self) -> dict[str, Path]:
        self.refuse_labels()
        folder = first_folder(self.src, ("", "ascii"), ["words.txt"])
        if folder is None:
            raise self.not_found("words.txt, here or in ascii")
        self._text = folder / "words.txt"
        self.root = self.src / "words" if (self.src / "words").is_dir() else self.src
        lists = first_folder(self.src, ("", "ascii", self._TASK), [f"{name}.txt" for name in self._LISTS.values()])
        if lists is None:
            return {"train": self._text}
        index = {s: lists / f"{n}.txt" for s, n in self._LISTS.items() if (lists / f"{n}.txt").is_file()}
        listed = {line for path in index.values() for line in read_text(path).split()}
        rest = sum(self._line_of(entry) not in listed for entry in self._all())
        if rest:
            self.notes.append(f"{rest:,} words are of lines in none of {', '.join(p.name for p in index.values())}")
        return index

    def files(self) -> list[Path]:
        return sorted({self._text, *self.index.values()})

    def _all(self) -> list[bytes]:
        return [line for line in Lines(self._text) if line.strip() and not line.startswith(b"#")]

    @staticmethod
    def _line_of(entry: bytes) -> str:
        """a01-000u-00-01 ok ... -> a01-000u-00"""
        return entry.split()[0].decode("utf-8", "replace").rpartition("-")[0]

    def entries(self, split: str) -> list[bytes]:
        if self.index[split] == self._text:
            return self._all()
        wanted = set(read_text(self.index[split]).split())
        return [entry for entry in self._all() if self._line_of(entry) in wanted]

    def words(self, entry: bytes) -> Iterator[Word]:
        fields = entry.decode("utf-8", "replace").strip().split(" ")
        key = fields[0]
        if len(fields) < 9 or key.count("-") < 3:
            yield Word(key, None, None, "line has not the form of words.txt")
            return
        form, _, rest = key.partition("-")
        name = f"{form}/{form}-{rest.partition('-')[0]}/{key}.png"
        if fields[1] != "ok":
            yield Word(name, None, None, f"segmentation marked {fields[1]}, not ok")
        else:
            yield file_word(self.root, name, " ".join(fields[8:]))


class Union14M(Reader):
    """Union14M-L and Union14M-Benchmark (Jiang et al., ICCV 2023): JSON lines {"filename": ..., "text": ...}.

    Each file of train_annos/mmocr-0.x (or of --src) is a split of its own name (train_easy, val_annos), each
    NAME/annotation.jsonl of the benchmark one called NAME. --src may also be a single .jsonl file. Names start at the
    folder of the set, at full_images in it, or at the folder of the file. Union14M-U is LMDB: import it as `lmdb`.
    """

    name = "union14m"
    _FOLDERS = ("", "Union14M-L", "train_annos", "train_annos/*", "Union14M-L/train_annos", "Union14M-L/train_annos/*")
    _BENCHMARKS = ("", "Union14M-Benchmarks/", "*/Union14M-Benchmarks/")

    def find(self) -> dict[str, Path]:
        self.refuse_labels()
        if self.src.is_file():
            self.root = self.src.parent
            return {_split_name(self.src.stem): self.src}
        found = {}
        for path in [p for folder in self._FOLDERS for p in sorted(self.src.glob(f"{folder}/*.jsonl".lstrip("/")))]:
            found.setdefault(_split_name(path.stem), path)
        for path in (p for folder in self._BENCHMARKS for p in sorted(self.src.glob(f"{folder}*/annotation.jsonl"))):
            found.setdefault(_split_name(path.parent.name), path)
        if not found:
            raise self.not_found("*.jsonl, train_annos/*/*.jsonl or */annotation.jsonl")
        return found

    def image_folders(self, split: str) -> list[Path]:
        inside = [self.root / f for f in ("full_images", "Union14M-L", "Union14M-L/full_images")]
        folder = self.index[split].parent
        return [self.root, *inside, folder, folder / "imgs", folder.parent]

    def entries(self, split: str) -> Sequence[tuple[str, bytes]]:
        path = self.index[split]
        lines = Lines(path)
        names = [name for name, _ in map(_json_pair, islice(lines, 20)) if name]
        folders = self.image_folders(split)
        folder = next((f for f in folders if any((f / name).is_file() for name in names)), self.root)
        return _Tagged(str(folder), lines)

    def words(self, entry: tuple[str, bytes]) -> Iterator[Word]:
        folder, line = entry
        if not line.strip():
            return
        name, label = _json_pair(line)
        if name is None:
            problem = 'line is not {"filename": ..., "text": ...}'
            yield Word(line[:60].decode("utf-8", "replace"), None, None, problem)
        else:
            yield file_word(Path(folder), name, label)


class _Tagged(Sequence):
    """(tag, item) for each item."""

    def __init__(self, tag: str, items: Sequence):
        self._tag, self._items = tag, items

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, i):
        return [(self._tag, item) for item in self._items[i]] if isinstance(i, slice) else (self._tag, self._items[i])


def _json_pair(line: bytes) -> tuple[str | None, str | None]:
    """(file name, text), or (None, None) for a line of another form."""
    try:
        row = json.loads(line)
        name, text = row["filename"], row["text"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None, None
    return (name, text) if isinstance(name, str) and isinstance(text, str) else (None, None)


def _split_name(text: str) -> str:
    """A name that TFDS takes for a split: letters, digits and underscores."""
    return "".join(c if c.isascii() and c.isalnum() else "_" for c in text)
