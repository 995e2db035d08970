"""Label files: which word is on which image."""

from __future__ import annotations

import csv
import io
import re

from jstr.core import InputError

LABEL_FILES = ("labels.tsv", "gt.txt", "labels.csv")
TEXT_SUFFIXES = (".tsv", ".txt", ".csv")


class NoLabels(InputError):
    """The images at a path have no labels; they can be opened unlabelled."""


_FILE_COLUMNS = {"filename", "file", "file_name", "image", "image_path", "path", "name"}
_LABEL_COLUMNS = {"label", "labels", "text", "word", "transcription"}
_ICDAR_LINE = re.compile(r'\s*(.+?)\s*,\s*"(.*)"\s*')


def parse_labels(data: bytes, name: str) -> list[tuple[str, str]]:
    """(file, label) for each line of a label file; `name` says where it lies and its suffix which form it has.

    .tsv: file<TAB>label. .csv: columns filename and label by a header, else the first two. Anything else:
    file<TAB>label or ICDAR's `file, "label"`, line by line. A byte order mark, CRLF, empty lines and a header line
    are accepted.

    Raises:
      InputError: not UTF-8, or a line without the separator; names file and line.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError(f"{name} line {line}: not UTF-8 text ({error.reason}); save the file as UTF-8") from None
    if name.lower().endswith(".csv"):
        return _parse_csv(text, name)
    icdar = not name.lower().endswith(".tsv")
    pairs = []
    for number, line in enumerate(text.split("\n"), 1):
        line = line.removesuffix("\r")
        if not line.strip():
            continue
        file, tab, label = line.partition("\t")
        if not tab:
            match = _ICDAR_LINE.fullmatch(line) if icdar else None
            if match is None:
                form = 'file<TAB>label or file, "label"' if icdar else "file<TAB>label"
                raise InputError(f"{name} line {number}: no TAB between file and label in {line[:80]!r}; write {form}")
            file, label = match[1], re.sub(r'\\(["\\])', r"\1", match[2])
        pairs.append((file.strip(), label))
    if pairs and pairs[0][0].lower() in _FILE_COLUMNS and pairs[0][1].lower() in _LABEL_COLUMNS:
        del pairs[0]
    return pairs


def _parse_csv(text: str, name: str) -> list[tuple[str, str]]:
    pairs, columns = [], None
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        for row in rows:
            if not row:
                continue
            if columns is None:
                columns = _csv_columns(row)
                if columns is not None:
                    continue
                columns = 0, 1
            if len(row) <= max(columns):
                raise InputError(
                    f"{name} line {rows.line_num}: no comma between file and label in {','.join(row)[:80]!r}; "
                    "write file,label"
                )
            pairs.append((row[columns[0]].strip(), row[columns[1]]))
    except csv.Error as error:
        raise InputError(f"{name} line {rows.line_num}: not CSV ({error}); write file,label") from error
    return pairs


def _csv_columns(row: list[str]) -> tuple[int, int] | None:
    names = [cell.strip().lower() for cell in row]
    files = [i for i, cell in enumerate(names) if cell in _FILE_COLUMNS]
    labels = [i for i, cell in enumerate(names) if cell in _LABEL_COLUMNS]
    return (files[0], labels[0]) if files and labels else None
