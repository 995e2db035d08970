"""config.photos: photographs, whose words become the images of a run."""

from __future__ import annotations

import os

from jstr.core import Config
from jstr.data.photos import word_folder
from jstr.data.photos.finder import FindOptions
from jstr.data.source_config import resolve
from jstr.inference.photographs import open_photographs
from jstr.parallel import distributed
from jstr.text.messages import InputError, escape

FOLDER = "words"  # in the workdir


def find_words(config: Config, workdir: str) -> None:
    """Finds the words of config.photos into WORKDIR/words, and makes them config.images. Does nothing without photos.

    What an earlier start of the run has found stays. With several processes, one does it and the others wait where
    the config is compared.

    Raises:
      InputError: photographs and images are given, there are none, no word is in them, or the extra is missing.
    """
    if not config.get("photos"):
        return
    words = os.path.abspath(os.path.join(workdir, FOLDER))
    if config.images and config.images != words:
        raise InputError("config.photos and config.images: give one of them")
    config.images = words
    if not distributed.is_lead_host():
        return
    photos = resolve(config.photos, config.data_root)
    photographs, notes = open_photographs([photos], words)
    if not photographs:
        raise InputError(f"config.photos={config.photos}: {notes[0] if notes else 'no photographs there'}")
    print(f"finding words in {len(photographs):,} photographs of {photos} ...", flush=True)
    progress = word_folder.ProgressLine()
    options = FindOptions.make(config.get("find") or {})
    found = word_folder.find_words(photographs, words, options, report=progress)
    progress.end()
    for note in notes + [why for _, why in found.broken]:
        print(escape(note), flush=True)
    if not found.words:
        raise InputError(f"config.photos={config.photos}: no word was found in {len(photographs):,} photographs")
    empty = {photograph.name for photograph in photographs} - {word.photograph for word in found.words}
    empty -= {name for name, _ in found.broken}
    without = f"; {len(empty):,} photographs without words" if empty else ""
    earlier = f", {len(found.words) - found.own:,} of them in {found.earlier:,} photographs no longer given"
    print(f"{words}: {len(found.words):,} words{earlier if found.earlier else ''}{without}", flush=True)
