"""One run trains in a workdir at a time."""

import errno
import json
import os
import socket

import pytest
from testing import start

from jstr.text.messages import InputError
from jstr.training import workdir_lock

HOLDER = """
import sys, time
from jstr.training import workdir_lock
with workdir_lock.hold(sys.argv[1]):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(workdir_lock, "BEAT", 0.05)
    monkeypatch.setattr(workdir_lock, "PATIENCE", 0.2)


@pytest.fixture
def without_flock(monkeypatch):
    def fail(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(workdir_lock.fcntl, "flock", fail)


def owner(path, **about):
    (path / workdir_lock.NAME).write_text(json.dumps({"host": socket.gethostname(), "pid": 1, "beat": 0} | about))


def test_a_live_run_is_named_and_a_killed_one_leaves_nothing(tmp_path):
    (tmp_path / "holder.py").write_text(HOLDER)
    process = start(tmp_path / "holder.py", tmp_path)
    assert process.stdout.readline() == "held\n"
    with pytest.raises(InputError, match=f"process {process.pid} on .* is training in it; wait for it, stop it, or"):
        with workdir_lock.hold(tmp_path):
            pass
    process.kill()
    process.communicate()
    with workdir_lock.hold(tmp_path):
        pass
    with workdir_lock.hold(tmp_path):
        pass


def test_an_error_releases_it(tmp_path):
    with pytest.raises(KeyError):
        with workdir_lock.hold(tmp_path):
            raise KeyError
    with workdir_lock.hold(tmp_path):
        assert json.loads((tmp_path / workdir_lock.NAME).read_text())["pid"] == os.getpid()
    assert (tmp_path / workdir_lock.NAME).read_text() == ""


def test_where_a_file_system_has_no_locks(tmp_path, without_flock, quick):
    """On the same machine the process tells."""
    owner(tmp_path, pid=2**22 + 1)  # beyond the largest there is
    with workdir_lock.hold(tmp_path):
        with pytest.raises(InputError, match=f"process {os.getpid()} on"):
            with workdir_lock.hold(tmp_path):
                pass


def test_a_silent_owner_on_another_machine_is_gone_and_a_beating_one_is_not(tmp_path, quick, monkeypatch):
    owner(tmp_path, host="elsewhere")
    with workdir_lock.hold(tmp_path):
        pass
    owner(tmp_path, host="elsewhere")
    beats = iter(range(1, 100))
    monkeypatch.setattr(workdir_lock.time, "sleep", lambda _: owner(tmp_path, host="elsewhere", beat=next(beats)))
    with pytest.raises(InputError, match="process 1 on elsewhere is training in it"):
        with workdir_lock.hold(tmp_path):
            pass


def test_a_folder_that_cannot_be_written(tmp_path):
    with pytest.raises(InputError, match="missing cannot be written: No such file"):
        with workdir_lock.hold(tmp_path / "missing"):
            pass
