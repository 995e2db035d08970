"""Grain's worker processes: they ignore Ctrl-C and SIGTERM, end with the process that started them, and fail in words.

The training loop handles both signals by saving and then stops its workers. A worker that such a signal killed, because
it was sent to the whole process group, would end the run before it had saved.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import multiprocessing.connection
import os
import re
import signal
import threading
from collections.abc import Iterator
from multiprocessing import resource_tracker

from jstr.text.messages import InputError

SIGNALS = (signal.SIGINT, signal.SIGTERM)


def core_count() -> int:
    """How many cores this process may use, also where the system does not say so of one process."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextlib.contextmanager
def signals_blocked() -> Iterator[None]:
    """A context in which threads and, through them, processes are started that SIGINT and SIGTERM do not reach.

    A process inherits the signals that the thread which starts it blocks, so a worker is safe while it still imports.
    """
    resource_tracker.ensure_running()  # a worker that started it would unblock them
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def begin(index: int, count: int) -> None:
    """The first thing that a worker does."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Ends a worker whose parent was killed: it would wait for ever for somebody to take its batches."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)


def explain(error: RuntimeError) -> InputError | None:
    """What the user can do about a worker that was killed; None for other errors."""
    found = re.search(r"Worker process was terminated unexpectedly with exit code (-?\d+)", str(error))
    if not found:
        return None
    number = -int(found[1])
    names = {int(s): s.name for s in signal.Signals}
    name = names.get(number, f"exit code {-number}")
    reason = ", often for lack of memory" if number == signal.SIGKILL else ""
    return InputError(
        f"a worker process of config.num_workers was ended by {name}{reason}; use fewer, or --config.num_workers=0"
    )
