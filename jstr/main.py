"""Trains what a config describes.

python -m jstr.main --config=configs/NAME.py --workdir=DIR [--config.KEY=VALUE ...]
"""

from __future__ import annotations

import sys

from jstr.cli import COORDINATOR, NUM_PROCESSES, PROCESS_ID, cli, parse


def run() -> None:
    config, workdir = parse(sys.argv)
    from jstr.parallel import distributed
    from jstr.training import loop  # after the flags: a typo should not wait for jax

    distributed.start(COORDINATOR.value, NUM_PROCESSES.value, PROCESS_ID.value)
    with distributed.abort_on_failure():
        loop.run(config, workdir)


if __name__ == "__main__":
    cli(run)
