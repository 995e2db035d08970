"""Small sources of every kind, written for tests."""

import io
import tarfile

import cv2
import lmdb
import numpy as np
import pytest
import tensorflow_datasets as tfds

from jstr.data.sources.open import open_source
from jstr.text.messages import InputError

WORDS = ["Coffee", "7", 'a "b"', "Größe", "x,y"]


def image(i):
    return cv2.imencode(".png", np.full((4, 9, 3), i % 256, np.uint8))[1].tobytes()


def write_lmdb(folder, words, num_samples=None, images=None):
    folder.mkdir(parents=True, exist_ok=True)
    env = lmdb.open(str(folder), map_size=1 << 24)
    with env.begin(write=True) as txn:
        for i, word in enumerate(words, 1):
            if images is None or i <= images:
                txn.put(b"image-%09d" % i, image(i - 1))
            if word is not None:
                txn.put(b"label-%09d" % i, word if isinstance(word, bytes) else word.encode())
        if num_samples != "none":
            txn.put(b"num-samples", str(num_samples if num_samples is not None else len(words)).encode())
    env.close()
    (folder / "lock.mdb").unlink()
    return str(folder)


def write_folder(folder, labels=None, name="labels.tsv", count=5):
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        (folder / f"{i}.png").write_bytes(image(i))
    if labels is not None:
        (folder / name).write_bytes(labels if isinstance(labels, bytes) else labels.encode())
    return str(folder)


def tsv(words=WORDS):
    return "".join(f"{i}.png\t{word}\n" for i, word in enumerate(words))


def write_tar(path, members):
    with tarfile.open(path, "w") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return str(path)


def images(count=5, prefix=""):
    return {f"{prefix}{i}.png": image(i) for i in range(count)}


class TinyWords(tfds.core.GeneratorBasedBuilder):
    VERSION = tfds.core.Version("1.0.0")
    SPLITS = {"train": WORDS, "test": ["zz"]}
    FEATURES = {"picture": tfds.features.Image(), "label": tfds.features.Text(), "other": tfds.features.Text()}

    def _info(self):
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(self.FEATURES))

    def _split_generators(self, _):
        return {split: self._generate_examples(words) for split, words in self.SPLITS.items()}

    def _generate_examples(self, words):
        for i, word in enumerate(words):
            values = {"picture": io.BytesIO(image(i)), "label": word, "other": "o", "text": word}
            yield i, {name: values[name] for name in self.FEATURES}


class TinyImages(TinyWords):
    SPLITS = {"train": WORDS}
    FEATURES = {"picture": tfds.features.Image()}


class TinyClasses(TinyWords):
    SPLITS = {"train": ["no", "yes"]}
    FEATURES = {"picture": tfds.features.Image(), "label": tfds.features.ClassLabel(names=["yes", "no"])}


def write_tfds(builder, folder):
    builder(data_dir=str(folder)).download_and_prepare(file_format="array_record")
    return str(folder / builder.name / "1.0.0")


def make(kind, tmp_path):
    """A source of every kind that holds WORDS, and the key of its fourth sample."""
    if kind == "lmdb":
        return open_source(write_lmdb(tmp_path / "db", WORDS)), "image-000000004"
    if kind == "lmdbs":
        write_lmdb(tmp_path / "MJ" / "b", WORDS[2:])
        write_lmdb(tmp_path / "MJ" / "a", WORDS[:2])
        return open_source(tmp_path), "MJ/b/image-000000002"
    if kind == "folder":
        return open_source(write_folder(tmp_path, tsv())), "3.png"
    if kind == "tar":
        return open_source(write_tar(tmp_path / "a.tar", {"labels.tsv": tsv().encode(), **images()})), "3.png"
    return open_source(write_tfds(TinyWords, tmp_path) + "#train"), "train/3"


def fails(*expected, **options):
    path = options.pop("path")
    with pytest.raises(InputError) as error:
        open_source(path, **options)
    message = str(error.value)
    assert "\n" not in message and len(message) < 600
    for part in (str(path).partition("#")[0], *expected):
        assert part in message, message
    return message
