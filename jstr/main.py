"""Trains what a config describes.

python -m jstr.main --config=configs/NAME.py --workdir=DIR [--config.KEY=VALUE ...]
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from absl import flags
from ml_collections import config_flags

from jstr.core import InputError

FLAGS = flags.FLAGS
CONFIG = config_flags.DEFINE_config_file("config", lock_config=True, help_string="configs/NAME.py")
WORKDIR = flags.DEFINE_string("workdir", None, "where checkpoints, metrics and results go")
COORDINATOR = flags.DEFINE_string("coordinator", None, "HOST:PORT of process 0, where nothing else tells (README)")
NUM_PROCESSES = flags.DEFINE_integer("num_processes", None, "how many processes train together")
PROCESS_ID = flags.DEFINE_integer("process_id", None, "which of them this is, from 0")


def cli(run: Callable[[], int | None]) -> None:
    """Runs a command as a program: what the user got wrong is one line on stderr and exit status 2."""
    from jstr.report import NonFinite

    try:
        status = run()
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        status = 2
    except NonFinite as error:
        print(f"error: {error}", file=sys.stderr)
        status = 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        status = 130
    sys.stdout.flush()
    sys.exit(status or 0)


def parse(argv: list[str], workdir_needed: bool = True) -> tuple:
    """(config, workdir) of a command line.

    Raises:
      InputError: an unknown flag, a config file that is not there, or a config key that does not exist.
    """
    for argument, following in zip(argv, [*argv[1:], ""], strict=True):
        name, _, value = argument.lstrip("-").partition("=")
        if name == "config":  # its `from configs import common` must work from any folder
            path = Path((value or following).split(":")[0]).resolve()
            sys.path.insert(0, str(path.parents[1]))
            if not path.is_file():
                raise InputError(f"--config={value or following}: there is no such file")
    try:
        rest = FLAGS(argv)
    except (flags.Error, AttributeError, KeyError, TypeError, ValueError) as error:
        message = str(error.args[0] if error.args else error)
        if message[:1] == message[-1:] == "'":  # a KeyError within: its message comes quoted and escaped
            message = message[1:-1].replace("\\n", " ").replace("\\'", "'")
        raise InputError(" ".join(_without_traceback(message).split())) from error
    if rest[1:]:
        raise InputError(f"unexpected argument {rest[1]!r}; options look like --config.steps=100")
    if CONFIG.value is None or (workdir_needed and not WORKDIR.value):
        raise InputError(f"give --config=configs/NAME.py{' and --workdir=DIR' if workdir_needed else ''}")
    return CONFIG.value, WORKDIR.value


def _without_traceback(message: str) -> str:
    """What get_config of a config raised, out of the traceback in which ml_collections wraps it."""
    _, wrapped, trace = message.partition("Error whilst parsing config file:")
    if not wrapped:
        return message
    said = trace.strip().splitlines()[-1]
    if said.startswith("ValueError: "):  # meant for the user
        return said.removeprefix("ValueError: ")
    places = [line.strip() for line in trace.splitlines() if line.strip().startswith("File ")]
    return f"{places[-1]}: {said}"


def run() -> None:
    config, workdir = parse(sys.argv)
    from jstr import distributed, train  # after the flags: a typo should not wait for jax

    distributed.start(COORDINATOR.value, NUM_PROCESSES.value, PROCESS_ID.value)
    with distributed.together():
        train.run(config, workdir)


if __name__ == "__main__":
    cli(run)
