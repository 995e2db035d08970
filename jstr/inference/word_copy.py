"""The user's word list of config.language_model, kept with what was trained, so that it reads anywhere."""

from __future__ import annotations

import contextlib
import math
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from jstr.data.word_lists import WORDS, count_words, word_file
from jstr.text.messages import InputError

STEM = "language_model_words.txt"


def own_words(config: Mapping[str, Any]) -> Path | None:
    """The file of config.language_model.words, if it is the user's and not one of the package."""
    words = (config.get("language_model") or {}).get("words")
    file = word_file(words) if words and words != "none" else None
    return None if file is None or file.parent == WORDS else file


def keep(workdir: str | os.PathLike, config: Mapping[str, Any]) -> None:
    """Copies the user's word list into the workdir.

    Raises:
      InputError: it cannot be read.
    """
    file = own_words(config)
    if file is None or (not file.exists() and _kept(workdir, file).exists()):
        return
    target = _kept(workdir, file)
    part = target.with_name(f"{target.name}.part")
    try:
        shutil.copyfile(file, part)
    except OSError as error:
        raise InputError(f"config.language_model.words={file}: {error.strerror}") from error
    os.replace(part, target)


def packed_words(config: Mapping[str, Any]) -> str | None:
    """The user's word list as text for a packed file, a line of word<TAB>log10 frequency for each word."""
    file = own_words(config)
    return file and "".join(f"{word}\t{math.log10(count):.6f}\n" for word, count in count_words(file).items())


def words_to_pack(where: str | os.PathLike, meta: Mapping[str, Any], words: str | None) -> str | None:
    """`packed_words` of the list that a workdir or packed file reads with. words: another list in its place, or None.

    meta: of `where`.
    """
    if words is not None:
        return packed_words({"language_model": {"words": words}})
    with found_again(where, meta) as config:
        return packed_words(config)


@contextlib.contextmanager
def found_again(workdir: str | os.PathLike, meta: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """A context with the config of a workdir or packed file, whose word list is the one that was kept with it."""
    config, file = dict(meta["config"]), own_words(meta["config"])
    with tempfile.TemporaryDirectory() as folder:
        if file is not None:
            copy = _kept(workdir, file)
            if "words" in meta:
                copy = Path(folder) / STEM
                copy.write_text(meta["words"], encoding="utf-8")
            if copy.exists():
                config["language_model"] = {**config["language_model"], "words": str(copy)}
        yield config


def _kept(workdir: str | os.PathLike, file: Path) -> Path:
    return Path(workdir) / (STEM + (file.suffix if file.suffix in (".gz", ".xz") else ""))
