"""Trains every arm of a study and tabulates them: python tools/study.py configs/studies/NAME.txt --out=runs/NAME

Arms (runs) are trained one after the other with the command line that a user would type. An interrupted arm continues,
a finished one is not run again. `--seeds=0,1` repeats all of them; `--only=PATTERN` runs some, so that other processes
can run others at the same time. Everything after `--` is passed to every arm, such as `-- --config.data_root=DATA`. The
output of an arm is in OUT/SEED/ARM/log.txt. --json writes scores, costs and commands of the finished arms.
"""

from __future__ import annotations

import fnmatch
import json
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import IO, NamedTuple

import measuring

from jstr.cli import Parser, cli, path
from jstr.text.messages import InputError


class Arm(NamedTuple):
    """A line of a study: its name and the options of `python -m jstr.main`, with {NAME} for workdirs of other arms."""

    name: str
    options: list[str]


def read_study(file: str) -> list[Arm]:
    """The arms of a file, one on each line. A line that begins with @NAME defines the options that @NAME stands for.

    Raises:
      InputError: no file, an arm without a config, a repeated arm, or one that needs an arm not defined above.
    """
    try:
        lines = Path(file).read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise InputError(f"{file}: {error.strerror}; give a file such as configs/studies/reader.txt") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{file}: not UTF-8 text; give a file such as configs/studies/reader.txt") from error
    arms: dict[str, Arm] = {}
    shared: dict[str, list[str]] = {}
    for number, line in enumerate(lines, 1):
        try:
            words = shlex.split(line, comments=True)
        except ValueError as error:
            raise InputError(f"{file}:{number}: {error}") from error
        if not words:
            continue
        name, *options = words[0], *(option for word in words[1:] for option in shared.get(word, [word]))
        if name.startswith("@"):
            shared[name] = options
            continue
        if not options or name in arms or not re.fullmatch(r"[\w-]+", name):
            raise InputError(f"{file}:{number}: expected a new name, a config and options")
        unknown = set(re.findall(r"{([\w-]+)}", " ".join(options))) - set(arms)
        if unknown:
            raise InputError(f"{file}:{number}: {name} needs {', '.join(sorted(unknown))}, which no line above defines")
        arms[name] = Arm(name, [f"--config={options[0]}", *options[1:]])
    if not arms:
        raise InputError(f"{file} defines no arm")
    return list(arms.values())


def command(arm: Arm, root: Path, seed: int, more: list[str]) -> list[str]:
    """The options of `python -m jstr.main` for an arm."""
    options = [re.sub(r"{([\w-]+)}", lambda found: str(root / found[1]), option) for option in arm.options]
    return [*options, f"--workdir={root / arm.name}", f"--config.seed={seed}", *more]


def result(workdir: Path) -> dict | None:
    """The results of a finished run, otherwise None."""
    try:
        return json.loads((workdir / "results.json").read_text())
    except (FileNotFoundError, ValueError):  # not there, or cut off: the run writes it again
        return None


def seeds_of(text: str) -> list[int]:
    """The numbers of --seeds. Raises InputError: they are none."""
    if not re.fullmatch(r"\d+(,\d+)*", text):
        raise InputError(f"--seeds={text}: give numbers, such as 0,1")
    return [int(seed) for seed in text.split(",")]


def train(arm: Arm, root: Path, seed: int, more: list[str]) -> dict:
    """Runs an arm to its end and returns its results. Raises InputError with the last line of its log: it failed."""
    workdir = root / arm.name
    workdir.mkdir(parents=True, exist_ok=True)
    log = workdir / "log.txt"
    with log.open("a") as out:
        options = command(arm, root, seed, more)
        failed = wait_for([sys.executable, "-m", "jstr.main", *options], out)
    found = result(workdir)
    if failed or found is None:
        said = log.read_text(errors="replace").splitlines() or ["it printed nothing"]
        raise InputError(f"{arm.name} of seed {seed} failed: {said[-1]} ({log})")
    return found


def wait_for(arguments: list[str], out: IO[str]) -> int:
    """The exit status of a command. Ctrl-C and SIGTERM are passed on to it, and it has the time to save.

    Raises:
      KeyboardInterrupt: afterwards, if there was one of them.
    """
    process = subprocess.Popen(arguments, stdout=out, stderr=out, start_new_session=True)
    received: list[int] = []

    def pass_on(number: int, _) -> None:
        received.append(number)
        process.send_signal(number)

    before = {number: signal.signal(number, pass_on) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        status = process.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if received:
        raise KeyboardInterrupt
    return status


def line(name: str, found: dict) -> str:
    """One row of the table: accuracy on every set, and the time."""
    sets = {**found["sets"], **{k: v for k, v in found.get("other_weights", {}).get("sets", {}).items()}}
    scores = "".join(f"  {key} {row['accuracy']:.1f}" for key, row in sets.items())
    return f"{name:24}{scores}  {found['seconds'] / 60:.1f} min"


def run(argv: list[str] | None = None) -> None:
    argv = sys.argv[1:] if argv is None else argv
    split = argv.index("--") if "--" in argv else len(argv)
    parser = Parser("python tools/study.py", __doc__)
    parser.add_argument("study", type=path, help="such as configs/studies/reader.txt")
    parser.add_argument("--out", type=path, required=True, help="a folder for the workdirs")
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--only", default="*", help="arms to run, such as 'probe-*'")
    parser.add_argument("--json", type=path, metavar="FILE")
    args = parser.parse_args(argv[:split])
    arms, more = read_study(args.study), argv[split + 1 :]
    seeds = seeds_of(args.seeds)
    measuring.check_folder(args.json)
    rows: dict[str, dict] = {}
    for seed in seeds:
        root = Path(args.out) / f"seed{seed}"
        for arm in arms:
            if result(root / arm.name) is None and fnmatch.fnmatch(arm.name, args.only):
                train(arm, root, seed, more)
            found = result(root / arm.name)
            if found:
                print(line(f"{arm.name} ({seed})", found), flush=True)
                shown = " ".join(command(arm, Path(f"OUT/seed{seed}"), seed, []))
                rows.setdefault(arm.name, {})[f"seed {seed}"] = {"command": f"python -m jstr.main {shown}"} | found
    measuring.save_json({"study": args.study, "arms": rows}, args.json)


if __name__ == "__main__":
    cli(run)
