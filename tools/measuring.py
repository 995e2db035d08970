"""What the benchmarks share: timing loops, numbers on the command line, the record of a run and its JSON file."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from absl import flags

from jstr.text.messages import InputError

FLAGS = flags.FLAGS


def define_json() -> None:
    """The flag --json of a benchmark."""
    flags.DEFINE_string("json", None, "write the figures to this file")


def rate(one: Callable[[int], int], seconds: float) -> float:
    """Images per second of `one(i)`, which handles some images and returns their number, over about `seconds`."""
    one(0)
    count, i, start = 0, 1, time.perf_counter()
    while (passed := time.perf_counter() - start) < seconds:
        count += one(i)
        i += 1
    return count / passed


def median_ms(call: Callable[[], Any], seconds: float) -> float:
    """The median time of a call in milliseconds, over about `seconds`, after one call that is not counted."""
    import jax

    jax.block_until_ready(call())
    times, start = [], time.perf_counter()
    while not times or time.perf_counter() - start < seconds:
        begin = time.perf_counter()
        jax.block_until_ready(call())
        times.append(time.perf_counter() - begin)
    return 1000 * sorted(times)[len(times) // 2]


def stay_on(cores: set[int]) -> None:
    """Pins this thread, and the threads and processes that it starts from now on, where the system can."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cores)


def all_cores() -> set[int]:
    """The cores that this process may use."""
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(os.cpu_count() or 1))


def numbers(flag: str, texts: Sequence[str], example: str) -> list[int]:
    """The integers of a list flag. Raises InputError: one is not an integer."""
    try:
        return [int(text) for text in texts]
    except ValueError as error:
        raise InputError(f"--{flag}={','.join(texts)}: give numbers, such as {example}") from error


def check_json() -> None:
    """Raises InputError when --json cannot be written, before anything is measured."""
    check_folder(json_file())


def record() -> dict[str, Any]:
    """What every result starts with: the command, the commit of the code and the machine."""
    from jstr.checkpoints import provenance

    return {"command": " ".join(sys.argv), "commit": provenance.commit(), "machine": provenance.machine()}


def write_json(result: dict[str, Any]) -> None:
    """Writes the result to the file of the flag --json, if given."""
    save_json(result, json_file())


def save_json(result: dict[str, Any], file: str | os.PathLike | None) -> None:
    """Writes the result to a file, if given."""
    if file:
        Path(file).write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


def check_folder(file: str | os.PathLike | None) -> None:
    """Raises InputError unless the file of --json can be in its folder, before hours are spent for it."""
    if file and (not Path(file).absolute().parent.is_dir() or Path(file).is_dir()):
        raise InputError(f"--json={file}: its folder does not exist, or it is a folder")


def json_file() -> Path | None:
    """The file of --json, if given."""
    return Path(FLAGS.json).expanduser() if FLAGS.json else None
