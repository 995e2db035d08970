"""The training step: gradient, optimiser, teacher, new state. Every objective uses this one."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jstr.core import Batch, Metrics, Objective, TrainState
from jstr.parallel import compiling
from jstr.parallel.sharding import batch_sharding, constrain_state, gather_parameters, replicated
from jstr.training.ema_teacher import updated


def make_train_step(
    objective: Objective,
    tx: optax.GradientTransformation,
    mesh: Mesh,
    teacher: Mapping | None = None,
    *,
    accumulate: int = 1,
    remat: bool = False,
) -> Callable[..., tuple[TrainState, Metrics]]:
    """The jitted step: (state, batch) -> (state, metrics). The state passed in is donated: use only the returned one.

    (state, *batches) makes a step with each batch in one dispatch; metrics are then [len(batches)] each. Each number of
    batches is compiled separately.

    All random choices of step n come from fold_in(key, n), so a restored run repeats them. The batch is split over the
    mesh and reductions are global, so the result does not depend on the number of devices.
    teacher: config.teacher, see jstr/training/ema_teacher.py; empty: the teacher does not move.
    accumulate: see `accumulated`. remat: see `rematerialised`.
    """
    options = dict(teacher or {})
    before, moving = options.get("update") == "before", {k: options[k] for k in ("decay", "warmup") if k in options}
    loss_of = gather_parameters(objective.loss, mesh)
    loss_of = rematerialised(loss_of) if remat else loss_of
    gradient = jax.value_and_grad(loss_of, has_aux=True)
    if accumulate > 1:
        gradient = accumulated(gradient, accumulate, mesh)

    def move(state: TrainState, due: bool) -> TrainState:
        if state.teacher is None or not (due and moving):
            return state
        number = state.step + 1 if before else state.step
        return state.replace(teacher=updated(state.teacher, state.params, state.model_state, number, **moving))

    def step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        key = jax.random.fold_in(state.key, state.step)
        state = move(state, before)
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
        return constrain_state(new, mesh), {**metrics, **norms}

    def steps(state: TrainState, *batches: Batch) -> tuple[TrainState, Metrics]:
        if len(batches) == 1:
            return step(state, batches[0])
        return jax.lax.scan(step, state, jax.tree.map(lambda *rows: jnp.stack(rows), *batches))

    out = replicated(mesh) if mesh.shape["fsdp"] == 1 else (None, replicated(mesh))  # None: as `constrain_state` says
    return compiling.jit(steps, mesh.devices.flat[0].platform, donate_argnums=0, out_shardings=out)


def accumulated(gradient: Callable, count: int, mesh: Mesh) -> Callable:
    """`gradient` (of an Objective's loss, has_aux) over the batch in `count` equal parts, one after the other.

    Memory for activations is that of one part. Loss and gradient are the averages over the parts, each of which is an
    average over its own rows; metrics are summed. Batch norm sees one part at a time, and its running statistics move
    `count` times a step; contrastive negatives come from the same part. So a step is not the one of the whole batch.
    A part is a contiguous run of rows of the batch; its random choices come from fold_in(key, part).
    """
    rows = NamedSharding(mesh, PartitionSpec(None, *batch_sharding(mesh).spec))  # every part over all devices

    def parts_of(x: jax.Array) -> jax.Array:
        return jax.lax.with_sharding_constraint(x.reshape(count, x.shape[0] // count, *x.shape[1:]), rows)

    def whole(params, model_state, teacher, batch, key, step):
        def add(carry, part):
            model_state, total = carry
            number, batch = part
            (loss, (model_state, metrics)), grads = gradient(
                params, model_state, teacher, batch, jax.random.fold_in(key, number), step
            )
            return (model_state, jax.tree.map(jnp.add, total, (loss, grads))), metrics

        zero = jnp.zeros(()), jax.tree.map(jnp.zeros_like, params)
        parts = jnp.arange(count), jax.tree.map(parts_of, batch)
        (model_state, total), metrics = jax.lax.scan(add, (model_state, zero), parts)
        loss, grads = jax.tree.map(lambda x: x / count, total)
        return (loss, (model_state, jax.tree.map(lambda x: x.sum(axis=0), metrics))), grads

    return whole


def rematerialised(loss: Callable) -> Callable:
    """`loss`, whose backward pass keeps the results of convolutions and matrix products and recomputes the rest.

    What is recomputed (norms, activations, attention weights) costs little arithmetic.
    """
    kept = jax.lax.conv_general_dilated_p, jax.lax.dot_general_p
    return jax.checkpoint(loss, policy=lambda primitive, *_, **__: primitive in kept)
