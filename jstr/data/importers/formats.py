"""The forms that can be imported, by the name that --from gives."""

from __future__ import annotations

import os

from jstr.data.importers.base import Reader
from jstr.data.importers.photographs import Svt, SynthText
from jstr.data.importers.stores import Folder, HuggingFace, Lmdb
from jstr.data.importers.words import IamWords, Icdar, Iiit5k, MjSynth, Union14M
from jstr.text.messages import InputError

_READERS = (MjSynth, SynthText, Iiit5k, Svt, Icdar, IamWords, Union14M, Lmdb, HuggingFace, Folder)
FORMATS: dict[str, type[Reader]] = {reader.name: reader for reader in _READERS}


def open_published(format: str, src: str | os.PathLike, labels: str | None = None, crops: str = "jpg") -> Reader:
    """The reader of the data set at `src`. labels: which, where the form has several. crops: jpg (quality 95) or png.

    Raises:
      InputError: no such form, or `src` does not hold it.
    """
    if format not in FORMATS:
        raise InputError(f"--from={format} is not known; choose one of {', '.join(FORMATS)}")
    return FORMATS[format](src, labels, crops)
