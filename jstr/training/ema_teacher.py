"""The teacher: a second set of weights, a moving average of the student's or frozen, as config.teacher says.

    config.teacher = dict(decay=0.999, warmup=False, update="after", workdir="")

decay: 1.0 freezes the teacher. warmup: the mean of all weights so far, until `decay` is slower. update: "after" the
optimiser's step or "before" it. Either way each step sees the average up to its own weights; with "before" only the
teacher that is saved and evaluated lags by one step, and in a mean the first weights count twice. workdir: the run that
it starts from, with the weights that it reads with; empty: the student.
"""

from __future__ import annotations

from collections.abc import Mapping

import jax
import jax.numpy as jnp

from jstr.checkpoints.init_from import OtherClasses, init_from
from jstr.core import Array, Config, ModelState, Params, TrainState, Variables
from jstr.interop.weights import load_reading
from jstr.text.messages import InputError, check_choice, check_known

WEIGHTS = ("student", "teacher")
COPIED = ("model", "projection")  # parts of the student's parameters that a teacher has; a predictor is the student's
UPDATES = ("after", "before")


def check(config: Config, needed: bool) -> None:
    """Raises InputError when config.teacher is invalid, or missing where the objective or an evaluation needs one."""
    row = config.teacher
    if needed and not row:
        raise InputError(
            f"objective {config.objective.name} needs a teacher: set config.teacher = dict(decay=0.999) for a "
            "moving average, or dict(decay=1.0, workdir=...) for a frozen one"
        )
    for name, weights in _chosen_weights(config).items():
        if weights not in WEIGHTS or (weights == "teacher" and not row):
            raise InputError(f"config.{name}={weights!r}: give student, or, with config.teacher, teacher")
    of_student = config.keep_best.startswith("held_back/") and config.keep_best != "held_back/trust"
    if of_student and config.eval_weights == "teacher":
        raise InputError(
            f"config.keep_best={config.keep_best} is a figure of the student, but config.eval_weights=teacher reads; "
            "choose by an evaluation, such as keep_best=NAME/accuracy, or read with the student"
        )
    check_known("config.teacher", row, ("decay", "warmup", "update", "workdir"))
    if row and not 0 <= row.get("decay", -1) <= 1:
        raise InputError(f"config.teacher.decay={row.get('decay')}: give a number from 0 to 1")
    check_choice("config.teacher.update", row.get("update", "after"), UPDATES)


def _chosen_weights(config: Config) -> dict[str, str]:
    rows = {f"evals.{name}.weights": row.weights for name, row in config.evals.items() if "weights" in row}
    return {"eval_weights": config.eval_weights} | rows


def is_moving(config: Config) -> bool:
    """Whether there is a teacher that is a moving average."""
    return bool(config.teacher) and config.teacher.get("decay", 1.0) < 1


def copy_of(state: TrainState) -> Variables:
    """A teacher equal to the student, in arrays of its own, because a buffer can be donated only once."""
    params = {name: state.params[name] for name in COPIED if name in state.params}
    return jax.tree.map(jnp.copy, (params, dict(state.model_state)))


def start(
    config: Config, state: TrainState, other_characters: Mapping[str, OtherClasses]
) -> tuple[TrainState, list[str]]:
    """The state with its teacher, from config.teacher.workdir if it names one; and lines that say so.

    other_characters: see init_from.

    Raises:
      InputError: that run's recogniser does not fit this one.
    """
    row = config.teacher
    kind = "frozen" if row.decay == 1 else f"moving average, decay {row.decay:g}"
    params, model_state = copy_of(state)
    if not row.get("workdir"):
        return state.replace(teacher=(params, model_state)), [f"teacher: {kind}, starts as the student"]
    # A recogniser that was trained without a projection layer lacks it; a teacher never uses it.
    rows, excused = (("model", row.workdir, "model"),), ("model/decoder/projection", "projection")
    params, model_state, lines = init_from(params, model_state, rows, excused, other_characters, load_reading)
    return state.replace(teacher=(params, model_state)), [f"teacher: {kind}; {line}" for line in lines]


def decay_at(step: Array, decay: float, warmup: bool = False) -> Array:
    """The decay of update number `step`, from 1; warmup: min(1 - 1 / (step + 1), decay)."""
    return jnp.minimum(1 - 1 / (step + 1.0), decay) if warmup else jnp.asarray(decay, jnp.float32)


def updated(
    teacher: Variables, params: Params, model_state: ModelState, step: Array, decay: float, warmup: bool = False
) -> Variables:
    """decay * teacher + (1 - decay) * student, with the student's batch statistics; decay 1 changes nothing."""
    if decay == 1:
        return teacher
    alpha = decay_at(step, decay, warmup)
    student = {name: params[name] for name in teacher[0]}
    weights = jax.tree.map(lambda t, s: t + (1 - alpha).astype(t.dtype) * (s - t), teacher[0], student)
    return weights, dict(model_state)
