"""The training step: gradient, optimiser, teacher, new state. Every objective uses this one."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh

from jstr.core import Batch, Metrics, Objective, TrainState
from jstr.sharding import copied
from jstr.teacher import updated


def make_train_step(
    objective: Objective, tx: optax.GradientTransformation, mesh: Mesh, teacher: Mapping | None = None
) -> Callable[[TrainState, Batch], tuple[TrainState, Metrics]]:
    """The jitted step. The state passed in is donated: use only the returned one.

    Every random choice of step n comes from fold_in(key, n), so a restored run repeats them. The batch is split over
    the mesh and the reductions are global, so the result does not depend on the number of devices.
    teacher: how that of the state moves, see jstr/teacher.py; empty: not at all.
    """
    options = dict(teacher or {})
    before, moving = options.get("update") == "before", {k: options[k] for k in ("decay", "warmup") if k in options}

    def move(state: TrainState, due: bool) -> TrainState:
        if not (due and moving):
            return state
        number = state.step + 1 if before else state.step
        return state.replace(teacher=updated(state.teacher, state.params, state.model_state, number, **moving))

    def step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        key = jax.random.fold_in(state.key, state.step)
        state = move(state, before)
        gradient = jax.value_and_grad(objective.loss, has_aux=True)
        (loss, (model_state, metrics)), grads = gradient(
            state.params, state.model_state, state.teacher, batch, key, state.step
        )
        updates, opt_state = tx.update(grads, state.opt_state, state.params)
        new = state.replace(
            step=state.step + 1,
            params=optax.apply_updates(state.params, updates),
            model_state=model_state,
            opt_state=opt_state,
        )
        new, one = move(new, not before), jnp.ones(())
        norms = {"loss": (loss, one), "grad_norm": (optax.tree.norm(grads), one)}
        return new, {**metrics, **norms}

    return jax.jit(step, donate_argnums=0, out_shardings=copied(mesh), compiler_options=_compiler_options())


@functools.cache
def _compiler_options() -> dict[str, str] | None:
    """On a CPU: without XLA's YNN fusions, which make the kernel gradient of a convolution 1.6 times slower.

    Whoever sets the option in XLA_FLAGS keeps it, and an XLA that no longer has it goes without.
    """
    name = "xla_cpu_experimental_ynn_fusion_type"
    if jax.default_backend() != "cpu" or name in os.environ.get("XLA_FLAGS", ""):
        return None
    options = {name: ""}
    try:
        jax.jit(lambda x: x + 1, compiler_options=options)(0)
    except jax.errors.JaxRuntimeError:
        return None
    return options
