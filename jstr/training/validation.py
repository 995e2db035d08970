"""Metrics on batches held back from training (config.held_back): the guide where there are no labels to score."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Mapping

import jax
import numpy as np
from jax.sharding import Mesh

from jstr.core import Array, Batch, Config, Metrics, Objective, TrainState
from jstr.data.pipeline import TrainData
from jstr.data.source_config import ReadLabel
from jstr.parallel import sharding
from jstr.parallel.compiling import jit
from jstr.text import Charset
from jstr.text.messages import InputError


class Validation:
    """config.held_back: rows in the form of config.streams, each with `batches`, how many batches are measured.

    The batches are the same at every evaluation, random choices of views and of the objective included.
    read: labels of the rows that have read_by, see TrainData. images: how many samples there are to choose from.

    Raises:
      InputError: rows that differ in `batches`, or what TrainData raises.
    """

    def __init__(
        self,
        config: Config,
        objective: Objective,
        charset: Charset,
        frames: int | None,
        mesh: Mesh,
        read: Mapping[str, Mapping[str, ReadLabel | None]] | None = None,
    ):
        self.notes: list[str] = []
        self.images = 0
        self._batches: list[Batch] = []
        self._mesh = mesh
        show, replicated, platform = objective.show, sharding.replicated(mesh), mesh.devices.flat[0].platform
        self._metrics = jit(_metrics_of(objective), platform, out_shardings=replicated)
        # With the batch itself, of which each process has only its share.
        self._show = jit(lambda *a: (show(*a), a[-1]), platform, out_shardings=replicated) if show else None
        self._draw = objective.draw
        if not config.held_back:
            return
        counts = {row.get("batches", 1) for row in config.held_back.values()}
        if len(counts) > 1 or min(counts) < 1:
            raise InputError(f"config.held_back: give every stream the same batches, at least 1, not {sorted(counts)}")
        data = TrainData(config, charset, objective.streams, frames, part="held_back", read=read)
        self.notes = [f"held back: {note}" for note in data.notes]
        self.images = sum(data.sizes.values())
        batches = data.batches(0, process_index=jax.process_index(), process_count=jax.process_count(), workers=0)
        with contextlib.closing(batches):
            for batch in itertools.islice(batches, counts.pop()):
                self._batches.append(batch["arrays"])
                self.notes += [f"held back: broken or missing image left out: {key}" for key in batch["broken"]]

    def names(self, state: TrainState) -> list[str]:
        """The metrics that `measure` gives, where they have something to count; nothing is computed."""
        if not self._batches:
            return []
        return sorted(self._metrics.eval_shape(state, sharding.put_batch(self._batches[0], self._mesh), 0))

    def measure(self, state: TrainState) -> dict[str, float]:
        """Means of the objective's metrics; `loss` is its loss, averaged over the batches.

        The forward passes are those of training, with statistics of the batch, but nothing that they move is kept;
        objective.measure adds its own, as in evaluation.
        """
        sums: dict[str, np.ndarray] = {}
        for number, batch in enumerate(self._batches):
            metrics = jax.device_get(self._metrics(state, sharding.put_batch(batch, self._mesh), number))
            for name, pair in metrics.items():
                sums[name] = sums.get(name, 0.0) + np.array(pair, np.float64)
        return {name: float(value / count) for name, (value, count) in sums.items() if count}

    def draw(self, state: TrainState, charset: Charset) -> dict[str, np.ndarray]:
        """Images uint8 [H, W, 3] by name, of the first batch; empty when the objective draws none."""
        if self._show is None or self._draw is None or not self._batches:
            return {}
        batch = sharding.put_batch(self._batches[0], self._mesh)
        arrays, batch = jax.device_get(self._show(state.params, state.model_state, state.teacher, batch))
        return self._draw(arrays, batch, charset)


def _metrics_of(objective: Objective) -> Callable[[TrainState, Batch, Array], Metrics]:
    def metrics(state: TrainState, batch: Batch, number: Array) -> Metrics:
        key = jax.random.fold_in(jax.random.PRNGKey(0), number)
        loss, (_, found) = objective.loss(state.params, state.model_state, state.teacher, batch, key, state.step)
        arguments = state.params, state.model_state, state.teacher, batch
        measured = objective.measure(*arguments) if objective.measure else {}
        return {**found, **measured, "loss": (loss, jax.numpy.ones(()))}

    return metrics
