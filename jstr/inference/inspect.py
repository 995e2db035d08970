"""`jstr inspect`: the report of jstr.data.inspect, which also says whether the labels have room in a reader."""

from __future__ import annotations

from collections.abc import Sequence

import jstr.data.inspect as sets
from jstr.cli import cli


def _facts_of(workdir: str) -> sets.ReaderFacts:
    from jstr.inference.crops import capacity_line  # jax starts only where a reader is given
    from jstr.inference.reader import load

    reader = load(workdir, "none")
    return sets.ReaderFacts(reader.charset, reader.capacity, capacity_line(workdir, reader))


def run(argv: Sequence[str] | None = None) -> None:
    """See jstr.data.inspect.run. Raises InputError."""
    sets.run(argv, _facts_of)


if __name__ == "__main__":
    cli(run)
