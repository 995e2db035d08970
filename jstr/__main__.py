"""Reads words in photographs, and trains readers.

jstr COMMAND ...   or   python -m jstr COMMAND ...

  train       train what a config describes         python -m jstr.main
  adapt       adapt a reader to your own images     python -m jstr.main --config=adapt
  predict     read image files                      python -m jstr.predict
  detect      find the words in photographs         python -m jstr.detect
  review      a page to correct what was read       python -m jstr.review
  evaluate    measure a reader on labelled words    python -m jstr.evaluate
  calibrate   what a confidence is worth            python -m jstr.calibrate
  inspect     report on data sets                   python -m jstr.inference.inspect
  prepare     import published data sets            python -m jstr.data.prepare
  export      write ONNX, StableHLO and more        python -m jstr.export
  convert     convert published weights             python -m jstr.interop.convert

`jstr COMMAND --help` says more.
"""

from __future__ import annotations

import difflib
import importlib
import sys

import jstr
from jstr.cli import cli
from jstr.text.messages import InputError

# Module and function. A module is imported when its command is given, so that --help need not wait for jax.
COMMANDS = {
    "train": ("jstr.main", "run"),
    "adapt": ("jstr.main", "adapt"),
    "predict": ("jstr.predict", "run"),
    "detect": ("jstr.detect", "run"),
    "review": ("jstr.review", "run"),
    "evaluate": ("jstr.evaluate", "run"),
    "calibrate": ("jstr.calibrate", "run"),
    "inspect": ("jstr.inference.inspect", "run"),
    "prepare": ("jstr.data.prepare", "run"),
    "export": ("jstr.export", "run"),
    "convert": ("jstr.interop.convert", "run"),
}


def run() -> int | None:
    """Runs the command that the first argument names."""
    if len(sys.argv) < 2 or sys.argv[1] in ("--help", "-h", "help"):
        print((__doc__ or "").strip())
        return 0
    if sys.argv[1] == "--version":
        print(f"jstr {jstr.__version__}")
        return 0
    command = sys.argv.pop(1)
    if command not in COMMANDS:
        likely = difflib.get_close_matches(command, COMMANDS, 1)
        there = f"did you mean {likely[0]}?" if likely else f"choose one of {', '.join(COMMANDS)}"
        raise InputError(f"jstr has no command {command!r}; {there}")
    sys.argv[0] = f"jstr {command}"  # what its --help and messages call it
    module, function = COMMANDS[command]
    return getattr(importlib.import_module(module), function)()


def main() -> None:
    """The program `jstr`."""
    cli(run)


if __name__ == "__main__":
    main()
