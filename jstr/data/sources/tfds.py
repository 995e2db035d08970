"""Source over a TensorFlow Datasets data set stored as ArrayRecord. TensorFlow itself is not needed."""

from __future__ import annotations

import glob
import os
import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from jstr.data.sources.files import check_index
from jstr.data.sources.label_files import NoLabels
from jstr.data.sources.label_notes import readable
from jstr.text.messages import InputError, first_line

_LABELS = ("label", "text")
_CHUNK = 512
_lock = threading.Lock()


def tfds_folders(path: str) -> list[str]:
    """`path` or the folders up to two levels below it (CONFIG/VERSION) that hold a dataset_info.json."""
    return sorted(os.path.dirname(f) for deep in ("", "*", "*/*") for f in _infos(path, deep))


def _infos(path: str, deep: str) -> list[str]:
    return glob.glob(os.path.join(glob.escape(path), deep, "dataset_info.json"))


class TfdsSource:
    """A split of a data set with one Image feature; its label feature is `label` or `text` (text, or a class name)."""

    def __init__(self, path: str, split: str | None = None, labelled: bool = True):
        """`path`: folder, or tfds:NAME[/CONFIG], which is downloaded and prepared where it is not yet.

        Raises:
          InputError: cannot be opened, not written as ArrayRecord, no or several image features, no label feature
            although `labelled`, or a split that does not exist or is not given where there are several.
        """
        self.path, self.labelled, self.notes = path, labelled, []
        builder = _builder(path)
        self.split = _choose_split(path, split, list(builder.info.splits))
        features = builder.info.features
        self._image = _image_feature(path, features)
        self._label = next((name for name in _LABELS if name in features), None) if labelled else None
        if labelled and self._label is None:
            wanted = " or ".join(_LABELS)
            raise NoLabels(f"{path} has no feature {wanted} (it has {', '.join(features)}); open it unlabelled")
        # A ClassLabel is stored as a number.
        self._names = getattr(features[self._label], "names", None) if self._label else None
        self._opened = self._open(builder)
        self._length = len(self._opened[0])
        if not self._length:
            raise InputError(f"{path} split {self.split} is empty; choose another")

    def _open(self, builder: Any) -> tuple[Any, Callable, Callable | None]:
        """Records as bytes, and two functions of a record: to image and label, and, faster, to the label alone."""
        import tensorflow_datasets as tfds

        try:
            raw = tfds.decode.DeserializeMethod.RAW_BYTES
            records = builder.as_data_source(split=self.split, deserialize_method=raw)
        except Exception as error:  # tfds raises what it likes
            raise self._damaged(error) from error
        features = builder.info.features
        label = {self._label: features[self._label]} if self._label else {}
        both = tfds.features.FeaturesDict({self._image: features[self._image], **label})
        parse = partial(both.deserialize_example_np, decoders={self._image: tfds.decode.SkipDecoding()})
        return records, parse, tfds.features.FeaturesDict(label).deserialize_example_np if label else None

    def _ready(self) -> tuple[Any, Callable, Callable | None]:
        if self._opened is None:
            with _lock:
                if self._opened is None:
                    self._opened = self._open(_builder(self.path))
        return self._opened

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, i: int) -> dict[str, Any]:
        i = check_index(i, self._length)
        records, parse, _ = self._ready()
        example = parse(self._read(lambda: [records[i]])[0])
        image = example[self._image]
        label = self._text(example[self._label]) if self._label else None
        return {"image": image or None, "label": label, "key": f"{self.split}/{i}"}

    def keys(self) -> Iterator[str]:
        """Every key in order; images are not read."""
        return (f"{self.split}/{i}" for i in range(self._length))

    def labels(self) -> Iterator[str | None]:
        """Every label in order. Records are read whole, but images are not decoded."""
        records, _, parse = self._ready()
        if parse is None:
            yield from (None for _ in range(self._length))
            return
        for start in range(0, self._length, _CHUNK):
            chunk = list(range(start, min(start + _CHUNK, self._length)))
            for record in self._read(lambda chunk=chunk: records.__getitems__(chunk)):
                yield self._text(parse(record)[self._label])

    def _read(self, read: Callable[[], list[bytes]]) -> list[bytes]:
        try:
            found = read()
        except (RuntimeError, OSError, ValueError, IndexError) as error:  # array_record, of a damaged or missing file
            raise self._damaged(error) from error
        if not all(found):  # a file cut where a block of 64 KiB ends reads as one of empty records
            raise self._damaged(ValueError("empty record"))
        return found

    def _damaged(self, error: Exception) -> InputError:
        what = f"{self.path} split {self.split}"
        return InputError(f"{what} cannot be read: {first_line(error)}; copy or write it again")

    def _text(self, value: Any) -> str:
        if self._names is not None:
            return readable(self._names[int(value)])
        try:
            return readable(value.decode())
        except UnicodeDecodeError:
            raise InputError(f"{self.path}: label {value[:40]!r} is not UTF-8; write the data set again") from None

    def __getstate__(self) -> dict:
        return {**self.__dict__, "_opened": None}

    def __repr__(self) -> str:
        return f"TfdsSource({self.path!r}, split={self.split!r}, samples={self._length}, labelled={self.labelled})"


def _builder(path: str) -> Any:
    import tensorflow_datasets as tfds

    name = path.removeprefix("tfds:")
    try:
        if name != path:
            builder = tfds.builder(name, file_format="array_record")
            builder.download_and_prepare(file_format="array_record")  # returns at once where it is already there
        else:
            builder = tfds.builder_from_directory(_version_folder(path))
    except InputError:
        raise
    except Exception as error:  # tfds raises what it likes
        why = first_line(error)
        raise InputError(f"{path}: TFDS cannot open it: {why}; check the name or write it again") from error
    stored = getattr(builder.info.file_format, "value", None)
    if stored != "array_record":
        how = 'download_and_prepare(file_format="array_record")'
        raise InputError(f"{path} is stored as {stored}; write it again with {how}")
    return builder


def _version_folder(path: str) -> str:
    folders = tfds_folders(path)
    if len(folders) == 1:
        return folders[0]
    if not folders:
        raise InputError(f"{path} has no dataset_info.json; check the path")
    raise InputError(f"{path} holds several TFDS data sets; give one of {', '.join(folders)}")


def _choose_split(path: str, split: str | None, splits: list[str]) -> str:
    if split is None:
        if len(splits) == 1:
            return splits[0]
        if not splits:
            raise InputError(f"{path} has no splits; write it again")
        raise InputError(f"{path} has the splits {', '.join(splits)}; choose one, e.g. {path}#{splits[0]}")
    if split.partition("[")[0] not in splits:
        raise InputError(f"{path} has no split {split!r}; choose one of {', '.join(splits)}")
    return split


def _image_feature(path: str, features: Any) -> str:
    import tensorflow_datasets as tfds

    images = [name for name, feature in features.items() if isinstance(feature, tfds.features.Image)]
    if len(images) != 1:
        raise InputError(f"{path} has {len(images)} image features ({', '.join(features)}); exactly one is needed")
    return images[0]
