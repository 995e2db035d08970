"""A run of six steps as one of several processes; process 1 may stop or die on the way. Started by test_distributed.py.

python tests/two_process.py WORKDIR PROCESSES PROCESS PORT [SIGTERM|SIGKILL CALL]: the signal comes before that call of
the training step.
"""

import os
import signal
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parent)]

from testing import tiny_config

from jstr.cli import cli
from jstr.parallel import distributed
from jstr.training import loop, setup

workdir, count, index, port = sys.argv[1], *map(int, sys.argv[2:5])
make_train_step = setup.make_train_step


def interrupted(*arguments, **options):
    step, calls = make_train_step(*arguments, **options), 0

    def counted(*state_and_batches):
        nonlocal calls
        calls += 1
        if index == 1 and sys.argv[5:] and calls == int(sys.argv[6]):
            os.kill(os.getpid(), getattr(signal, sys.argv[5]))
        return step(*state_and_batches)

    return counted


def run() -> None:
    config = tiny_config()
    config.steps, config.log_every, config.eval_every, config.save_every = 6, 1, 6, 2
    config.optimizer.options = dict(eps=1e-3)  # else Adam makes rounding errors of gradients near zero large
    distributed.start(f"localhost:{port}", count, index)
    setup.make_train_step = interrupted
    with distributed.abort_on_failure():
        loop.run(config, workdir)


cli(run)
