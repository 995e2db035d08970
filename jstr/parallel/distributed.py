"""Several processes that train as one: how they find each other, which one logs, and what they must agree on.

Every process runs the same program on its own devices. Only process 0 prints and writes metrics, images and results;
all of them write their part of a checkpoint. Each repeats the evaluation on its first device: the sets are small and
nothing has to be exchanged. Where a score decides something, the score of process 0 does.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib.util
import os
import sys
import uuid
import zlib
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh

from jstr.parallel import sharding
from jstr.text.messages import InputError

# Steps between a request to stop and the stop: by then the device has computed the answer, so nothing waits for it.
DELAY = 2


def start(coordinator: str | None = None, num_processes: int | None = None, process_id: int | None = None) -> None:
    """Joins the processes of this run, before anything else is done with jax; a single machine starts without it.

    coordinator: HOST:PORT of process 0. process_id: which of them this is. num_processes=1: a single process wherever
    it runs. Without arguments Slurm (srun), Open MPI (mpirun) or Cloud TPU decide.

    Raises:
      InputError: only some of the arguments, or the processes did not find each other.
    """
    if num_processes == 1:
        return
    given = coordinator, num_processes, process_id
    if any(x is not None for x in given) and None in given:
        raise InputError("give --coordinator=HOST:PORT, --num_processes and --process_id together, or none of them")
    if coordinator is None and not _in_cluster():
        return
    if coordinator is not None and not (":" in coordinator and 0 <= (process_id or 0) < (num_processes or 0)):
        raise InputError("--coordinator is HOST:PORT, and --process_id counts from 0 to --num_processes - 1")
    jax.config.update("jax_enable_preemption_service", False)  # it would take SIGTERM away from the training loop
    try:
        jax.distributed.initialize(coordinator, num_processes, process_id)
    except (ValueError, RuntimeError) as error:
        reason = f"{error}".splitlines()[0][:200]
        raise InputError(
            f"the processes did not find each other: {reason}; give --coordinator=HOST:PORT, --num_processes and "
            "--process_id, or --num_processes=1 for a single one"
        ) from error
    if not is_lead_host():
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115  as long as the process


def _in_cluster() -> bool:
    """Whether jax.distributed.initialize() can find the others by itself. A single Slurm task is a single machine."""
    for count, rank in (("SLURM_STEP_NUM_TASKS", "SLURM_PROCID"), ("OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK")):
        if rank in os.environ and int(os.environ.get(count, "1")) > 1:
            return True
    chips = any(Path("/dev").glob("accel[0-9]*")) or any(Path("/dev/vfio").glob("[0-9]*"))
    wanted = "tpu" in os.environ.get("JAX_PLATFORMS", "tpu")
    return bool(wanted and chips and importlib.util.find_spec("libtpu"))


def is_lead_host() -> bool:
    """Whether this is process 0."""
    return jax.process_index() == 0


@contextlib.contextmanager
def abort_on_failure() -> Iterator[None]:
    """A context in which a failing process ends at once, instead of waiting for the others while they wait for it."""
    try:
        yield
    except BaseException:
        if jax.process_count() > 1:
            atexit.unregister(jax.distributed.shutdown)
        raise


class SyncedStop:
    """Whether any process was asked to stop: all of them get the same answer after the same step.

    To be called once after every dispatch. With several processes the answer is DELAY calls late, so that none waits.
    """

    def __init__(self, mesh: Mesh):
        self._sharding = sharding.batch_sharding(mesh)
        self._any = jax.jit(lambda asked: asked.any(), out_shardings=sharding.replicated(mesh))
        self._answers: deque = deque()

    def __call__(self, asked: bool) -> bool:
        if jax.process_count() == 1:
            return asked
        mine = np.full(jax.local_device_count(), asked)
        self._answers.append(self._any(jax.make_array_from_process_local_data(self._sharding, mine)))
        return len(self._answers) > DELAY and bool(self._answers.popleft())


def broadcast_from_lead(value: float | None) -> float | None:
    """The value of process 0, on all processes."""
    if jax.process_count() == 1 or value is None:
        return value
    return float(np.frombuffer(_of_lead(np.float64(value).tobytes()), np.float64)[0])


def raise_from_lead(error: InputError | None) -> None:
    """Raises the error of process 0, if it has one, on all processes."""
    failed = broadcast_from_lead(0.0 if error is None else 1.0)
    if error is not None:
        raise error
    if failed and not is_lead_host():
        raise InputError("process 0 could not start")


def check_same(text: str, what: str) -> None:
    """Raises InputError on all processes if `text` differs between them. what: the name of what differs."""
    if jax.process_count() == 1:
        return
    sums = multihost_utils.process_allgather(np.uint32(zlib.crc32(text.encode())))
    others = [str(i) for i in range(len(sums)) if sums[i] != sums[0]]
    if others:
        raise InputError(f"process {', '.join(others)} and process 0 differ in {what}; start all of them alike")


def check_shared(folder: str | Path) -> None:
    """Raises InputError on all processes unless they all see the same `folder`."""
    if jax.process_count() == 1:
        return
    file = Path(folder) / f".{uuid.UUID(bytes=_of_lead(uuid.uuid4().bytes))}"
    if is_lead_host():
        file.touch()
    multihost_utils.sync_global_devices("touched")
    seen = multihost_utils.process_allgather(np.bool_(file.exists()))
    if is_lead_host():
        file.unlink()
    if not seen.all():
        blind = ", ".join(map(str, np.flatnonzero(~seen)))
        raise InputError(f"--workdir={folder}: process {blind} sees another folder; give one on a shared file system")


def _of_lead(text: bytes) -> bytes:
    return np.asarray(multihost_utils.broadcast_one_to_all(np.frombuffer(text, np.uint8))).tobytes()
