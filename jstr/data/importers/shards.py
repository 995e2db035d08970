"""One shard of an import: entries of a published data set to a file of records and a .json with its counts."""

from __future__ import annotations

import json
import math
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from multiprocessing import connection, get_context, parent_process
from pathlib import Path
from typing import Any, NamedTuple

from array_record.python.array_record_module import ArrayRecordWriter

from jstr.data.importers.base import Reader, Word
from jstr.data.importers.tfds_builder import Serialiser, problem
from jstr.text.messages import duration

WORDS_PER_SHARD = 10_000
_SHARDS_OF_SMALL_SETS = 8  # so that these use several cores too
_LEAST_WORDS = 250
_EXAMPLES = 5
_DATA, _COUNTS = ".array_record", ".json"


class Interrupted(Exception):
    """The import was interrupted; the shard under way is dropped."""


class Job(NamedTuple):
    """path: where the shard goes, without suffix."""

    reader: Reader
    entries: Sequence[Any]
    path: Path
    check: bool


def bounds(entries: int, words_per_entry: float) -> list[tuple[int, int]]:
    """(start, stop) of each shard. A function of the data set alone, whatever the machine."""
    words = entries * words_per_entry
    count = max(math.ceil(words / WORDS_PER_SHARD), min(_SHARDS_OF_SMALL_SETS, int(words / _LEAST_WORDS)), 1)
    count = min(count, entries)
    return [(entries * i // count, entries * (i + 1) // count) for i in range(count)]


def finished(path: Path) -> dict[str, Any] | None:
    """The counts of the shard at `path` (without suffix), with its data file as `path`; None if it is not finished."""
    try:
        counts = json.loads(path.with_suffix(_COUNTS).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return counts | {"path": path.with_suffix(_DATA)}


def write(job: Job, tick: Callable[[int, int], None]) -> None:
    """tick(words, left out) is called after each entry, and may raise Interrupted. Raises OSError: a full disk.

    Both files appear at once and whole: the records first, so that a .json means a finished shard.
    """
    serialise = Serialiser()
    counts = {"entries": len(job.entries), "words": 0, "bytes": 0, "left_out": {}, "notes": {}}
    temporary = job.path.with_suffix(f".{os.getpid()}.tmp")
    writer = ArrayRecordWriter(str(temporary), "group_size:1")
    try:
        for entry in job.entries:
            words = left_out = 0
            for word in job.reader.words(entry):
                reason = problem(word, job.check)
                if reason:
                    left_out += 1
                    _count(counts["left_out"], reason, word)
                    continue
                if word.note:
                    _count(counts["notes"], word.note, word)
                record = serialise(word)
                writer.write(record)
                words += 1
                counts["bytes"] += len(record)
            counts["words"] += words
            tick(words, left_out)
        writer.close()
    except RuntimeError as error:  # of array_record, e.g. when the disk is full
        raise OSError(str(error).splitlines()[0]) from error
    if counts["words"]:
        os.replace(temporary, job.path.with_suffix(_DATA))
    else:
        temporary.unlink()
    write_json(job.path.with_suffix(_COUNTS), counts)


def _count(table: dict[str, dict], reason: str, word: Word) -> None:
    row = table.setdefault(reason, {"count": 0, "examples": []})
    row["count"] += 1
    if len(row["examples"]) < _EXAMPLES:
        row["examples"].append(word.key.encode("utf-8", "replace").decode())


def add_counts(total: dict[str, dict], more: dict[str, dict]) -> None:
    """Adds the reasons of one shard to those of its split."""
    for reason, row in more.items():
        into = total.setdefault(reason, {"count": 0, "examples": []})
        into["count"] += row["count"]
        into["examples"] = (into["examples"] + row["examples"])[:_EXAMPLES]


def write_json(path: Path, value: Any) -> None:
    """The file appears at once and whole. Bytes of file names that are not UTF-8 become escapes of JSON."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    text = json.dumps(value, indent=1, ensure_ascii=False) + "\n"
    temporary.write_text(text, encoding="utf-8", errors="backslashreplace")
    os.replace(temporary, path)


class Progress:
    """A line on stderr, at most once a second: share done, words, words left out, words per second, time left.

    counts: entries, words and words left out, shared by all processes.
    """

    def __init__(self, entries: int):
        self.counts = get_context("forkserver").Array("q", 3)
        self._entries = entries
        self._start = self._shown = time.monotonic()
        self._width = 0

    def add(self, words: int, left_out: int) -> None:
        add(self.counts, words, left_out)

    def show(self) -> None:
        now = time.monotonic()
        if now - self._shown < 1:
            return
        self._shown = now
        entries, words, left_out = self.counts[:]
        seconds = now - self._start
        rest = f"{duration(seconds / entries * (self._entries - entries))} left" if entries else "starting"
        share = entries / self._entries if self._entries else 1
        line = f"{share:4.0%} {words:,} words, {left_out:,} left out, {words / seconds:,.0f}/s, {rest}"
        if sys.stderr.isatty():
            print(f"\r{line:<{self._width}}", end="", file=sys.stderr, flush=True)
            self._width = len(line)
        else:
            print(line, file=sys.stderr, flush=True)

    def end(self) -> None:
        if self._width:
            print(file=sys.stderr)


def add(counts: Any, words: int, left_out: int) -> None:
    """One entry more."""
    with counts.get_lock():
        counts[0] += 1
        counts[1] += words
        counts[2] += left_out


# ---------------------------------------------------------------- in worker processes

_counts: Any = None
_stop: Any = None


def start_worker(counts: Any, stop: Any, together: Any) -> None:
    """Initialises a worker, which ends when the first process dies. None starts to work before all are there."""
    global _counts, _stop
    _counts, _stop = counts, stop
    threading.Thread(target=_follow_parent, daemon=True).start()
    together.wait()


def _follow_parent() -> None:
    connection.wait([parent_process().sentinel])
    os._exit(1)


def work(job: Job) -> None:
    """`write` in a worker process."""
    write(job, _tick)


def _tick(words: int, left_out: int) -> None:
    if _stop.is_set():
        raise Interrupted
    add(_counts, words, left_out)
