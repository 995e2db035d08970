"""What finished shards become: a TFDS data set, or one LMDB for each split. Both may be called again."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import lmdb
import tensorflow_datasets as tfds
from array_record.python.array_record_module import ArrayRecordReader
from tensorflow_datasets.proto import tf_example_pb2

from jstr.data.importers.base import Reader
from jstr.data.importers.shards import Interrupted, Progress
from jstr.data.importers.tfds_builder import WordImages

_CHUNK = 256
Splits = dict[str, list[dict[str, Any]]]  # split -> shards, as `shards.finished` gives them


def write_dataset(reader: Reader, folder: Path, splits: Splits, work: Path) -> None:
    """Moves the shards into `folder` as a TFDS data set. With dataset_info.json, which comes last, it is complete."""
    builder = WordImages(reader, data_dir=str(work / "tfds"))
    infos = []
    for split, parts in splits.items():
        shards = [shard for shard in parts if shard["words"]]  # the others have no file
        template = tfds.core.ShardedFileTemplate(
            data_dir=folder, dataset_name=reader.name, split=split, filetype_suffix="array_record"
        )
        for i, shard in enumerate(shards):
            if shard["path"].exists():  # else it was moved before an interruption
                os.replace(shard["path"], template.sharded_filepath(shard_index=i, num_shards=len(shards)))
        lengths = [shard["words"] for shard in shards]
        size = sum(shard["bytes"] for shard in shards)
        infos.append(tfds.core.SplitInfo(split, lengths, size, template))
    builder.info.set_file_format("array_record", override=True)
    builder.info.set_splits(tfds.core.SplitDict(infos))
    described = work / "info"
    shutil.rmtree(described, ignore_errors=True)
    described.mkdir()
    builder.info.write_to_directory(described)
    for file in sorted(described.iterdir(), key=lambda f: f.name == "dataset_info.json"):
        os.replace(file, folder / file.name)


def write_lmdbs(folder: Path, splits: Splits, work: Path, interrupted: Callable[[], bool]) -> None:
    """Copies the shards into one LMDB for each split, `folder`/SPLIT, which appears when it is complete."""
    for split, parts in splits.items():
        if (folder / split).exists():  # from before an interruption
            continue
        temporary = work / f"lmdb-{split}"
        shutil.rmtree(temporary, ignore_errors=True)  # one that was continued would hold the same, in other pages
        temporary.mkdir()
        try:
            _fill_lmdb(temporary, [shard for shard in parts if shard["words"]], interrupted)
        except lmdb.Error as error:
            raise OSError(f"LMDB: {error}") from error
        os.replace(temporary, folder / split)


def _fill_lmdb(folder: Path, shards: list[dict], interrupted: Callable[[], bool]) -> None:
    """The form of deep-text-recognition-benchmark: num-samples, and image-%09d and label-%09d from 1."""
    words = sum(shard["words"] for shard in shards)
    progress = Progress(words)
    # A value lies in pages of 4 KiB of its own, or shares one; keys and branches are small beside that.
    size = sum(shard["bytes"] for shard in shards) + 3 * 4096 * words + (1 << 26)
    number = 0
    with lmdb.open(str(folder), map_size=size, sync=False) as env:
        for shard in shards:
            with env.begin(write=True) as txn:
                for image, label in _read_shard(shard["path"]):
                    if interrupted():
                        raise Interrupted
                    number += 1
                    txn.put(b"image-%09d" % number, image)
                    txn.put(b"label-%09d" % number, label)
                    progress.add(1, 0)
                    progress.show()
        with env.begin(write=True) as txn:
            txn.put(b"num-samples", b"%d" % number)
        env.sync(True)
    progress.end()
    (folder / "lock.mdb").unlink()


def _read_shard(path: Path) -> Iterator[tuple[bytes, bytes]]:
    """(image, label) of its examples. Protocol buffers alone are ten times as fast as the features of TFDS."""
    reader = ArrayRecordReader(str(path), "readahead_buffer_size:0,max_parallelism:0")
    for start in range(0, reader.num_records(), _CHUNK):
        for record in reader.read(start, min(start + _CHUNK, reader.num_records())):
            values = tf_example_pb2.Example.FromString(record).features.feature
            yield values["image"].bytes_list.value[0], values["label"].bytes_list.value[0]
    reader.close()
