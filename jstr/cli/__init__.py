"""What every command shares: options, the config of a command line, and errors as one line."""

from __future__ import annotations

import argparse
import difflib
import os
import select
import sys
import textwrap
from collections.abc import Callable, Iterable
from typing import NoReturn

from absl import flags
from ml_collections import ConfigDict, config_flags
from ml_collections.config_flags import config_path

from jstr.cli import config_file, startup
from jstr.text.messages import InputError, NonFinite

FLAGS = flags.FLAGS
WORKDIR = flags.DEFINE_string("workdir", None, "where checkpoints, metrics and results go")
COORDINATOR = flags.DEFINE_string("coordinator", None, "HOST:PORT of process 0, where the cluster does not tell it")
NUM_PROCESSES = flags.DEFINE_integer("num_processes", None, "how many processes train together")
PROCESS_ID = flags.DEFINE_integer("process_id", None, "which of them this is, from 0")

_CONFIG_HELP = """  --config=NAME[:ARGUMENTS]
    a config that comes with jstr, or the path of a file; with --help: what it says about itself
  --config.KEY=VALUE
    another value for one of its keys, such as --config.steps=100"""
# Types of values that --config.KEY=VALUE can set, and what to write.
_KINDS = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a text",
    tuple: """a tuple, such as "(32, 100)" or "('a', 'b')\"""",
    ConfigDict: """a dict, such as "{'a': 1}\"""",
    object: "a value",
}


def cli(run: Callable[[], int | None]) -> NoReturn:
    """Runs a command as a program: what the user got wrong is one line on stderr and exit status 2."""
    startup.use_huge_pages()  # first, because it may restart the program
    startup.keep_compiled()
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # names and texts of any script, on any terminal
            stream.reconfigure(errors="backslashreplace")
    try:
        status = _status(run)
        sys.stdout.flush()
    except BrokenPipeError:
        if not _nobody_reads():
            raise
        # Whoever read the output has gone, such as `head`. Python flushes once more when it ends: not to there.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 141  # as a shell says of a program that SIGPIPE ends
    sys.exit(status or 0)


def _nobody_reads() -> bool:
    """Whether the other end of stdout is closed; other pipes are a bug."""
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)  # errors are told unasked
    return any(events & (select.POLLERR | select.POLLHUP) for _, events in poll.poll(0))


def _status(run: Callable[[], int | None]) -> int | None:
    try:
        return run()
    except InputError as error:
        message, status = str(error), 2
    except NonFinite as error:
        message, status = str(error), 1
    except (AssertionError, RuntimeError):
        message, status = _no_platform(), 2
        if not message:
            raise
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            raise
        place = f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, (str, bytes)) else ""
        message, status = f"{place}{error.strerror or error}", 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    line = message.replace("\r", "\\r").replace("\n", "\\n")  # a file name may hold them
    print(f"error: {line}", file=sys.stderr)
    return status


def _no_platform() -> str:
    """What to say when jax cannot start on JAX_PLATFORMS, for which it raises this and that; "" when it can."""
    jax, wanted = sys.modules.get("jax"), os.environ.get("JAX_PLATFORMS")
    try:
        if jax and wanted:
            jax.devices()
        return ""
    except (AssertionError, RuntimeError):
        return f"JAX_PLATFORMS={wanted}: jax finds no such device here; unset it, or set it to cpu"


class Parser(argparse.ArgumentParser):
    """The options of a command. about: its module's docstring; the first line of an error says what is wrong."""

    def __init__(self, command: str, about: str | None):
        raw = argparse.RawDescriptionHelpFormatter
        typed, about = _as_typed(command, command), _as_typed(about or "", command)
        super().__init__(prog=typed, description=about, formatter_class=raw, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message}; see --help")


def path(text: str) -> str:
    """Type of an option that is a path: not empty, and `~` is the home folder, which shells leave after `=`."""
    if not text:
        raise argparse.ArgumentTypeError("give a path")
    return os.path.expanduser(text)


def named_paths(option: str, items: Iterable[str]) -> dict[str, str]:
    """Name -> path of an option that is given as NAME=PATH, once or more. Raises InputError."""
    found: dict[str, str] = {}
    for item in items:
        name, _, place = item.partition("=")
        if not (name and place):
            raise InputError(f"{option}={item}: give NAME=PATH")
        if name in found:
            raise InputError(f"{option}={item}: the name {name} is given twice")
        found[name] = os.path.expanduser(place)
    return found


def config_help(name: str) -> str:
    """What a config that comes with jstr says about itself."""
    return config_file.docstring(name)


def parse(argv: list[str], workdir_needed: bool = True, about: str | None = None) -> tuple[ConfigDict, str | None]:
    """(config, workdir) of a command line, whose first element is the program; `--help` prints and exits.

    about: what --help says first; None: the docstring of the program.

    Raises:
      InputError: an unknown flag, a config file that is not there, or a config key that does not exist.
    """
    spec, rest = _split(argv)
    if any(argument in ("--help", "-help", "-h") for argument in rest):
        print(_help(about or sys.modules["__main__"].__doc__, spec))
        sys.exit(0)
    needed = f"give --config=NAME{' and --workdir=DIR' if workdir_needed else ''}; see --help"
    if spec is None:
        raise InputError(needed)
    config = config_file.load_config(spec)
    try:
        rest = FLAGS(_override(config, rest))
    except flags.Error as error:
        raise InputError(" ".join(str(error).split()).removeprefix("flag ")) from error
    if rest[1:]:
        raise InputError(f"unexpected argument {rest[1]!r}; options look like --config.steps=100")
    if workdir_needed and not WORKDIR.value:
        raise InputError(needed)
    return config, WORKDIR.value and os.path.expanduser(WORKDIR.value)


def _split(argv: list[str]) -> tuple[str | None, list[str]]:
    """The value of --config, and the other arguments."""
    spec, rest = None, []
    arguments = iter(argv)
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if name not in ("--config", "-config"):
            rest.append(argument)
        elif spec is not None:
            raise InputError("--config is given twice")
        else:
            spec = value if equals else next(arguments, "")
    return spec, rest


def _override(config: ConfigDict, argv: list[str]) -> list[str]:
    """Sets what --config.KEY=VALUE says; returns the other arguments. Locks `config`."""
    _check_keys(config, argv)
    values = flags.FlagValues()
    values.set_gnu_getopt(True)
    try:
        config_flags.DEFINE_config_dict("config", config, flag_values=values, sys_argv=argv)
        return values(argv, known_only=True)
    except flags.IllegalFlagValueError as error:
        raise InputError(_wrong_value(config, argv, str(error))) from error
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise InputError(" ".join(str(error.args[0] if error.args else error).split())) from error


def _wrong_value(config: ConfigDict, argv: list[str], message: str) -> str:
    """What to write instead of the value that absl refuses by `flag --config.KEY=VALUE: ...`."""
    option = message.removeprefix("flag ").partition("=")[0]
    given = [argument for argument in argv if argument.lstrip("-").startswith(f"{option.lstrip('-')}=")]
    kind = config_path.get_type(option.removeprefix("--config."), config)
    return f"{given[-1] if given else option}: give {_KINDS[kind]}"


def _check_keys(config: ConfigDict, argv: list[str]) -> None:
    """Raises InputError when `--config.KEY=VALUE` names a key that `config` lacks."""
    for argument in argv:
        option = argument.partition("=")[0]
        name = option.lstrip("-").removeprefix("no")
        if option.startswith("-") and name.startswith("config."):
            _check_key(config, option, name.removeprefix("config."))


def _check_key(config: ConfigDict, option: str, path: str) -> None:
    within, place = config, "config"
    for key in path.split("."):
        key, indexed, _ = key.partition("[")
        if not isinstance(within, ConfigDict):
            raise InputError(f"{option}: {place} is {within!r} and has no {key!r}")
        if key not in within:
            likely = difflib.get_close_matches(key, list(within), 1)
            there = f"did you mean {likely[0]!r}?" if likely else f"it has {', '.join(within) or 'nothing'}"
            raise InputError(f"{option}: there is no {key!r} in {place}; {there}")
        within, place = within[key], f"{place}.{key}"
        if indexed:
            if isinstance(within, tuple):
                raise InputError(f'{option}: {place} has {len(within)} values; give all, as in --{place}="{within}"')
            return
    if config_path.get_type(path, config) not in _KINDS:
        raise InputError(f"{option}: {place} is {within!r}, which only the config file can change")


def _help(about: str | None, spec: str | None) -> str:
    if spec:
        return config_file.docstring(spec)
    ours = {flag.name: flag for module in (sys.argv[0], __name__) for flag in FLAGS.get_key_flags_for_module(module)}
    described = [f"  --{name}={flag.flag_type().upper()}\n    {flag.help}" for name, flag in ours.items()]
    known = textwrap.fill(f"Configs that come with jstr: {', '.join(config_file.names())}", 100)
    about = _as_typed((about or "").strip(), "python -m jstr.main")
    return "\n".join([about, "", _CONFIG_HELP, *described, "", known])


def _as_typed(text: str, command: str) -> str:
    """The text with what was typed in place of `command`, its long form: `jstr COMMAND` where that started it."""
    return text.replace(command, sys.argv[0]) if sys.argv[0].startswith("jstr ") else text
