"""Starts a training run on one machine, or as one process of several."""

from __future__ import annotations

from jstr.core import Config
from jstr.parallel import distributed
from jstr.text.metrics import Score
from jstr.training import loop


def run(
    config: Config,
    workdir: str,
    coordinator: str | None = None,
    num_processes: int | None = None,
    process_id: int | None = None,
) -> dict[str, Score]:
    """Joins the processes of the run, see distributed.start, and trains; returns the final scores.

    Raises:
      InputError: what distributed.start and loop.run raise.
    """
    distributed.start(coordinator, num_processes, process_id)
    with distributed.abort_on_failure():
        return loop.run(config, workdir)
