"""Label files: which word is on which image. The one parser of them, and what it accepts.

| file           | form                                                                                     |
| -------------- | ---------------------------------------------------------------------------------------- |
| *.tsv          | file TAB label                                                                           |
| *.csv          | file,label; a label that holds a comma or a quote is quoted                              |
| *.jsonl        | {"file_name": ..., "text": ...} a line (metadata.jsonl of Hugging Face)                  |
| *.json         | {file: label, ...} (labels.json of docTR, whose images may lie in `images`)              |
| anything else  | file TAB label, or ICDAR's file, "label", line by line (gt.txt)                          |

.tsv and .csv may start with a header that names the two columns (FILE_COLUMNS, LABEL_COLUMNS); other columns are then
not read. In a file without a header, a third column of numbers from 0 to 1 after a TAB (the confidence that `predict`
prints) is not read either, and said. Text is UTF-8, or UTF-16 with a byte order mark. Lines end with LF, CRLF or CR;
empty lines, and in CSV blanks after a comma, are skipped. Everything else is an InputError that names file, line and
what was expected.

Labels with which published sets mark words that nobody could read (label_notes.py) become None.
"""

from __future__ import annotations

import codecs
import csv
import io
import itertools
import json
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from jstr.data.sources.label_notes import readable
from jstr.text.messages import InputError, first_few

LABEL_FILES = ("labels.tsv", "gt.txt", "labels.csv", "metadata.jsonl", "metadata.csv", "labels.json")
LOOKED_FOR = ", ".join((*LABEL_FILES, "NAME.gt.txt or NAME.txt beside images"))
TEXT_SUFFIXES = (".tsv", ".txt", ".csv", ".jsonl", ".json")
FILE_COLUMNS = frozenset(
    "filename file file_name filepath file_path fname image image_path image_name image_file imagename imgname img "
    "img_path img_name path name".split()
)
LABEL_COLUMNS = frozenset(
    "label labels text word words transcription transcript ground_truth groundtruth gt caption string".split()
)
_ICDAR_LINE = re.compile(r'\s*(.+?)\s*,\s*"(.*)"\s*')


class NoLabels(InputError):
    """The images at a path have no labels; they can be opened unlabelled."""


class Labels(NamedTuple):
    """pairs: (file, label) of each line, in order; None where the word is marked unreadable. notes: for the user."""

    pairs: list[tuple[str, str | None]]
    notes: list[str]


def parse_labels(data: bytes, name: str) -> Labels:
    """The labels in a label file, see above. name: where it lies; its suffix decides the form.

    Raises:
      InputError: not text, or a line of another form.
    """
    text = _decode(data, name)
    suffix = name.lower().rpartition(".")[2]
    notes: list[str] = []
    if suffix == "json":
        pairs = _parse_json(text, name)
    elif suffix == "jsonl":
        pairs = _parse_json_lines(text, name)
    else:
        read = _csv_rows if suffix == "csv" else _tab_rows
        pairs = _pairs(read(text, name), name, notes)
    return Labels([(file, readable(label)) for file, label in pairs], notes)


# ---------------------------------------------------------------- text and lines


_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def _decode(data: bytes, name: str) -> str:
    """The text, with LF at the line ends."""
    encoding = next((encoding for mark, encoding in _BYTE_ORDER_MARKS if data.startswith(mark)), "utf-8-sig")
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError(f"{name} line {line}: not UTF-8 text ({error.reason}); save the file as UTF-8") from None
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise InputError(f"{name} line {line}: holds a zero byte; save the file as UTF-8 text")
    return text


def lines_of(data: bytes, name: str) -> Iterator[tuple[int, str]]:
    """(number from 1, line) of the lines of a file that are not empty. Raises InputError: not text."""
    return _lines(_decode(data, name))


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """(number from 1, line) of the lines that are not empty."""
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield number, line.removeprefix("\ufeff")


class _Row(NamedTuple):
    number: int
    cells: Sequence[str]


def _tab_rows(text: str, name: str) -> Iterator[_Row]:
    icdar = not name.lower().endswith(".tsv")
    for number, line in _lines(text):
        if "\t" in line:
            yield _Row(number, line.split("\t"))
            continue
        match = _ICDAR_LINE.fullmatch(line) if icdar else None
        if match is None:
            form = 'file<TAB>label or file, "label"' if icdar else "file<TAB>label"
            raise InputError(f"{name} line {number}: no TAB between file and label in {line[:80]!r}; write {form}")
        yield _Row(number, (match[1], re.sub(r'\\(["\\])', r"\1", match[2])))


def _csv_rows(text: str, name: str) -> Iterator[_Row]:
    rows = csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""), strict=True, skipinitialspace=True)
    start = 1
    try:
        for cells in rows:
            number, start = start, rows.line_num + 1
            if any("\n" in cell for cell in cells):
                raise InputError(f"{name} line {number}: a line end inside quotes; close them in the line")
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) == 1:
                raise InputError(
                    f"{name} line {number}: no comma between file and label in {cells[0][:80]!r}; write file,label"
                )
            yield _Row(number, cells)
    except csv.Error as error:
        raise InputError(f"{name} line {rows.line_num}: not CSV ({error}); write file,label") from error


# ---------------------------------------------------------------- columns


def _pairs(rows: Iterator[_Row], name: str, notes: list[str]) -> Iterator[tuple[str, str]]:
    """(file, label) of the rows: by the header where there is one, else of two columns."""
    start = list(itertools.islice(rows, 2))
    if not start:
        return
    columns = _header(start, name, notes)
    if columns is None:
        width = _width_without_header(start[0], name, notes)
        columns, by = (0, 1), "the first line"
    else:
        width, by = len(start.pop(0).cells), "the header"
    for row in itertools.chain(start, rows):
        if len(row.cells) != width:
            raise InputError(f"{_columns_of(row, name)}, where {by} has {width}{_hint(name)}")
        if by == "the first line" and width == 3 and not _is_confidence(row.cells[2]):
            raise InputError(f"{_columns_of(row, name)}; {_two_columns(name)}")
        yield row.cells[columns[0]].strip(), row.cells[columns[1]]


def _header(start: Sequence[_Row], name: str, notes: list[str]) -> tuple[int, int] | None:
    """Columns of file and label by the header in the first of the rows; None where there is none.

    Raises:
      InputError: a header that does not say which columns are which.
    """
    cells = [cell.strip() for cell in start[0].cells]
    keys = [_column_name(cell) for cell in cells]
    files = [i for i, key in enumerate(keys) if key in FILE_COLUMNS]
    labels = [i for i, key in enumerate(keys) if key in LABEL_COLUMNS]
    if files and labels:
        if len(labels) > 1:
            notes.append(
                f"{name}: labels from column {cells[labels[0]]}, not {', '.join(cells[i] for i in labels[1:])}"
            )
        return files[0], labels[0]
    looks_like_one = len(start) > 1 and not _is_file_name(cells[0]) and _is_file_name(start[1].cells[0])
    if keys[0] in FILE_COLUMNS or looks_like_one:
        raise InputError(
            f"{name} line {start[0].number}: a header with the columns {first_few(cells)[:80]}; "
            "call them filename and label"
        )
    return None


def _column_name(cell: str) -> str:
    return re.sub(r"[\s-]+", "_", cell.strip().strip("#\"' ").lower())


def _is_file_name(cell: str) -> bool:
    return re.search(r"\.\w{2,5}$", cell.strip()) is not None


def _width_without_header(row: _Row, name: str, notes: list[str]) -> int:
    """2, or 3 where the third column is a confidence. Raises InputError: more columns."""
    if len(row.cells) == 2:
        return 2
    if len(row.cells) == 3 and _is_confidence(row.cells[2]) and not name.lower().endswith(".csv"):
        notes.append(f"{name}: the third column ({row.cells[2].strip()}, ...) is taken for a confidence and not read")
        return 3
    raise InputError(f"{_columns_of(row, name)}; {_two_columns(name)}")


def _columns_of(row: _Row, name: str) -> str:
    shown = ("," if name.lower().endswith(".csv") else "\t").join(row.cells)
    return f"{name} line {row.number}: {len(row.cells)} columns in {shown[:80]!r}"


def _hint(name: str) -> str:
    return "; put labels that hold commas in quotes" if name.lower().endswith(".csv") else ""


def _two_columns(name: str) -> str:
    csv_file = name.lower().endswith(".csv")
    form = "file,label, with labels that hold commas in quotes" if csv_file else "file<TAB>label"
    return f"write {form}, or a header line that names the columns filename and label"


def _is_confidence(cell: str) -> bool:
    """Whether a cell is a number from 0 to 1 as `predict` writes it."""
    return re.fullmatch(r"\s*(0(\.\d+)?|1(\.0+)?)\s*", cell) is not None


# ---------------------------------------------------------------- JSON


def _load_json(text: str, where: str, form: str, hook: Callable | None = None) -> Any:
    try:
        return json.loads(text, object_pairs_hook=hook)
    except (ValueError, RecursionError) as error:
        reason = str(error).splitlines()[0][:80]
        raise InputError(f"{where}: not JSON ({reason}); write {form}") from None


def _parse_json_lines(text: str, name: str) -> list[tuple[str, str | None]]:
    form, pairs = '{"file_name": "a.png", "text": "word"}', []
    for number, line in _lines(text):
        where = f"{name} line {number}"
        row = _load_json(line, where, form)
        keys = {_column_name(key): key for key in row} if isinstance(row, dict) else {}
        file = next((row[keys[key]] for key in keys if key in FILE_COLUMNS), None)
        labels = [row[keys[key]] for key in keys if key in LABEL_COLUMNS]
        label = labels[0] if labels else ""
        if not (isinstance(file, str) and labels and isinstance(label, str | None)):
            raise InputError(f"{where}: no file name and text in {line[:80]!r}; write {form}")
        pairs.append((_clean(file, where), _clean(label, where)))
    return pairs


def _parse_json(text: str, name: str) -> list[tuple[str, str | None]]:
    form, pairs = '{"a.png": "word", ...}', []
    if not text.strip():
        return []
    rows = _load_json(text, name, form, hook=lambda found: found)
    if not isinstance(rows, list) or not all(isinstance(row, tuple) for row in rows):
        raise InputError(f"{name}: not one JSON object; write {form}")
    for file, label in rows:
        if not isinstance(label, str | None):
            raise InputError(f"{name}: the label of {file[:80]!r} is not text; write {form}")
        pairs.append((_clean(file, name), _clean(label, name)))
    return pairs


def _clean(value: str | None, where: str) -> str | None:
    """JSON can spell what text files cannot hold. Raises InputError: control characters, half of a surrogate pair."""
    if value is not None and any(c < " " or "\ud800" <= c <= "\udfff" for c in value):
        raise InputError(f"{where}: {value[:80]!r} is not a line of Unicode text; write it again")
    return value
