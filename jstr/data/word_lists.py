"""Words and how often they occur, from the bundled lists, from files of a user, or from texts."""

from __future__ import annotations

import contextlib
import functools
import gzip
import lzma
import math
import os
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

from jstr.text.messages import InputError

WORDS = Path(__file__).parent / "words"
PART = 2**20  # characters of a line that are read at once: some corpora are one line
_MOST = 15  # log10 of more words than any text has; higher numbers are counts
OPENERS = {".xz": lzma.open, ".gz": gzip.open}


def word_file(words: str | os.PathLike | None) -> Path:
    """The file of a bundled list ("english", the default; a name without a folder or suffix), or the given path."""
    name = "english" if words is None else str(words)
    bundled = sorted(WORDS.glob(f"{name}.txt*")) if name.isidentifier() else []
    return bundled[0] if bundled else Path(os.path.expanduser(name))


def stamp(file: str | os.PathLike) -> tuple[str, int, int] | None:
    """What tells whether a file has changed since it was read: path, time and size. None: there is no such file."""
    try:
        about = os.stat(file)
    except OSError:
        return None
    return str(file), about.st_mtime_ns, about.st_size


def count_words(path: str | os.PathLike | None, phrase: int = 0) -> Mapping[str, float]:
    """Different words of a file or bundled list, with how often they occur. Memory: of the different words only.

    A line that holds a tab is word<TAB>log10 of its frequency, any other is text, whose words are apart by white space;
    a list has one word a line. Files may end with .gz or .xz. phrase: lines of up to this many characters are one word,
    white space included. Several sources of a run read one list, so the last ones are kept.

    Raises:
      InputError: not readable as UTF-8 text, a zero byte, a frequency that is no number or a count, or no word.
    """
    return _count_words(path, phrase, stamp(word_file(path)))


@functools.lru_cache(maxsize=2)
def _count_words(path: str | os.PathLike | None, phrase: int, _: tuple | None) -> Mapping[str, float]:
    counts: Counter = Counter()
    for number, line in _lines(path):
        word, tab, frequency = line.partition("\t")
        if not tab or not line.strip():
            words = line.split()
            counts.update([" ".join(words)] if len(line.strip()) <= phrase else words)
            continue
        try:
            counts[word.strip()] += _power_of_ten(frequency)
        except (ValueError, OverflowError):
            raise InputError(
                f"words {path} line {number}: {frequency.strip()[:40]!r} is not the logarithm of a frequency; write "
                "word<TAB>log10 frequency (of a count of 1000: 3), or text without tabs"
            ) from None
    del counts[""]
    if not counts:
        raise InputError(f"words {path}: the file holds no word; write one per line")
    return MappingProxyType(counts)


def _power_of_ten(text: str) -> float:
    if not (math.isfinite(value := float(text)) and value <= _MOST):
        raise ValueError
    return 10.0**value


def _lines(path: str | os.PathLike | None) -> Iterator[tuple[int, str]]:
    """(number, text) of each line; long lines come in several parts, cut at white space."""
    file = word_file(path)
    opener = OPENERS.get(file.suffix, open)
    try:
        with contextlib.closing(opener(file, "rt", encoding="utf-8-sig")) as text:
            number, rest = 1, ""
            while part := text.readline(PART):
                if "\0" in part:
                    raise InputError(f"words {file} line {number} holds a zero byte; save the file as UTF-8 text")
                part, rest = rest + part, ""
                if not part.endswith("\n") and len(part) >= PART:
                    end = part.rfind(" ") + 1
                    if not end:
                        raise InputError(f"words {file} line {number} is not text: {PART:,} characters without a space")
                    part, rest = part[:end], part[end:]
                yield number, part
                number += part.endswith("\n")
            if rest:
                yield number, rest
    except FileNotFoundError as error:
        names = ", ".join(sorted(p.name.split(".")[0] for p in WORDS.glob("*.txt*") if "LICENSE" not in p.name))
        raise InputError(f"words: there is no file {file}; give a file of words, or one of {names}") from error
    except (OSError, UnicodeDecodeError, lzma.LZMAError, zlib.error, EOFError) as error:
        raise InputError(f"words {file} cannot be read: {error}") from error
