"""Readers of general containers: LMDB, Parquet files of Hugging Face, and a folder with labels."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from jstr.data.importers.base import Numbered, Reader, Word, file_word
from jstr.data.sources.files import images_in, walk
from jstr.data.sources.label_files import LABEL_FILES, LOOKED_FOR, TEXT_SUFFIXES
from jstr.data.sources.lmdb import LmdbSource, is_lmdb_file
from jstr.data.sources.open import lmdbs_in, open_source
from jstr.data.sources.texts_beside import texts_beside
from jstr.text.messages import InputError, first_few, first_line

_NAMES = {"train": "train training", "val": "val valid validation dev", "test": "test testing eval evaluation"}
_SPLITS = {name: split for split, names in _NAMES.items() for name in names.split()}


class Lmdb(Reader):
    """LMDB of deep-text-recognition-benchmark and PARSeq: num-samples, image-%09d, label-%09d.

    --src is an LMDB, or is searched for **/data.mdb and LMDBs in single files. Folders or files called train or
    training, val or validation, test or evaluation right below it (or --src itself) name the split; everything else is
    `train`.
    """

    name = "lmdb"

    def find(self) -> dict[str, list[str]]:
        self.refuse_labels()
        found: dict[str, list[str]] = {}
        own = _SPLITS.get(self.src.absolute().stem.lower(), "train")
        if is_lmdb_file(str(self.src)):
            return {own: ["."]}
        for path in map(Path, lmdbs_in(str(self.src), walk(str(self.src)))):
            split = _SPLITS.get(Path(path.parts[0]).stem.lower()) if path.parts else None
            found.setdefault(split or own, []).append(path.as_posix())
        if not found:
            raise self.not_found("an LMDB (data.mdb, or a single file), here or below")
        return found

    def files(self) -> list[Path]:
        paths = [self.src / place for places in self.index.values() for place in places]
        return [path / "data.mdb" if path.is_dir() else path for path in paths]

    def entries(self, split: str) -> Numbered:
        sources = {folder: _lmdb(str(self.src / folder)) for folder in self.index[split]}
        self.notes += [f"{split}: {note}" for source in sources.values() for note in source.notes]
        return Numbered({folder: len(source) for folder, source in sources.items()})

    def words(self, entry: tuple[str, int]) -> Iterator[Word]:
        folder, i = entry
        sample = _lmdb(str(self.src / folder))[i]
        key = sample["key"] if folder == "." else f"{folder}/{sample['key']}"
        yield Word(key, sample["label"], sample["image"], None if sample["image"] else "missing image")


@lru_cache(64)
def _lmdb(path: str) -> LmdbSource:
    return LmdbSource(path)


class Folder(Reader):
    """Images with a label file in the forms of jstr/data/sources/label_files.py: one of LABEL_FILES, or the only .tsv
    or .csv file of another name; --labels=FILE chooses. Without one, a text file beside each image (texts_beside.py).
    A tar of this form will do. Folders called train, val and test (or as above) that are such are splits; else all is
    `train`.
    """

    name = "folder"

    def find(self) -> dict[str, tuple[Path, str | None]]:
        if self.src.is_file():
            if self.src.suffix.lower() == ".tar":
                return {"train": (self.src, self.labels)}
            return {"train": (self.src.parent, self.src.name)}
        name = self._label_file(self.src)
        if name:
            return {_SPLITS.get(self.src.absolute().name.lower(), "train"): (self.src, name)}
        below = [f for f in sorted(self.src.iterdir()) if f.is_dir() and not f.name.startswith(".")]
        splits = [f for f in below if f.name.lower() in _SPLITS]
        found = self._by_split({f: name for f in splits if (name := self._label_file(f))})
        if not (found or self.labels):
            found = self._by_split({f: None for f in splits if _texts_below(f)})
            if not found and _texts_below(self.src):
                return {_SPLITS.get(self.src.absolute().name.lower(), "train"): (self.src, None)}
        if not found:
            wanted = self.labels or f"{LOOKED_FOR}, or another .tsv or .csv"
            raise self.not_found(f"{wanted}, here or in train, val and test")
        used = {folder for folder, _ in found.values()}
        others = [f.name for f in below if f not in used and _has_labels(f)]
        if others:
            self.notes.append(f"not imported: the labels in {first_few(others)}; import them one by one with --src")
        return found

    def _by_split(self, folders: dict[Path, str | None]) -> dict[str, tuple[Path, str | None]]:
        """split -> (folder, its label file). Raises InputError: two folders are of one split."""
        found: dict[str, tuple[Path, str | None]] = {}
        for folder, name in folders.items():
            split = _SPLITS[folder.name.lower()]
            if split in found:
                both = f"{found[split][0]} and {folder}"
                raise InputError(f"{both} are both the {split} split; import them one by one with --src")
            found[split] = (folder, name)
        return found

    def _label_file(self, folder: Path) -> str | None:
        if self.labels:
            return self.labels if (folder / self.labels).is_file() else None
        known = next((name for name in LABEL_FILES if (folder / name).is_file()), None)
        if known:
            return known
        others = sorted(f.name for f in folder.iterdir() if f.suffix.lower() in (".tsv", ".csv"))
        if len(others) > 1:
            raise InputError(f"{folder} has several label files ({', '.join(others[:8])}); choose one with --labels=")
        return others[0] if others else None

    def image_folders(self, split: str) -> list[Path]:
        return [self.index[split][0]]

    def files(self) -> list[Path]:
        found: list[Path] = []
        for folder, name in self.index.values():
            if folder.is_file():
                found.append(folder)
            else:
                found += [folder / text for text in ([name] if name else _texts_below(folder))]
        return found

    def entries(self, split: str) -> Numbered:
        source = _folder(*self.index[split])
        # Files that do not exist are counted one by one; images without a line would otherwise go unsaid.
        self.notes += [f"{split}: {note}" for note in source.notes if "do not exist" not in note]
        return Numbered({split: len(source)})

    def words(self, entry: tuple[str, int]) -> Iterator[Word]:
        split, i = entry
        sample = _folder(*self.index[split])[i]
        problem = "missing file" if sample["image"] is None else None
        problem = "marked unreadable" if problem is None and sample["label"] is None else problem
        yield Word(sample["key"], sample["label"], sample["image"], problem)


def _has_labels(folder: Path) -> bool:
    """Whether a folder has a file that could be of labels, or texts beside images."""
    return any(f.suffix.lower() in TEXT_SUFFIXES for f in folder.iterdir()) or bool(_texts_below(folder))


def _texts_below(folder: Path) -> list[str]:
    """The text files beside images, relative to the folder."""
    files = walk(str(folder))
    return sorted(set(texts_beside(images_in(files), files).values()))


@lru_cache(4)
def _folder(path: Path, labels: str | None) -> Any:
    return open_source(path, labels=labels)


class HuggingFace(Reader):
    """Parquet files as `datasets` writes them: an image column {bytes, path} (or bytes) and a text column.

    train-00000-of-00003.parquet, or a folder called train, gives the split; else it is `train`. The text column is
    --labels, or the only one called text, label, word, transcription, ... A ClassLabel becomes its name.
    """

    name = "huggingface"
    _TEXTS = ("text", "label", "labels", "word", "words", "transcription", "transcript", "ground_truth", "caption")

    def find(self) -> dict[str, list[Path]]:
        if self.src.is_file():
            files = [self.src] if self.src.suffix == ".parquet" else []
            self.root = self.src.parent
        else:
            files = [self.src / f for f in walk(str(self.src)) if f.endswith(".parquet")]
        if not files:
            raise self.not_found("*.parquet, here or below")
        found: dict[str, list[Path]] = {}
        for path in files:
            found.setdefault(self._split(path), []).append(path)
        self._columns = {path: self._choose(path) for path in files}
        groups = [group for path in files for group in _row_groups(path)]
        self.words_per_entry = sum(groups) / max(len(groups), 1)
        return found

    def _split(self, path: Path) -> str:
        name = re.match(r"(?:partial-)?([A-Za-z0-9_]+?)-\d+-of-\d+", path.name)
        folder = path.parent.name.removeprefix("partial-")
        return name[1] if name else _SPLITS.get(folder.lower()) or _SPLITS.get(path.stem.lower(), "train")

    def _choose(self, path: Path) -> tuple[str, str, list[str] | None]:
        """(image column, text column, names of the classes if it is a ClassLabel)."""
        schema = _open_parquet(path).schema_arrow
        columns = f"{path} has the columns {', '.join(schema.names)}"
        images = [f.name for f in schema if _is_image(f.type)]
        if len(images) != 1:
            raise InputError(f"{columns}: exactly one must hold images as bytes, not {len(images)}")
        texts = [f.name for f in schema if f.name in self._TEXTS and _is_text(schema, f)]
        if self.labels:
            if self.labels not in schema.names or not _is_text(schema, schema.field(self.labels)):
                raise InputError(f"{columns}: --labels={self.labels} is not one that holds text; choose another")
            texts = [self.labels]
        if len(texts) != 1:
            raise InputError(
                f"{columns}: {' and '.join(texts) or 'none'} could be the text; choose with --labels=COLUMN"
            )
        names = _class_names(schema, texts[0])
        return images[0], texts[0], names

    def files(self) -> list[Path]:
        return [path for paths in self.index.values() for path in paths]

    def entries(self, split: str) -> list[tuple[Path, int]]:
        return [(path, group) for path in self.index[split] for group in range(len(_row_groups(path)))]

    def words(self, entry: tuple[Path, int]) -> Iterator[Word]:
        path, group = entry
        image_column, text_column, names = self._columns[path]
        row = sum(_row_groups(path)[:group])
        where = path.relative_to(self.root).as_posix()
        for image, label in _rows(path, group, [image_column, text_column]):
            yield self._word(f"{where}:{row}", image, _class_name(label, names), path)
            row += 1

    def _word(self, key: str, image: Any, label: str | None, path: Path) -> Word:
        stored = image if isinstance(image, dict) else {"bytes": image}
        if stored.get("bytes") is not None:
            return Word(key, label, stored["bytes"])
        if stored.get("path"):  # the image lies beside the file
            return file_word(path.parent, stored["path"], label)._replace(key=key)
        return Word(key, label, None, "missing image")


@lru_cache(8)
def _open_parquet(path: Path) -> Any:
    import pyarrow as pa
    import pyarrow.parquet

    try:
        return pyarrow.parquet.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path} is not a readable Parquet file ({first_line(error)}); get it again") from error


def _rows(path: Path, group: int, columns: list[str]) -> Iterator[tuple]:
    """The rows of a row group. Raises InputError: it is damaged."""
    try:
        for batch in _open_parquet(path).iter_batches(256, row_groups=[group], columns=columns):
            yield from zip(*(batch.column(name).to_pylist() for name in columns), strict=True)
    except (ValueError, OSError, RuntimeError) as error:  # of pyarrow, and of text that is not UTF-8
        raise InputError(f"{path}: row group {group} cannot be read ({first_line(error)}); get it again") from error


def _row_groups(path: Path) -> list[int]:
    meta = _open_parquet(path).metadata
    return [meta.row_group(g).num_rows for g in range(meta.num_row_groups)]


def _is_image(kind: Any) -> bool:
    import pyarrow as pa

    if pa.types.is_struct(kind):
        fields = {kind.field(i).name: kind.field(i).type for i in range(kind.num_fields)}
        return "bytes" in fields and _is_image(fields["bytes"])
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)


def _is_text(schema: Any, field: Any) -> bool:
    import pyarrow as pa

    kind = field.type
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or _class_names(schema, field.name) is not None


def _class_names(schema: Any, column: str) -> list[str] | None:
    """The names of a ClassLabel, which `datasets` keeps as JSON in the metadata of the schema."""
    try:
        feature = json.loads(schema.metadata[b"huggingface"])["info"]["features"][column]
    except (TypeError, KeyError, ValueError):
        return None
    return feature.get("names") if isinstance(feature, dict) and feature.get("_type") == "ClassLabel" else None


def _class_name(value: Any, names: list[str] | None) -> str | None:
    if names is None or value is None:
        return value
    return names[value] if 0 <= value < len(names) else None
