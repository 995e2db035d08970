"""Published data sets into ArrayRecord or LMDB: shard by shard, on all cores, safe to interrupt and to run again.

While an import runs, OUT/partial holds source.json (what is imported) and the finished shards. Running again does only
those that are missing. Which words are in a shard depends on the data set alone, so the result is the same however
often it was interrupted, on any machine. At the end the shards become the data set, and OUT/report.json says what was
left out.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from jstr.data.importers import shards
from jstr.data.importers.base import Reader
from jstr.data.importers.report import make_report, nothing_usable
from jstr.data.importers.shards import Interrupted, Progress
from jstr.data.importers.targets import write_dataset, write_lmdbs
from jstr.data.worker_processes import core_count
from jstr.text.messages import InputError, first_few

TARGETS = ("array_record", "lmdb")


def prepare(
    reader: Reader,
    out: str | os.PathLike,
    *,
    to: str = "array_record",
    splits: Sequence[str] | None = None,
    limit: int | None = None,
    check: bool = True,
    jobs: int | None = None,
    interrupted: Callable[[], bool] = lambda: False,
) -> dict[str, Any]:
    """Imports what `reader` reads into the folder `out`, or continues an import that was interrupted.

    to: array_record (a TFDS data set in `out`) or lmdb (one in `out`/SPLIT for each split). splits: which; None is
    all. limit: the first entries of each split only (lines, photographs, row groups). check: leave out images that
    cannot be decoded. jobs: processes; None is one for each core. interrupted: asked often; True ends the import.

    Returns:
      dict(source, notes, splits = {split: dict(entries, words, bytes, left_out, notes)}), where left_out and notes
      are {reason: dict(count, examples)}. It is also written to `out`/report.json.

    Raises:
      InputError: an option that cannot be, `out` holds something else or another import, or nothing can be used.
      Interrupted: `interrupted` said so. The same call continues.
    """
    out = Path(os.path.expanduser(out))
    if to not in TARGETS:
        raise InputError(f"--to={to} is not known; choose one of {', '.join(TARGETS)}")
    if limit is not None and limit < 1 or jobs is not None and jobs < 1:
        raise InputError(f"--limit={limit} --jobs={jobs}: must be 1 or more")
    source = _source(reader, to, _chosen(reader, splits), limit, check)
    done = _begin(out, source)
    if done is not None:
        _check_left_out(reader, out, done)
        return done
    try:
        with _locked(out / "partial"):
            report = _import(reader, out, source, jobs or core_count(), interrupted)
        shutil.rmtree(out / "partial")
    except OSError as error:
        raise InputError(f"{out}: {error.strerror or error}; see to it and run the same command again") from error
    return report


def _import(
    reader: Reader, out: Path, source: dict[str, Any], jobs: int, interrupted: Callable[[], bool]
) -> dict[str, Any]:
    """Writes the shards that are missing, then the data set, then the report, which is returned."""
    partial = out / "partial"
    names = _write_shards(reader, source, partial, jobs, interrupted)
    counts = {split: [shards.finished(path) for path in paths] for split, paths in names.items()}
    report = make_report(reader, source, counts)
    usable = {split: parts for split, parts in counts.items() if report["splits"][split]["words"]}
    if not usable:  # nothing is worth keeping, and what was missing may be there the next time
        shutil.rmtree(partial)
        raise InputError(nothing_usable(reader, report))
    if source["options"]["to"] == "array_record":
        write_dataset(reader, out, usable, partial)
    else:
        write_lmdbs(out, usable, partial, interrupted)
    shards.write_json(out / "report.json", report)
    return report


def _chosen(reader: Reader, splits: Sequence[str] | None) -> list[str]:
    unknown = set(splits or ()) - set(reader.index)
    if unknown:
        has = ", ".join(reader.index)
        raise InputError(f"--split={','.join(sorted(unknown))}: {reader.src} has only {has}")
    return [split for split in reader.index if not splits or split in splits]


def _source(reader: Reader, to: str, splits: list[str], limit: int | None, check: bool) -> dict[str, Any]:
    """What decides the result, as far as it can be seen without reading everything."""
    stats = {os.path.relpath(path, reader.src): path.stat() for path in reader.files()}
    return {
        "format": reader.name,
        "files": {name: [stat.st_size, stat.st_mtime_ns] for name, stat in stats.items()},
        "options": dict(to=to, splits=splits, limit=limit, check=check, labels=reader.labels, crops=reader.crops),
    }


def _begin(out: Path, source: dict[str, Any]) -> dict[str, Any] | None:
    """Makes `out` ready for `source`. Returns the report if it is there already.

    Raises:
      InputError: `out` holds something else.
    """
    started = out / "partial" / "source.json"
    try:
        if (out / "report.json").is_file():
            report = json.loads((out / "report.json").read_text(encoding="utf-8"))
            _compare(out, report.get("source", {}), source, f"another --out, or delete {out} to import again")
            shutil.rmtree(out / "partial", ignore_errors=True)
            return report
        # An import that has not finished a shard yet may become another one.
        if started.is_file() and any(f.name != started.name for f in started.parent.glob("*.json")):
            hint = f"the same command to continue, another --out, or delete {out} to start again"
            _compare(out, json.loads(started.read_text(encoding="utf-8")), source, hint)
            return None
        held = [f for f in (sorted(os.listdir(out)) if out.exists() else []) if f != "partial"]
        if held:
            raise InputError(f"--out={out} holds other files ({', '.join(held[:5])}); give a new or empty folder")
        started.parent.mkdir(parents=True, exist_ok=True)
        shards.write_json(started, source)
    except OSError as error:
        raise InputError(f"--out={out} cannot be used: {error.strerror}; give a new folder") from error
    except json.JSONDecodeError as error:
        raise InputError(f"--out={out} holds a damaged import ({error}); delete it") from error
    return None


def _compare(out: Path, stored: dict[str, Any], source: dict[str, Any], hint: str) -> None:
    """Raises InputError: not the same import; names the first thing that differs."""
    if stored == source:
        return
    if stored.get("format") != source["format"]:
        what = f"--from={stored.get('format')}, not {source['format']}"
    elif stored.get("options") != source["options"]:
        now, then = source["options"], stored.get("options") or {}
        what = ", ".join(f"{key}={then.get(key)!r}, not {now[key]!r}" for key in now if now[key] != then.get(key))
    else:
        then, now = stored.get("files") or {}, source["files"]
        changed = sorted(name for name in {*then, *now} if then.get(name) != now.get(name))
        what = f"another version of {', '.join(changed[:3])} (size or time changed)"
    raise InputError(f"--out={out} holds an import of {what}; use {hint}")


def is_finished(out: str | os.PathLike) -> bool:
    """Whether `out` holds an import that is complete: `prepare` then does nothing."""
    return (Path(os.path.expanduser(out)) / "report.json").is_file()


def _check_left_out(reader: Reader, out: Path, report: dict[str, Any]) -> None:
    """Raises InputError: images that a finished import left out are there now, or have changed since.

    It looks at the examples in the report, which are the first images left out for each reason.
    """
    finished = (out / "report.json").stat().st_mtime
    for split, row in report["splits"].items():
        folders = reader.image_folders(split) if split in reader.index else []
        for reason, left_out in row["left_out"].items():
            paths = [folder / key.partition(":")[0] for key in left_out["examples"] for folder in folders]
            now = [p.name for p in paths if p.is_file() and (reason == "missing file" or p.stat().st_mtime > finished)]
            if now:
                raise InputError(
                    f"--out={out} holds a finished import, in which {left_out['count']:,} images of {split} were left "
                    f"out ({reason}); some are there now: {first_few(now)}; delete {out} to import again"
                )


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    with open(folder / "lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(f"another import is writing to {folder.parent}; wait for it or end it") from None
        for left in folder.glob("*.tmp"):  # of a process that was killed
            left.unlink(missing_ok=True)
        yield


def _write_shards(
    reader: Reader, source: dict[str, Any], folder: Path, jobs: int, interrupted: Callable[[], bool]
) -> dict[str, list[Path]]:
    """Writes the shards that are missing. Returns the paths of all, without suffix."""
    options = source["options"]
    names, todo, total = {}, [], 0
    for split in options["splits"]:
        entries = reader.entries(split)
        cut = shards.bounds(min(len(entries), options["limit"] or len(entries)), reader.words_per_entry)
        names[split] = [folder / f"{split}-{i:05d}" for i in range(len(cut))]
        for path, (start, stop) in zip(names[split], cut, strict=True):
            if not shards.finished(path):
                todo.append((entries, start, stop, path))
                total += stop - start
    made = (shards.Job(reader, e[start:stop], path, options["check"]) for e, start, stop, path in todo)
    progress = Progress(total)
    if min(jobs, len(todo)) <= 1:
        _run_here(made, progress, interrupted)
    else:
        _run_in_processes(made, min(jobs, len(todo)), progress, interrupted)
    progress.end()
    return names


def _run_here(made: Iterator[shards.Job], progress: Progress, interrupted: Callable[[], bool]) -> None:
    def tick(words: int, left_out: int) -> None:
        if interrupted():
            raise Interrupted
        progress.add(words, left_out)
        progress.show()

    for job in made:
        shards.write(job, tick)


def _run_in_processes(
    made: Iterator[shards.Job], jobs: int, progress: Progress, interrupted: Callable[[], bool]
) -> None:
    context = get_context("forkserver")
    context.set_forkserver_preload([shards.__name__])  # imported once, then shared by the workers
    stop, together = context.Event(), context.Barrier(jobs)
    pool = ProcessPoolExecutor(jobs, context, shards.start_worker, (progress.counts, stop, together))
    # Ctrl-C reaches every process of the terminal, but only this one acts on it: the others inherit the block.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    waiting = {pool.submit(os.getpid) for _ in range(jobs)}
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    wait(waiting)  # a worker that is still starting when the pool is shut down would fail loudly
    try:
        while not interrupted():
            # A few jobs wait in the queue; the entries of the others are not copied yet.
            while len(waiting) < 2 * jobs and (job := next(made, None)) is not None:
                waiting.add(pool.submit(shards.work, job))
            if not waiting:
                return
            done, waiting = wait(waiting, 0.2, FIRST_COMPLETED)
            for future in done:
                future.result()
            progress.show()
        raise Interrupted
    except BrokenProcessPool as error:
        raise InputError(
            "a worker process was killed, perhaps for lack of memory; run the same command again, with fewer --jobs"
        ) from error
    finally:
        stop.set()
        pool.shutdown(cancel_futures=True)
