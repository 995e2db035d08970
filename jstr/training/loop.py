"""The training loop. It names no objective, model or data set: a method is a config, not a branch."""

from __future__ import annotations

import contextlib
import sys
import time
from itertools import islice

import jax

from jstr.checkpoints.checkpoint import Checkpoints
from jstr.core import Config
from jstr.data import worker_processes
from jstr.data.sample_filter import BrokenImageTracker
from jstr.parallel import distributed
from jstr.text.messages import writing
from jstr.text.metrics import Score
from jstr.training import self_training, workdir_lock
from jstr.training.clock import Clock
from jstr.training.device_cache import DeviceData
from jstr.training.evaluation import check_figure
from jstr.training.finish import finish
from jstr.training.initial_weights import average_with_start
from jstr.training.metric_writer import MetricWriter
from jstr.training.setup import Parts, Start, check, make_step, open_parts, start_or_continue
from jstr.training.stop_signal import Stop
from jstr.training.tracker import Tracker


def run(config: Config, workdir: str) -> dict[str, Score]:
    """Trains as `config` says, from where `workdir` left off; returns the final scores.

    Raises:
      InputError: the config or its data cannot be used. NonFinite: loss or gradient is no longer a number.
    """
    config, mesh = check(config, workdir)
    with workdir_lock.hold(workdir), writing(f"--workdir={workdir}", workdir):
        return _run(open_parts(config, workdir, mesh))


def _run(parts: Parts) -> dict[str, Score]:
    config, workdir = parts.config, parts.workdir
    with contextlib.closing(Checkpoints(workdir, config.keep_checkpoints, bool(config.keep_best))) as checkpoints:
        start = start_or_continue(parts, checkpoints)
        check_figure(parts, start.state)
        clock = Clock(start.saved["seconds"] if start.saved else 0.0)
        writer = MetricWriter(workdir, config, start.schedule, clock, start.saved)
        tracker = Tracker(parts, checkpoints, start.saved, writer)
        step = _train(parts, start, writer, tracker)
        writer.close()
    if tracker.drift:
        print(tracker.drift, flush=True)
    elif step < config.steps:
        print(f"stopped and saved at step {step:,}; the same command continues", flush=True)
        return tracker.evaluation.scores
    return finish(parts, tracker, step, clock)


def _train(parts: Parts, start: Start, writer: MetricWriter, tracker: Tracker) -> int:
    """Trains until the end or a request to stop; returns the step at which it ended, which is saved.

    The order evaluate, save, next batch, step, report is part of the format of a checkpoint: saving comes before the
    next batch, so the saved step is also the number of the batch that a resumed run takes first. Evaluating comes
    before saving, so a checkpoint knows whether it is the best.
    """
    state, previous = start.state, None
    sure = parts.data.sure  # of the start's readings; later rounds have others
    step = start.saved["step"] if start.saved else 0
    config, clock = parts.config, writer.clock
    train_step = make_step(config, parts.objective, start.optimizer, parts.mesh)
    stopping, any_requested = False, distributed.SyncedStop(parts.mesh)
    batches: _Batches | None = None
    with Stop() as stop, contextlib.ExitStack() as opened:
        while True:
            tracker.evaluate_and_save(state, step, stopping)
            if step >= config.steps or stopping or tracker.drift:
                return step
            if batches is None or self_training.begins(config, step):
                opened.close()
                batches = None  # so that data on the devices are there only once
                with writer.pause():
                    parts = self_training.relabelled(parts, state, step)
                batches = opened.enter_context(contextlib.closing(_Batches(parts, step)))
            # Multiples of steps_per_dispatch, also after a run that was stopped in between.
            started = time.monotonic()
            some = batches.take(config.steps_per_dispatch - step % config.steps_per_dispatch)
            if previous is None or all(x.is_ready() for x in jax.tree.leaves(previous)):
                clock.waited += time.monotonic() - started  # otherwise the device was still busy: no time was lost
            state, metrics = train_step(state, *(batch["arrays"] for batch in some))
            step += len(some)
            if config.average_with_start and (step >= config.steps or self_training.begins(config, step)):
                images = sum(parts.data.sizes.values())
                state = average_with_start(config, state, parts.workdir, parts.mesh, images, sure)
            writer.step(step, metrics, *(batch["keys"] for batch in some))
            stopping = any_requested(stop.requested)
            if previous is not None:
                # Bounds the memory in flight. The device has the next dispatch already, so it does not wait for us.
                jax.block_until_ready(previous)
            previous = metrics


class _Batches:
    """The batches of a run from number `first` on, on the devices. Broken images are counted and named."""

    def __init__(self, parts: Parts, first: int):
        cache, self._broken = DeviceData(parts.data, parts.mesh), BrokenImageTracker(parts.data.sizes)
        self._name_broken(cache.broken)
        self._batches = parts.data.batches(first, cache.put, jax.process_index(), jax.process_count())

    def take(self, count: int) -> list[dict]:
        """The next `count` batches: "arrays", "keys" and "broken". Raises InputError: too many images are broken."""
        try:
            batches = list(islice(self._batches, count))
        except RuntimeError as error:
            explained = worker_processes.explain(error)
            if explained is None:
                raise
            raise explained from error
        self._name_broken([key for batch in batches for key in batch["broken"]])
        return batches

    def close(self) -> None:
        """Ends the threads and worker processes that prepare batches."""
        self._batches.close()

    def _name_broken(self, keys: list[str]) -> None:
        for key in self._broken.add(keys):
            out = sys.stdout if distributed.is_lead_host() else sys.stderr  # each process knows only its own
            print(f"broken or missing image left out: {key}", file=out, flush=True)
