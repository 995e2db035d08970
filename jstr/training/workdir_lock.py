"""One run trains in a workdir at a time. Readers need no lock.

The lock is the kernel's (flock), so a killed process does not leave it behind. Where a file system has no flock, or has
it for each machine alone, the file `.lock` itself tells: its owner writes a new beat into it every few seconds.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from jstr.parallel import distributed
from jstr.text.messages import InputError

NAME = ".lock"
BEAT = 5.0  # seconds between two beats of an owner
PATIENCE = 3 * BEAT  # an owner on another machine that is silent for so long is gone


@contextlib.contextmanager
def hold(workdir: str | os.PathLike) -> Iterator[None]:
    """A context in which no other run may train in `workdir`. Of several processes, process 0 holds the lock.

    Raises:
      InputError: another run does, or the folder cannot be written.
    """
    with contextlib.ExitStack() as stack:
        problem = None
        if distributed.is_lead_host():
            try:
                stack.enter_context(_hold(workdir))
            except InputError as error:
                problem = error
        distributed.raise_from_lead(problem)
        yield


@contextlib.contextmanager
def _hold(workdir: str | os.PathLike) -> Iterator[None]:
    path, stop = Path(workdir) / NAME, threading.Event()
    try:
        file = path.open("a+")
    except OSError as error:
        raise InputError(f"--workdir={workdir} cannot be written: {error.strerror}") from error
    with file:
        _take(file, path, workdir)
        _write_beat(file, 0)
        beats = threading.Thread(target=_beat, args=(file, stop), daemon=True)
        beats.start()
        try:
            yield
        finally:
            stop.set()
            beats.join()
            with contextlib.suppress(OSError):  # a full or broken disk; the process ends anyway
                _write(file, "")


def _take(file: TextIO, path: Path, workdir: str | os.PathLike) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        supported = True
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            raise _taken(_owner(path), workdir) from error
        supported = False
    owner = _owner(path)
    if not owner:
        return
    same_machine = owner.get("host") == socket.gethostname()
    if same_machine and (supported or not _exists(owner.get("pid"))):
        return
    if same_machine or _beats(path):
        raise _taken(owner, workdir)


def _taken(owner: dict, workdir: str | os.PathLike) -> InputError:
    who = f"process {owner['pid']} on {owner['host']}" if {"pid", "host"} <= set(owner) else "another process"
    return InputError(f"--workdir={workdir}: {who} is training in it; wait for it, stop it, or give another --workdir")


def _owner(path: Path) -> dict:
    """Who wrote the lock; empty when it was released or says nothing."""
    try:
        owner = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return owner if isinstance(owner, dict) else {}


def _exists(pid: object) -> bool:
    try:
        os.kill(int(str(pid)), 0)
    except (ValueError, ProcessLookupError):
        return False
    except PermissionError:  # of another user
        return True
    return True


def _beats(path: Path) -> bool:
    """Whether an owner writes into the lock. Opening a file again is what makes network file systems look again."""
    print(f"{path} is of another machine; waiting {PATIENCE:.0f} s to see whether it is in use ...", flush=True)
    first, end = _owner(path), time.monotonic() + PATIENCE
    while time.monotonic() < end:
        time.sleep(min(BEAT / 2, 1.0))
        if _owner(path) not in (first, {}):
            return True
    return False


def _beat(file: TextIO, stop: threading.Event) -> None:
    number = 1
    while not stop.wait(BEAT):
        _write_beat(file, number)
        number += 1


def _write_beat(file: TextIO, number: int) -> None:
    with contextlib.suppress(OSError):  # no room for a moment
        _write(file, json.dumps({"host": socket.gethostname(), "pid": os.getpid(), "beat": number}))


def _write(file: TextIO, text: str) -> None:
    file.seek(0)
    file.truncate()
    file.write(text)
    file.flush()
