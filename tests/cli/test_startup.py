"""Compiled programs are kept for the user, and commands restart with huge pages."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from jstr.cli import startup

ROOT = str(Path(__file__).resolve().parents[2])


@pytest.fixture
def settings(monkeypatch, tmp_path):
    """What keep_compiled sets in a jax that is not there, with a home of its own."""
    found = {}
    fake = SimpleNamespace(config=SimpleNamespace(update=found.__setitem__))
    monkeypatch.setitem(sys.modules, "jax", fake)
    monkeypatch.setattr(os, "environ", {"XDG_CACHE_HOME": str(tmp_path / "cache"), "HOME": str(tmp_path)})
    return found


def test_compiled_programs_are_kept_in_the_cache_folder_of_the_user(settings, tmp_path):
    startup.keep_compiled()
    (folder,) = (tmp_path / "cache/jstr").iterdir()
    assert settings["jax_compilation_cache_dir"] == str(folder) == os.environ["JAX_COMPILATION_CACHE_DIR"]
    assert 0 < settings["jax_compilation_cache_max_size"] < 2**30
    names = {name.lower(): kind(os.environ[name.upper()]) for name, value in settings.items() for kind in [type(value)]}
    assert names == settings, "a jax that is imported later must find the same"


@pytest.mark.parametrize("name", ["JAX_COMPILATION_CACHE_DIR", "JAX_ENABLE_COMPILATION_CACHE"])
def test_the_users_own_cache_of_compiled_programs_stays(settings, name):
    os.environ[name] = "mine"
    startup.keep_compiled()
    assert settings == {} and os.environ[name] == "mine"


def test_without_a_place_nothing_compiled_is_kept(settings, tmp_path):
    (tmp_path / "cache").write_text("a file")
    startup.keep_compiled()
    assert settings == {} and "JAX_COMPILATION_CACHE_DIR" not in os.environ


PYTHON = "/usr/bin/python3"
STARTED = {
    "the command": ([PYTHON, "/bin/jstr", "predict", "a.png"], ["/bin/jstr", "predict", "a.png"]),
    "a module": ([PYTHON, "-m", "jstr.main", "--config=crnn"], [f"{ROOT}/jstr/main.py", "--config=crnn"]),
    "the package": ([PYTHON, "-u", "-m", "jstr"], [f"{ROOT}/jstr/__main__.py"]),
    "a tool": ([PYTHON, f"{ROOT}/tools/study.py", "a.txt"], [f"{ROOT}/tools/study.py", "a.txt"]),
}
OTHERS = {
    "a test": ([PYTHON, "/bin/pytest", "-q"], ["/bin/pytest", "-q"]),
    "a test, with the arguments of a command": ([PYTHON, "/bin/pytest", "-q"], ["jstr", "-q"]),
    "pytest as a module": ([PYTHON, "-m", "pytest"], ["/lib/pytest/__main__.py"]),
    "a notebook": ([PYTHON, "-m", "ipykernel_launcher", "-f", "x.json"], [f"{ROOT}/tools/study.py"]),
    "a shell": ([PYTHON, "/bin/ipython"], [f"{ROOT}/jstr/main.py"]),
    "another program": ([PYTHON, "/home/me/read.py", "a.png"], ["/home/me/read.py", "a.png"]),
    "code": ([PYTHON, "-c", "code", "a.png"], ["-c", "a.png"]),
    "more arguments than there were": ([PYTHON], ["jstr", "a.png"]),
}


@pytest.fixture
def restarts(monkeypatch, tmp_path):
    """Restarts: (program, arguments, environment). The kernel gives huge pages on request."""
    found = []
    monkeypatch.delenv("GLIBC_TUNABLES")
    monkeypatch.delenv(startup.RESTARTED, raising=False)
    monkeypatch.setattr(os, "execve", lambda *command: found.append(command))
    monkeypatch.setattr(startup, "OFFERED", tmp_path / "enabled")
    startup.OFFERED.write_text("always [madvise] never\n")
    monkeypatch.setattr(os, "confstr", lambda name: "glibc 2.36")
    monkeypatch.setattr(sys, "orig_argv", STARTED["the command"][0])
    monkeypatch.setattr(sys, "argv", STARTED["the command"][1])
    return found


@pytest.mark.parametrize("name", [*STARTED, *OTHERS])
def test_only_command_lines_of_jstr_restart(restarts, monkeypatch, name):
    command_line, argv = (STARTED | OTHERS)[name]
    monkeypatch.setattr(sys, "orig_argv", command_line)
    monkeypatch.setattr(sys, "argv", argv)
    startup.use_huge_pages()
    if name in OTHERS:
        assert restarts == []
        return
    ((program, arguments, environment),) = restarts
    assert (program, arguments) == (sys.executable, [sys.executable, *command_line[1:]])
    assert environment == {**os.environ, "GLIBC_TUNABLES": startup.HUGE_PAGES, startup.RESTARTED: "1"}


@pytest.mark.parametrize("tunables", ["", "glibc.malloc.perturb=1", startup.HUGE_PAGES])
def test_the_users_tunables_stay_and_nothing_restarts_twice(restarts, monkeypatch, tunables):
    monkeypatch.setenv("GLIBC_TUNABLES", tunables)
    startup.use_huge_pages()
    assert restarts == []


def test_a_restart_whose_tunables_are_lost_is_the_last(restarts, monkeypatch):
    """As of a program with capabilities, which the system protects from GLIBC_TUNABLES."""
    monkeypatch.setenv(startup.RESTARTED, "1")
    startup.use_huge_pages()
    assert restarts == []


@pytest.mark.parametrize("offered", ["[always] madvise never", "always madvise [never]", None])
def test_nothing_restarts_where_no_request_helps(restarts, offered):
    startup.OFFERED.unlink() if offered is None else startup.OFFERED.write_text(offered)
    startup.use_huge_pages()
    assert restarts == []


def test_another_c_library_knows_no_tunables(restarts, monkeypatch):
    def unknown(name):
        raise ValueError("unrecognized configuration name")

    monkeypatch.setattr(os, "confstr", unknown)
    startup.use_huge_pages()
    assert restarts == []


def test_a_program_that_may_not_restart_goes_on(restarts, monkeypatch):
    def refused(*command):
        restarts.append(command)
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "execve", refused)
    startup.use_huge_pages()
    assert len(restarts) == 1 and "GLIBC_TUNABLES" not in os.environ


def test_a_command_runs_once_with_huge_pages(tmp_path):
    (tmp_path / "sitecustomize.py").write_text(
        "import atexit, os\natexit.register(lambda: print('tunables', os.environ.get('GLIBC_TUNABLES')))\n"
    )
    environment = {
        name: value for name, value in os.environ.items() if name not in ("GLIBC_TUNABLES", startup.RESTARTED)
    }
    environment["PYTHONPATH"] = f"{tmp_path}:{ROOT}"
    command = [sys.executable, "-W", "ignore", "-m", "jstr", "--version"]
    out = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.splitlines()
    wanted = startup.HUGE_PAGES if startup._on_request() else None
    assert out[0].startswith("jstr ") and out[1:] == [f"tunables {wanted}"]
