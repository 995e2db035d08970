"""Grain's worker processes: signals, a parent that is killed, and what is said of one that was ended."""

import multiprocessing
import os
import signal
import time

import pytest
from testing import start

from jstr.data import worker_processes


def wait_until(condition, seconds=60) -> bool:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
    return condition()


@pytest.mark.parametrize("begin", [False, True])
def test_signals_do_not_end_a_worker(begin):
    """From its birth, when it has not yet run anything, and later."""
    with worker_processes.signals_blocked():
        target = worker_processes.begin if begin else time.sleep
        arguments = (0, 1) if begin else (30,)
        process = multiprocessing.get_context("spawn").Process(target=_then_wait, args=(target, arguments), daemon=True)
        process.start()
    for number in worker_processes.SIGNALS:
        os.kill(process.pid, number)
    process.join(3)
    assert process.is_alive()
    process.kill()
    process.join()


def _then_wait(target, arguments):
    target(*arguments)
    time.sleep(30)


PARENT = """
import multiprocessing, sys, time
from test_worker_processes import _then_wait
from jstr.data import worker_processes
if __name__ == "__main__":
    child = multiprocessing.get_context("spawn").Process(target=_then_wait, args=(worker_processes.begin, (0, 1)))
    child.start()
    print(child.pid, flush=True)
    time.sleep(60)
"""


def test_a_worker_ends_with_its_killed_parent(tmp_path):
    (tmp_path / "parent.py").write_text(PARENT)
    here = os.path.dirname(__file__)
    parent = start(tmp_path / "parent.py", PYTHONPATH=f"{os.getcwd()}:{os.getcwd()}/tests:{here}")
    worker = int(parent.stdout.readline())
    time.sleep(3)  # it imports
    parent.kill()
    parent.communicate()
    assert wait_until(lambda: not _runs(worker))


def _runs(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize(
    "code, says",
    [
        (-signal.SIGKILL, "ended by SIGKILL, often for lack of memory; use fewer"),
        (1, "ended by exit code 1; use fewer"),
    ],
)
def test_a_worker_that_was_ended(code, says):
    error = RuntimeError(f"Worker process was terminated unexpectedly with exit code {int(code)}. Search the logs")
    with pytest.raises(ValueError, match=says):
        raise worker_processes.explain(error)


def test_other_errors_stay_as_they_are():
    assert worker_processes.explain(RuntimeError("XLA: out of memory")) is None


def test_core_count(monkeypatch):
    assert worker_processes.core_count() == len(os.sched_getaffinity(0))
    monkeypatch.delattr(os, "sched_getaffinity")  # as on macOS
    assert worker_processes.core_count() == os.cpu_count()
