"""What every command shares: flags, the config of a command line, and errors as one line."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Callable
from pathlib import Path

from absl import flags
from ml_collections import ConfigDict, config_flags

from jstr.core import InputError, NonFinite

FLAGS = flags.FLAGS


CONFIG = config_flags.DEFINE_config_file("config", lock_config=True, help_string="configs/NAME.py")


WORKDIR = flags.DEFINE_string("workdir", None, "where checkpoints, metrics and results go")


COORDINATOR = flags.DEFINE_string("coordinator", None, "HOST:PORT of process 0, where nothing else tells (README)")


NUM_PROCESSES = flags.DEFINE_integer("num_processes", None, "how many processes train together")


PROCESS_ID = flags.DEFINE_integer("process_id", None, "which of them this is, from 0")


_WRAPPED = "Error whilst parsing config file:"


def cli(run: Callable[[], int | None]) -> None:
    """Runs a command as a program: what the user got wrong is one line on stderr and exit status 2."""
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
    file = None
    for argument, following in zip(argv, [*argv[1:], ""], strict=True):
        name, _, value = argument.lstrip("-").partition("=")
        if name == "config":  # its `from configs import common` must work from any folder
            file = value or following
            path = Path(file.split(":")[0]).resolve()
            sys.path.insert(0, str(path.parents[1]))
            if not path.is_file():
                raise InputError(f"--config={file}: there is no such file")
    try:
        rest = FLAGS(argv)
    except (flags.Error, AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        message = str(error.args[0] if error.args else error)
        if message[:1] == message[-1:] == "'":  # a KeyError within: its message comes quoted and escaped
            message = message[1:-1].replace("\\n", " ").replace("\\'", "'")
        if isinstance(error, (AttributeError, IndexError, KeyError, TypeError)) and _WRAPPED not in message:
            message = _absent_key(FLAGS["config"].parser.parse(file), argv) or message  # the file itself was read
        raise InputError(" ".join(_without_traceback(message).split())) from error
    if rest[1:]:
        raise InputError(f"unexpected argument {rest[1]!r}; options look like --config.steps=100")
    if CONFIG.value is None or (workdir_needed and not WORKDIR.value):
        raise InputError(f"give --config=configs/NAME.py{' and --workdir=DIR' if workdir_needed else ''}")
    return CONFIG.value, WORKDIR.value


def _absent_key(config: ConfigDict, argv: list[str]) -> str | None:
    """The first `--config.KEY=VALUE` whose KEY the config lacks, and what is there instead."""
    for argument in argv:
        option = argument.lstrip("-").partition("=")[0]
        within, place = config, "config"
        for key in option.split(".")[1:] if option.startswith("config.") else ():
            key, indexed, index = key.partition("[")
            if not isinstance(within, ConfigDict):
                return f"--{option}: {place} is {within!r} and has no {key!r}"
            if key not in within:
                likely = difflib.get_close_matches(key, list(within), 1)
                there = f"did you mean {likely[0]!r}?" if likely else f"it has {', '.join(within)}"
                return f"--{option}: there is no {key!r} in {place}; {there}"
            within, place = within[key], f"{place}.{key}"
            if indexed:
                if isinstance(within, tuple) and index[:-1].isdigit() and int(index[:-1]) >= len(within):
                    return f"--{option}: {place} has {len(within)} values, counted from 0"
                break
    return None


def _without_traceback(message: str) -> str:
    """What get_config of a config raised, out of the traceback in which ml_collections wraps it."""
    _, wrapped, trace = message.partition(_WRAPPED)
    if not wrapped:
        return message
    said = trace.strip().splitlines()[-1]
    if said.startswith("ValueError: "):  # meant for the user
        return said.removeprefix("ValueError: ")
    places = [line.strip() for line in trace.splitlines() if line.strip().startswith("File ")]
    return f"{places[-1]}: {said}"
