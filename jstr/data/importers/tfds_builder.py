"""A TFDS builder of published data sets of word images. TensorFlow is not needed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import tensorflow_datasets as tfds

from jstr.data.images import ImageSpec
from jstr.data.importers.base import Reader, Word

_DECODER = ImageSpec((32, 100), channels=1)


def features() -> Any:
    """image (the encoded file), label and key (where the word came from)."""
    text = tfds.features.Text
    return tfds.features.FeaturesDict({"image": tfds.features.Image(), "label": text(), "key": text()})


class WordImages(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """A published data set as a TFDS builder: WordImages(reader, data_dir=...).download_and_prepare(
    file_format="array_record"), then tfds.data_source(reader.name, data_dir=...).

    It writes one word after the other, by means of TFDS only. jstr.data.prepare writes the same examples in the
    same order, on all cores and so that it can be interrupted.
    """

    VERSION = tfds.core.Version("1.0.0")

    def __init__(self, reader: Reader, *, check: bool = True, **options: Any):
        """options: those of TFDS, such as data_dir. check: leave out images that cannot be decoded."""
        self.name = reader.name
        self._reader, self._check = reader, check
        super().__init__(**options)

    def _info(self) -> tfds.core.DatasetInfo:
        about = " ".join((type(self._reader).__doc__ or "").split("\n\n")[0].split())
        return tfds.core.DatasetInfo(builder=self, description=about, features=features(), disable_shuffling=True)

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator]:
        return {split: self._generate_examples(split) for split in self._reader.index}

    def _generate_examples(self, split: str) -> Iterator[tuple[int, dict]]:
        words = (word for entry in self._reader.entries(split) for word in self._reader.words(entry))
        usable = (word for word in words if problem(word, self._check) is None)
        for number, word in enumerate(usable):
            yield number, example(word)


def problem(word: Word, check: bool) -> str | None:
    """Why a word is left out, or None. check: its image is decoded too, by what training decodes with."""
    if word.problem:
        return word.problem
    if word.label is None or not word.label.strip():
        return "empty label"
    try:
        word.label.encode()
    except UnicodeEncodeError:
        return "label is not Unicode text"
    if not word.image:
        return "empty image file"
    return "broken image" if check and _DECODER.decode(word.image) is None else None


class Serialiser:
    """Words as serialised tf.train.Example. TFDS alone would give other bytes in each process."""

    def __init__(self):
        self._features = features()
        self._examples = tfds.core.ExampleSerializer(self._features.get_serialized_info())

    def __call__(self, word: Word) -> bytes:
        encoded = self._features.encode_example(example(word))
        return self._examples.get_tf_example(encoded).SerializeToString(deterministic=True)


def example(word: Word) -> dict[str, Any]:
    return {"image": word.image, "label": word.label, "key": word.key.encode("utf-8", "replace")}
