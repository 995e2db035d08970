"""A run of six steps as one of several processes; process 1 may stop or die on the way. Started by test_distributed.py.

python tests/parallel/two_process.py WORKDIR PROCESSES PROCESS PORT [SIGTERM|SIGKILL CALL]: the signal comes before that
call of the training step.
"""

import functools
import signal
import sys

import jax
from testing import interrupted, tiny_config

from jstr.cli import cli
from jstr.parallel import distributed
from jstr.training import loop, setup

# After which a process that was killed is missed; 100 by default.
jax.distributed.initialize = functools.partial(jax.distributed.initialize, heartbeat_timeout_seconds=10)
workdir, count, index, port = sys.argv[1], *map(int, sys.argv[2:5])


def run() -> None:
    config = tiny_config()
    config.steps, config.log_every, config.eval_every, config.save_every = 6, 1, 6, 2
    config.optimizer.options = dict(eps=1e-3)  # else Adam makes rounding errors of gradients near zero large
    distributed.start(f"localhost:{port}", count, index)
    if index == 1 and sys.argv[5:]:
        number = getattr(signal, sys.argv[5])
        setup.make_train_step = interrupted(setup.make_train_step, int(sys.argv[6]), number)
    with distributed.abort_on_failure():
        loop.run(config, workdir)


cli(run)
