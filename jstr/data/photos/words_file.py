"""words.tsv: where each word crop comes from, and what is read in it.

Columns, named in the first line: crop (a path relative to the file), photograph, x1 y1 x2 y2 x3 y3 x4 y4 (pixels of the
photograph as it is looked at, turned as its EXIF says; clockwise from where the text begins, at its top), score (of the
detector, 0..1) and, once the words have been read, text and confidence (0..1). Names are escaped (messages.escape).
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from jstr.text.messages import InputError, escape, unescape

NAME = "words.tsv"
CORNERS = tuple(f"{axis}{corner}" for corner in (1, 2, 3, 4) for axis in "xy")
COLUMNS = ("crop", "photograph", *CORNERS, "score")
READ = ("text", "confidence")


@dataclass(frozen=True)
class FoundWord:
    """A line of words.tsv. corners: x1, y1, ..., x4, y4. text: None where it has not been read."""

    crop: str
    photograph: str
    corners: tuple[float, ...]
    score: float
    text: str | None = None
    confidence: float = 0.0

    @property
    def box(self) -> str:
        """The corners as one column: `x1,y1,...,y4`."""
        return ",".join(f"{value:g}" for value in self.corners)


def write(path: str | os.PathLike, words: Iterable[FoundWord], read: bool) -> None:
    """The file appears at once and whole. read: with text and confidence."""
    lines = ["\t".join([*COLUMNS, *(READ if read else ())])]
    for word in words:
        cells = [escape(word.crop), escape(word.photograph), *(f"{c:g}" for c in word.corners), f"{word.score:.3f}"]
        lines.append("\t".join(cells + ([escape(word.text or ""), f"{word.confidence:.4f}"] if read else [])))
    part = Path(f"{os.fspath(path)}.part")
    part.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8", errors="surrogateescape")
    os.replace(part, path)


def load(path: str | os.PathLike) -> list[FoundWord]:
    """The words of a file. Raises InputError: not such a file, or a line of another form."""
    try:
        lines = Path(path).read_text(encoding="utf-8").split("\n")
    except OSError as error:
        raise InputError(f"{os.fspath(path)}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{os.fspath(path)}: not UTF-8 text; run jstr detect again") from error
    names = lines[0].rstrip("\r").split("\t")
    if tuple(names[: len(COLUMNS)]) != COLUMNS:
        raise InputError(f"{os.fspath(path)} line 1: not the columns {' '.join(COLUMNS[:3])} ... of jstr detect")
    words = []
    for number, line in enumerate(lines[1:], 2):
        if not line.strip():
            continue
        cells = line.rstrip("\r").split("\t")
        try:
            if len(cells) != len(names):
                raise ValueError
            row = dict(zip(names, cells, strict=True))
            corners = tuple(float(row[name]) for name in CORNERS)
            text = unescape(row["text"]) if "text" in row else None
            confidence = float(row.get("confidence", 0))
            crop, photograph = unescape(row["crop"]), unescape(row["photograph"])
            words.append(FoundWord(crop, photograph, corners, float(row["score"]), text, confidence))
        except ValueError:
            raise InputError(
                f"{os.fspath(path)} line {number}: not {len(names)} columns with numbers in {line[:80]!r}"
            ) from None
    return words
