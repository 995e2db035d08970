"""python -m jstr.data.synth: a contact sheet of rendered words, see jstr/data/preview.py."""

from jstr.cli import cli
from jstr.data.preview import run

if __name__ == "__main__":
    cli(run)
