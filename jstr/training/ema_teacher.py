"""The second set of weights of a run: a moving average of the student's, or frozen ones. config.teacher says which.

    config.teacher = dict(decay=0.999, warmup=False, update="after", workdir="")

decay: 1.0 is a frozen teacher. warmup: the plain average until that is slower than `decay`. update: after the
optimiser's step or before it; either way every step sees the average over the weights up to its own, only the teacher
that is saved and evaluated lags by one step. workdir: of the run that it starts from; none: from the student.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jstr.checkpoints import checkpoint
from jstr.core import Array, InputError, TrainState, Variables

WEIGHTS = ("student", "teacher")
UPDATES = ("after", "before")


def check(config, needed: bool) -> None:
    """Raises InputError when config.teacher cannot be, or is missing where the objective or an evaluation needs one."""
    row = config.teacher
    if needed and not row:
        raise InputError(
            f"objective {config.objective.name} needs a teacher: set config.teacher = dict(decay=0.999) for a "
            "moving average, or dict(decay=1.0, workdir=...) for a frozen one"
        )
    for name, weights in _chosen_weights(config).items():
        if weights not in WEIGHTS or (weights == "teacher" and not row):
            raise InputError(f"config.{name}={weights!r}: give student, or, with config.teacher, teacher")
    unknown = sorted(set(row) - {"decay", "warmup", "update", "workdir"})
    if unknown:
        raise InputError(f"config.teacher has no {', '.join(unknown)}; it takes decay, warmup, update, workdir")
    if row and not 0 <= row.get("decay", -1) <= 1:
        raise InputError(f"config.teacher.decay={row.get('decay')}: give a number from 0 to 1")
    if row.get("update", "after") not in UPDATES:
        raise InputError(f"config.teacher.update={row['update']!r}: choose one of {', '.join(UPDATES)}")


def _chosen_weights(config) -> dict[str, str]:
    rows = {f"evals.{name}.weights": row.weights for name, row in config.evals.items() if "weights" in row}
    return {"eval_weights": config.eval_weights} | rows


def copy_of(state: TrainState) -> Variables:
    """A teacher that starts as the student's recogniser, in arrays of its own: a buffer is donated once only."""
    return jax.tree.map(jnp.copy, ({"model": state.params["model"]}, dict(state.model_state)))


def start(config, state: TrainState) -> tuple[TrainState, list[str]]:
    """The state with its teacher, from config.teacher.workdir if it names one; and lines that say so.

    Raises:
      InputError: that run's recogniser does not fit this one.
    """
    row = config.teacher
    kind = "frozen" if row.decay == 1 else f"moving average, decay {row.decay:g}"
    params, model_state = copy_of(state)
    if not row.get("workdir"):
        return state.replace(teacher=(params, model_state)), [f"teacher: {kind}, starts as the student"]
    # A recogniser that was trained without the projection layer lacks it; a teacher never uses it.
    rows, excused = (("model", row.workdir, "model"),), ("model/decoder/projection",)
    params, model_state, lines = checkpoint.init_from(params, model_state, rows, excused)
    return state.replace(teacher=(params, model_state)), [f"teacher: {kind}; {line}" for line in lines]


def decay_at(step: Array, decay: float, warmup: bool = False) -> Array:
    """The decay of update number `step`, from 1; warmup: min(1 - 1 / (step + 1), decay)."""
    return jnp.minimum(1 - 1 / (step + 1.0), decay) if warmup else jnp.asarray(decay, jnp.float32)


def updated(teacher: Variables, params, model_state, step: Array, decay: float, warmup: bool = False) -> Variables:
    """decay * teacher + (1 - decay) * student; batch statistics are the student's. decay 1: the teacher as it is."""
    if decay == 1:
        return teacher
    alpha = decay_at(step, decay, warmup)
    weights = jax.tree.map(lambda t, s: t + (1 - alpha).astype(t.dtype) * (s - t), teacher[0]["model"], params["model"])
    return {"model": weights}, dict(model_state)
