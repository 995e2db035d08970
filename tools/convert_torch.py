"""Converts a published PyTorch checkpoint: the same as python -m jstr.interop.convert, and `jstr convert`."""

from jstr.cli import cli
from jstr.interop.convert import run

if __name__ == "__main__":
    cli(run)
