"""What makes a command start and run fast: a cache of compiled programs, and memory in huge pages."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import platform
import sys
from pathlib import Path

CACHE_BYTES = 2**29  # of compiled programs; the oldest go first
CACHE_SECONDS = 0.2  # what took less to compile is not kept
HUGE_PAGES = "glibc.malloc.hugetlb=1"  # malloc asks for them with madvise, from glibc 2.35 on
RESTARTED = "JSTR_RESTARTED"  # a second mark: privileged programs lose GLIBC_TUNABLES, and would restart for ever
OFFERED = Path("/sys/kernel/mm/transparent_hugepage/enabled")


def use_huge_pages() -> None:
    """Restarts this program so that malloc asks for huge pages, where the kernel gives them on request.

    XLA on a CPU allocates the memory of every step again, and with small pages loses a fifth to a third of it to page
    faults (configs/results/bench_cpu.json). GNU's C library reads this setting only when a program starts. The user's
    own GLIBC_TUNABLES stay, also empty ones. Only jstr's own command lines restart: not a notebook, a test or another
    program that calls a command.
    """
    if {"GLIBC_TUNABLES", RESTARTED} & set(os.environ) or not _on_request():
        return
    if not started_as_program(sys.orig_argv, sys.argv):
        return
    environment = {**os.environ, "GLIBC_TUNABLES": HUGE_PAGES, RESTARTED: "1"}
    try:
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environment)
    except OSError:  # not allowed here: small pages are only slower
        return


def _on_request() -> bool:
    """Whether the C library is GNU's, and the kernel gives huge pages on request (not always, not never)."""
    try:
        return os.confstr("CS_GNU_LIBC_VERSION") is not None and "[madvise]" in OFFERED.read_text()
    except (AttributeError, OSError, ValueError):  # no confstr on Windows, no such name on macOS
        return False


def started_as_program(command_line: list[str], argv: list[str]) -> bool:
    """Whether a process was started for a command of jstr, or for one of its tools.

    Args:
      command_line: `sys.orig_argv`, what the process was started with: python, its options, program, arguments.
      argv: `sys.argv`, the program and its arguments as they are now.
    """
    *before, program = command_line[: len(command_line) - len(argv) + 1] or [""]
    if command_line[len(before) + 1 :] != argv[1:]:
        return False
    if before[-1:] == ["-m"]:
        return program == "jstr" or program.startswith("jstr.")
    tools = Path(__file__).resolve().parents[2] / "tools"
    return program == argv[0] and (Path(program).name == "jstr" or Path(program).resolve().parent == tools)


def keep_compiled() -> None:
    """Makes jax keep compiled programs in the user's cache folder, at most CACHE_BYTES of them, for a quick next start.

    The user's own JAX_COMPILATION_CACHE_DIR or JAX_ENABLE_COMPILATION_CACHE=false stays. Machines with other processors
    that share a home have folders of their own. Where nothing can be written, nothing is kept.
    """
    if {"JAX_COMPILATION_CACHE_DIR", "JAX_ENABLE_COMPILATION_CACHE"} & set(os.environ):
        return
    if not importlib.util.find_spec("filelock"):  # jax would raise: it bounds its cache with that package
        return
    try:
        home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        folder = home / "jstr" / f"compiled-{_processor()}"
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):  # RuntimeError: no home
        return
    if not os.access(folder, os.W_OK):
        return
    settings = {
        "jax_compilation_cache_dir": str(folder),
        "jax_compilation_cache_max_size": CACHE_BYTES,
        "jax_persistent_cache_min_compile_time_secs": CACHE_SECONDS,
    }
    for name, value in settings.items():
        os.environ[name.upper()] = str(value)  # for a jax that is imported later
        if "jax" in sys.modules:
            sys.modules["jax"].config.update(name, value)


def _processor() -> str:
    """A short name of this machine's processor and what it can do, for which programs are compiled."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        facts = sorted({line for line in lines if line.startswith(("model name", "flags", "Features"))})
    except OSError:
        facts = [platform.platform(), platform.processor()]
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:8]
