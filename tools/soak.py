"""A run that is killed again and again: python tools/soak.py [--minutes=20] [--kills=30] [--json=FILE]

The CPU quick start, small, with workers and a checkpoint every few seconds, is killed at random times: SIGKILL, SIGTERM
or SIGINT, to the process or to its whole group. The same command then continues. At the end metrics and weights must
equal those of a run without kills, bit for bit; no process and no shared memory may be left, and memory must not grow.
Exit status 1: something of this does not hold.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jstr.cli import Parser, cli
from jstr.text.messages import InputError

ROOT = Path(__file__).resolve().parents[1]
CONFIG = {
    "image.size": (32, 64),
    "model.width": 0.0625,
    "streams.labelled.batch_size": 16,
    "num_workers": 2,
    "log_every": 10,
    "eval_every": 10**9,
    "keep_checkpoints": 2,
}
SIGNALS = ("SIGKILL", "SIGTERM", "SIGINT")
TIMED = ("seconds", "images_per_second", "data_wait")
PATIENCE = 600  # seconds for what takes one on a machine that does nothing else; a hang is longer
GROWTH_MIB = 64  # of a whole run: what allocators keep


class Run:
    """A training process in a group of its own, its output in a file; `steps` counts what it printed."""

    def __init__(self, workdir: Path, steps: int, save_every: int, log: Path):
        options = CONFIG | {"steps": steps, "save_every": save_every}
        flags = [f"--config.{name}={value}" for name, value in options.items()]
        # The sets of the quick start are left out: only the training is of interest.
        flags += ["--config=" + str(Path(__file__).with_name("soak_config.py")), f"--workdir={workdir}"]
        self.log, self._start = log, log.stat().st_size if log.exists() else 0
        self._out = log.open("ab")
        command = [sys.executable, "-X", "faulthandler", "-m", "jstr.main", *flags]
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=self._out, stderr=self._out, start_new_session=True)

    @property
    def text(self) -> str:
        """What this process has printed."""
        return self.log.read_bytes()[self._start :].decode(errors="replace")

    @property
    def step(self) -> int:
        """The last step that this process has printed, 0 before."""
        found = re.findall(r"^step ([\d,]+)/", self.text, re.MULTILINE)
        return int(found[-1].replace(",", "")) if found else 0

    @property
    def running(self) -> bool:
        return self.process.poll() is None

    def first_step(self) -> None:
        """Waits until it trains or ends."""
        while self.running and not re.search(r"^step ", self.text, re.MULTILINE):
            time.sleep(0.05)

    def members(self) -> list[int]:
        """The living processes of its group: itself and its workers."""
        return [pid for pid, group in _groups() if group == self.process.pid]

    def memory(self) -> float:
        """MiB that its processes hold, shared pages counted once."""
        return sum(_proportional_kib(pid) for pid in self.members()) / 1024

    def send(self, name: str, to_group: bool) -> None:
        with contextlib.suppress(ProcessLookupError):
            (os.killpg if to_group else os.kill)(self.process.pid, signal.Signals[name])

    def wait(self, seconds: float) -> int | None:
        """Its exit status; None and a kill when it hangs: faulthandler then prints its threads."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.send("SIGABRT", to_group=False)
            time.sleep(5)
            self.send("SIGKILL", to_group=True)
            self.process.wait()
            return None
        finally:
            self._out.close()


def _groups() -> Iterator[tuple[int, int]]:
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError):
            state, _, group = (folder / "stat").read_text().rpartition(")")[2].split()[:3]
            if state != "Z":
                yield int(folder.name), int(group)


def _proportional_kib(pid: int) -> int:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1])
    return 0


def shared_memory() -> set[str]:
    """The blocks of Python's shared memory that exist now."""
    return {path.name for path in Path("/dev/shm").glob("psm_*")}


def undisturbed(workdir: Path, steps: int, save_every: int, log: Path) -> dict[str, Any]:
    """Seconds until the first step, seconds of a step, and memory over time, of a run without kills."""
    run, start, memory = Run(workdir, steps, save_every, log), time.monotonic(), []
    run.first_step()
    trains = time.monotonic()
    while run.running:
        memory.append(run.memory())
        time.sleep(1)
    if run.wait(60) != 0:
        raise InputError(f"the run without kills failed; see {log}")
    per_step = (time.monotonic() - trains) / max(steps - CONFIG["log_every"], 1)
    return {"start": trains - start, "per_step": per_step, "memory": memory[1:-1] or memory}


def kill(run: Run, rng: random.Random, step: int, delay: float) -> dict[str, Any] | None:
    """Kills a run `delay` seconds after `step`, and says how it took it; None when it ended before."""
    while run.running and run.step < step:
        time.sleep(0.05)
    until = time.monotonic() + delay
    while run.running and time.monotonic() < until:
        time.sleep(0.01)
    name, to_group, trained = rng.choice(SIGNALS), rng.random() < 0.5, "\nstep " in run.text
    if not run.running:
        return None
    members, memory = run.members(), run.memory()
    run.send(name, to_group)
    status = run.wait(PATIENCE)
    end = time.monotonic() + PATIENCE
    while (left := [pid for pid in members if pid in dict(_groups())]) and time.monotonic() < end:
        time.sleep(0.1)
    said = run.text
    # A run that trains saves and ends with 0; before and after that both signals end it as they end any program.
    gentle = name == "SIGKILL" or not trained or status == 0 or "\ntrained " in said
    good = status is not None and not left and gentle and (name == "SIGKILL" or "Traceback" not in said)
    to = "group" if to_group else "process"
    return {"signal": name, "to": to, "status": status, "left": len(left), "mib": round(memory), "good": good}


def rows(workdir: Path) -> list[dict]:
    """metrics.jsonl without what depends on the clock."""
    lines = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name not in TIMED} for line in lines]


def same_weights(workdir: Path, other: Path) -> bool:
    """Whether two runs ended with the same numbers."""
    import jax
    import numpy as np

    from jstr.checkpoints.checkpoint import load_variables

    pairs = zip(*(jax.tree.leaves(load_variables(w)) for w in (workdir, other)), strict=True)
    return all(np.array_equal(a, b) for a, b in pairs)


def growth(memory: list[float]) -> float:
    """MiB by which the last third of a run held more than the second."""
    third = max(len(memory) // 3, 1)
    return statistics.median(memory[-third:]) - statistics.median(memory[third : 2 * third] or memory)


def _steps_of_kills(rng: random.Random, kills: int, steps: int) -> list[int]:
    """Rising steps after which a run is killed; 0, for one in four, is at any time before the first."""
    rising = iter(sorted(rng.randrange(1, max(steps - 2 * CONFIG["log_every"], 2)) for _ in range(kills)))
    return [0 if rng.random() < 0.25 else next(rising) for _ in range(kills)]


def by_kind(kills: list[dict[str, Any]]) -> dict[str, int]:
    """How many kills of each signal, to the process and to its group."""
    return dict(sorted(Counter(f"{kill['signal']} to the {kill['to']}" for kill in kills).items()))


def soak(folder: Path, minutes: float, kills: int, seed: int) -> dict[str, Any]:
    """Everything that was measured; `good` says whether it held."""
    rng, before, start = random.Random(seed), shared_memory(), time.monotonic()
    trial = undisturbed(folder / "trial", 60, 60, folder / "trial.log")
    # What starting takes is within the time, but on a slow machine a fifth of it at least is left for training.
    seconds = max(60 * minutes - kills * trial["start"], 0.2 * 60 * minutes)
    steps = max(200, round(seconds / trial["per_step"] / 10) * 10)
    save_every = max(1, round(3 / trial["per_step"]))  # a checkpoint every few seconds
    print(f"{steps:,} steps of {1000 * trial['per_step']:.0f} ms, {kills} kills, a checkpoint every {save_every}")
    whole = undisturbed(folder / "whole", steps, save_every, folder / "whole.log")
    killed, kills_start = [], time.monotonic()
    for step in [*_steps_of_kills(rng, kills, steps), steps + 1]:
        run = Run(folder / "killed", steps, save_every, folder / "killed.log")
        outcome = kill(run, rng, step, rng.uniform(0, 1 if step else whole["start"]))
        if outcome is None:
            status = run.wait(PATIENCE)
            break
        killed.append(outcome)
        print(f"kill {len(killed)}: {outcome}", flush=True)
    found = {
        "steps": steps,
        "seconds": round(time.monotonic() - start),
        "seconds_with_kills": round(time.monotonic() - kills_start),
        "kills_wanted": kills,
        "kills_by_kind": by_kind(killed),
        "kills": killed,
        "finished": status == 0,
        "metrics_equal": status == 0 and rows(folder / "killed") == rows(folder / "whole"),
        "weights_equal": status == 0 and same_weights(folder / "killed", folder / "whole"),
        "memory_mib": round(max(whole["memory"])),
        "memory_mib_with_kills": max((kill["mib"] for kill in killed), default=0),
        "memory_growth_mib": round(growth(whole["memory"]), 1),
        "shared_memory_left": len(shared_memory() - before),
    }
    good = (
        all(found[name] for name in ("finished", "metrics_equal", "weights_equal")) and not found["shared_memory_left"]
    )
    good = good and len(killed) == kills
    return found | {"good": good and all(k["good"] for k in killed) and found["memory_growth_mib"] < GROWTH_MIB}


def run(argv: list[str] | None = None) -> int:
    """Exit status: 1 when something did not hold."""
    parser = Parser("python tools/soak.py", __doc__)
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", metavar="FILE")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        found = soak(Path(folder), args.minutes, args.kills, args.seed)
        if not found["good"]:
            print((Path(folder) / "killed.log").read_text()[-4000:], file=sys.stderr)
    from jstr.checkpoints.provenance import commit, machine

    command = f"python tools/soak.py --minutes={args.minutes:g} --kills={args.kills} --seed={args.seed}"
    text = json.dumps({"command": command, "commit": commit(), "machine": machine()} | found, indent=2)
    print(text)
    if args.json:
        Path(args.json).write_text(text + "\n")
    return 0 if found["good"] else 1


if __name__ == "__main__":
    cli(run)
