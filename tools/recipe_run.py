"""What the recipes of tools/recipe.py are made of: commands within a budget, and the few files that stay."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

SPARE = 30.0  # seconds kept free at the end of the budget
GRACE = 15.0  # seconds between asking a command to end and killing it
MAX_FILES, MAX_BYTES = 8, 16 * 2**20
TIMED_STEPS = 40
WAIT = 0.05  # a larger share of time spent waiting for data is explained
ROOT = Path(__file__).resolve().parents[1]
SCENE = dict(IIIT5K="iiit5k/test", SVT="svt/test", IC13_1015="icdar2013/test")  # test sets under the data folder


class Command(NamedTuple):
    """What became of a command: exit status (None: it ran out of time), seconds, the end of what it printed."""

    status: int | None
    seconds: float
    tail: str


class Run:
    """One run of a recipe: its budget, its folders, and the commands that it is made of.

    out: where results stay. work: where workdirs lie, removed at the end. data: the folder of word images, or None.
    tiny: a dry run. rows: what goes into results.json.
    """

    def __init__(self, name: str, budget: float, out: Path, data: Path | None, tiny: bool):
        self.name, self.out, self.data, self.tiny = name, out, data, tiny
        self._start = time.monotonic()
        self._end = self._start + budget - (0 if tiny else SPARE)
        out.mkdir(parents=True, exist_ok=True)
        self._before = set(out.iterdir())
        self.work = Path(tempfile.mkdtemp(prefix="recipe_"))
        self._log = (out / "log.txt").open("a")
        self.rows: dict[str, Any] = {"recipe": name, "budget": budget, "dry_run": tiny, "arms": {}}
        self._environment = os.environ | {
            "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")])),
            "JAX_COMPILATION_CACHE_DIR": os.environ.get("JAX_COMPILATION_CACHE_DIR", str(self.work / "compiled")),
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.3",
        }

    @property
    def left(self) -> float:
        """Seconds that may still be spent."""
        return self._end - time.monotonic()

    def say(self, line: str) -> None:
        line = f"[{time.monotonic() - self._start:6.1f} s] {line}"
        print(line, flush=True)
        self._log.write(line + "\n")
        self._log.flush()

    def note(self, arm: str, **values: Any) -> None:
        """Adds to an arm's row and writes results.json."""
        self.rows["arms"].setdefault(arm, {}).update(values)
        self.rows["seconds"] = round(time.monotonic() - self._start, 1)
        part = self.out / "results.json.part"
        part.write_text(json.dumps(self.rows, indent=2) + "\n")
        part.replace(self.out / "results.json")

    def command(self, *arguments: str | Path, limit: float | None = None) -> Command:
        """Runs `python ARGUMENTS`; asked to end after `limit` seconds (default: what is left), then killed."""
        limit = self.left if limit is None else min(limit, self.left)
        if limit <= 0:
            self.say("no time left for: " + " ".join(map(str, arguments)))
            return Command(None, 0.0, "")
        shown = " ".join(map(str, arguments)).replace(str(self.work), "WORK")
        self.say(f"python {shown}   (at most {limit:.0f} s)")
        start, printed = time.monotonic(), self.work / "printed.txt"
        with printed.open("w") as file:
            process = subprocess.Popen(
                [sys.executable, *map(str, arguments)],
                stdout=file, stderr=subprocess.STDOUT, cwd=ROOT, env=self._environment, start_new_session=True,
            )  # fmt: skip
            status = _wait(process, limit)
        text = printed.read_text(errors="replace")
        self._log.write(text if len(text) < 20_000 else text[:8_000] + "\n[...]\n" + text[-8_000:])
        self._log.flush()
        seconds = time.monotonic() - start
        lines = text.strip().splitlines()
        if status != 0:
            self.say(f"ended with {'no time left' if status is None else f'status {status}'}: {lines[-1:] or ['']}")
        return Command(status, seconds, "\n".join(lines[-20:]))

    def train(self, arm: str, config: str, seconds: float, *options: str, rounds: int = 1) -> Path | None:
        """Trains for about `seconds` and returns the workdir, or None where there was no time or nothing came of it.

        The step is timed first; schedule, warm-up and the last evaluation are made to fit what then remains. rounds:
        those of self-training, each of which reads the images again, as the trial does once.
        """
        deadline = time.monotonic() + min(seconds, self.left)
        workdir = self.work / arm
        base = ["-m", "jstr.main", f"--config={config}", *self._data_options(), *options]
        steps, about = (2, {}) if self.tiny else self._fitting_steps(arm, base, deadline, rounds)
        if not steps:
            return None
        marks = [f"--config.{name}={value}" for name, value in _intervals(steps).items()]
        marks += [f"--config.self_training.every={-(-steps // rounds)}"] * (rounds > 1)
        command = [*base, f"--workdir={workdir}", *marks]
        done = self.command(*command, limit=deadline + 20 - time.monotonic())
        rows = _metrics(workdir)
        self.note(arm, command=" ".join(["python", *map(str, command)]).replace(str(self.work), "WORK"), **about)
        self.note(arm, steps=rows[-1]["step"] if rows else 0, train_seconds=round(done.seconds, 1), **_rates(rows))
        if (workdir / "results.json").exists():
            self.note(arm, results=json.loads((workdir / "results.json").read_text()))
        with (self.out / "metrics.jsonl").open("a") as file:
            file.writelines(json.dumps({"arm": arm} | row) + "\n" for row in rows)
        return workdir if (workdir / "checkpoints").is_dir() else None

    def _fitting_steps(
        self, arm: str, base: list[str], deadline: float, rounds: int = 1
    ) -> tuple[int, dict[str, float]]:
        """(steps that fit until the deadline, what was measured), from a short run of the very command."""
        trial = self.work / f"{arm}_timed"
        marks = [f"--config.{name}={value}" for name, value in _intervals(TIMED_STEPS).items()]
        done = self.command(*base, f"--workdir={trial}", *marks, limit=deadline - time.monotonic())
        rows = [row for row in _metrics(trial) if "images_per_second" in row]
        if done.status != 0 or len(rows) < 2:
            self.note(arm, failed=done.tail[-500:])
            return 0, {}
        span = rows[-1]["seconds"] - rows[0]["seconds"]
        step = max(span / (rows[-1]["step"] - rows[0]["step"]), 1e-4)
        overhead = max(done.seconds - TIMED_STEPS * step, 0.0)
        steps = int((deadline - time.monotonic() - 1.2 * rounds * overhead) / step) // 20 * 20
        wait = rows[-1]["data_wait"]
        about = f"{1000 * step:.1f} ms a step, {overhead:.0f} s around them, {100 * wait:.0f} % waiting"
        self.say(f"{arm}: {about}; {steps} steps fit")
        if wait > WAIT:
            self.say(f"{arm} waits for data: a step needs its images sooner than {os.cpu_count()} cores make them")
        shutil.rmtree(trial, ignore_errors=True)
        return max(steps, 0), {"timed_ms_per_step": 1000 * step, "overhead_seconds": overhead, "timed_data_wait": wait}

    def _data_options(self) -> list[str]:
        return [f"--config.data_root={self.data}"] if self.data else []

    def evaluate(
        self, arm: str, workdir: Path | str, *options: str, key: str = "scores", sets: Mapping[str, str] = SCENE
    ) -> None:
        """Word accuracy of a workdir on the test sets under `data`, or on the shipped words."""
        given = [f"--data={n}={self.data / f'{f}.tar'}" for n, f in sets.items() if self.data and not self.tiny]
        given = given or [f"--data=shipped={ROOT / 'tests/data/real_words'}"]
        file = self.work / "scores.json"
        done = self.command("-m", "jstr.evaluate", f"--workdir={workdir}", *given, f"--json={file}", *options, limit=90)
        if done.status == 0:
            self.note(arm, **{key: json.loads(file.read_text())})

    def pack(self, arm: str, workdir: Path) -> Path | None:
        """Packs the weights of a workdir into OUT/ARM.npz, in half precision."""
        file = self.out / f"{arm}.npz"
        done = self.command(ROOT / "tools/pack.py", f"--workdir={workdir}", f"--out={file}", limit=60)
        return file if done.status == 0 else None

    def keep(self, path: Path, name: str) -> None:
        """Copies a file to OUT, if it exists."""
        if path.is_file():
            shutil.copy(path, self.out / name)

    def close(self) -> None:
        """Removes workdirs, and files of this run beyond what may be kept, each named in the log."""
        shutil.rmtree(self.work, ignore_errors=True)
        first = ("log.txt", "results.json", "metrics.jsonl")
        made = set(self.out.iterdir()) - self._before
        files = sorted(made, key=lambda p: (p.name not in first, p.stat().st_mtime))
        for number, path in enumerate(files):
            if number >= MAX_FILES or path.stat().st_size > MAX_BYTES:
                self.say(f"not kept: {path.name}, {path.stat().st_size / 2**20:.1f} MiB, file {number + 1}")
                path.unlink()
        self.say(f"done; {sum(1 for _ in self.out.iterdir())} files in {self.out}")
        self._log.close()


def _wait(process: subprocess.Popen, limit: float) -> int | None:
    """The exit status; None where the process group had to be ended: SIGTERM lets a training save first."""
    try:
        return process.wait(limit)
    except subprocess.TimeoutExpired:
        pass
    for sign, seconds in ((signal.SIGTERM, GRACE), (signal.SIGKILL, None)):
        try:
            os.killpg(process.pid, sign)
        except ProcessLookupError:
            break
        try:
            process.wait(seconds)
            break
        except subprocess.TimeoutExpired:
            continue
    return None


def _intervals(steps: int) -> dict[str, int]:
    """config.steps and what depends on it: ten lines of progress, one evaluation, at the end."""
    return dict(steps=steps, log_every=max(steps // 10, 1), eval_every=steps, save_every=max(steps // 2, 1))


def _metrics(workdir: Path) -> list[dict[str, Any]]:
    file = workdir / "metrics.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.is_file() else []


def _rates(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Medians of the progress lines."""
    lines = [row for row in rows if "images_per_second" in row][1:]
    names = ("images_per_second", "data_wait")
    return {name: sorted(row[name] for row in lines)[len(lines) // 2] for name in names} if lines else {}
