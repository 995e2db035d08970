"""Imports a published data set of word images: the same as python -m jstr.data.prepare, and `jstr prepare`."""

from jstr.cli import cli
from jstr.data.prepare import run

if __name__ == "__main__":
    cli(run)
