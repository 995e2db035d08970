"""The training loop, top to bottom. No objective, model or data set is named here: a regime is a row of config."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from jstr import checkpoint, evaluate, predictions, sharding, teacher
from jstr.core import InputError, Objective, TrainState
from jstr.data.pipeline import TrainData, example_batch, open_row
from jstr.data.usable import Broken
from jstr.freeze import freeze
from jstr.held_back import HeldBack
from jstr.metrics import PROTOCOLS, Score, table
from jstr.models import example_input, reads_text
from jstr.objectives import find_objective, make_objective
from jstr.optim import frozen_prefixes, make_optimizer
from jstr.reader import Reader, load, model_variables
from jstr.report import Clock, Report, Stop, commit, duration, machine
from jstr.step import make_train_step


def run(config, workdir: str) -> dict[str, Score]:
    """Trains as `config` (a ConfigDict) says, from where `workdir` left off; returns the final scores.

    Raises:
      InputError: the config or its data cannot be used. NonFinite: loss or gradient stopped being a number.
    """
    # Model, objective and data, checked against each other before anything is compiled.
    mesh = sharding.make_mesh()
    _check(config, workdir, mesh)
    print(f"jstr at commit {commit()}, {machine()}")
    reader, objective, frames = prepare(config)
    teacher.check(config, objective.needs_teacher)
    data = TrainData(config, reader.charset, objective.streams, frames)
    held_back = HeldBack(config, objective, reader.charset, frames, mesh)
    for line in data.notes + held_back.notes:
        print(line, flush=True)
    sources = {n: open_row(row, reader.charset, config.data_root, True) for n, row in config.evals.items()}
    unread = predictions.open_images(config)

    # State: parameters are born on the mesh; weights of other runs come first, the own workdir's checkpoint last.
    example = example_batch(config, objective.streams, reader.spec, reader.charset)
    state, tx, schedule = make_state(config, objective, example, mesh)
    checkpoints = checkpoint.Checkpoints(workdir, config.keep_checkpoints, bool(config.keep_best))
    step, clock, sums, best = 0, Clock(), {}, None
    saved_config = checkpoints.newest_config()
    if saved_config:
        for line in checkpoint.check_resume(saved_config, config.to_dict()):
            print(line)
    restored = checkpoints.restore(state)
    if restored:
        state, meta = restored
        step, clock, sums, best = meta["step"], Clock(meta["seconds"]), meta["sums"], meta.get("best")
        print(f"continuing from step {step:,} of {workdir}", flush=True)
    else:
        state, lines = _begin(config, state)
        print("".join(f"{line}\n" for line in lines), end="", flush=True)
        state = jax.device_put(state, sharding.copied(mesh))
    checkpoint.write_config(workdir, config.to_dict())
    count = sum(x.size for x in jax.tree.leaves(state.params))
    print(f"{config.model.name}: {count:,} parameters, {mesh.size} {jax.default_backend()} device(s)", flush=True)

    # The loop. Order matters: evaluate, save, then take the batch that the saved position points at.
    train_step = make_train_step(objective, tx, mesh, config.teacher)
    batches = data.batches(step, lambda b: sharding.put_batch(b, mesh), jax.process_index(), jax.process_count())
    broken = Broken(data.sizes)
    images = sum(row.batch_size for row in config.streams.values())
    report = Report(workdir, config.steps, config.log_every, images, schedule, clock, step, sums)
    draw = getattr(find_objective(config.objective.name), "draw", None)
    scores, watched, evaluated = {}, {}, step if restored else None  # a checkpoint follows the evaluation of its step
    previous = None
    with Stop() as stop:
        while True:
            ended, improved = step >= config.steps, False
            if ended or (step % config.eval_every == 0 and step != evaluated and step):
                with report.pause():
                    scores, watched = _evaluate(reader, sources, config, _weights(state)), held_back.measure(state)
                    pictures = held_back.draw(state, draw, reader.charset) | evaluate.pictures(reader, sources)
                if step != evaluated:
                    report.evaluation(step, scores, watched, pictures)
                    value = _value(config.keep_best, scores, watched)
                    improved = value is not None and (best is None or value > best["value"])
                    best = {"step": step, "value": value, "held_back": watched} if improved else best
                evaluated = step
            if ended or improved or stop.requested or (step % config.save_every == 0 and step):
                with report.pause():
                    meta = {"config": config.to_dict(), "step": step, "seconds": clock.total, "sums": report.sums}
                    checkpoints.save(state, meta | {"commit": commit(), "best": best}, value if improved else None)
                report.last_saved = step
            if ended or stop.requested:
                break
            started = time.monotonic()
            batch = next(batches)
            if previous is None or all(x.is_ready() for x in jax.tree.leaves(previous)):
                clock.waited += time.monotonic() - started  # otherwise the device was still busy: no time was lost
            for sample in broken.add(batch["broken"]):
                print(f"broken or missing image left out: {sample}", flush=True)
            state, metrics = train_step(state, batch["arrays"])
            step += 1
            report.step(step, metrics, batch["keys"])
            if previous is not None:
                jax.block_until_ready(previous)  # at most two steps in flight
            previous = metrics
    report.close()
    checkpoints.close()
    if step < config.steps:
        print(f"stopped and saved at step {step:,}; the same command continues", flush=True)
        return scores
    if best:
        print(f"best by {config.keep_best}: step {best['step']:,} ({best['value']:.4g}), with which {workdir} reads")
    if best and best["step"] != step:
        step, watched = best["step"], best["held_back"]
        scores = _evaluate(reader, sources, config, lambda name: _saved_weights(workdir, name))
    _finish(config, reader, workdir, step, scores, watched, clock)
    if unread is not None:
        print("\n".join(predictions.write(load(workdir), unread, workdir)), flush=True)
    return scores


def _begin(config, state: TrainState) -> tuple[TrainState, list[str]]:
    """Step 0 with weights of other runs and the teacher, where the config names them; and lines that say so."""
    lines = []
    if config.init_from:
        rows, excused = config.init_from, config.init_allow_missing
        params, model_state, lines = checkpoint.init_from(state.params, state.model_state, rows, excused)
        state = state.replace(params=params, model_state=model_state)
    if config.teacher:
        state, more = teacher.start(config, state)
        lines += more
    return state, lines


def _check(config, workdir: str, mesh) -> None:
    """What would otherwise fail late, or without a word. Raises InputError."""
    for name in ("steps", "log_every", "eval_every", "save_every", "keep_checkpoints"):
        if config[name] < 1:
            raise InputError(f"config.{name}={config[name]} must be at least 1")
    for name, row in config.streams.items():
        sharding.check_batch_size(f"config.streams.{name}.batch_size", row.batch_size, mesh)
    for name, row in config.held_back.items():
        sharding.check_batch_size(f"config.held_back.{name}.batch_size", row.batch_size, mesh)
    for name, row in config.evals.items():
        if row.get("protocol", "alnum36") not in PROTOCOLS:
            raise InputError(f"config.evals.{name}.protocol={row.protocol!r}: choose one of {', '.join(PROTOCOLS)}")
    where = config.keep_best.rpartition("/")[0]
    if config.keep_best and not (where in config.evals or (where == "held_back" and config.held_back)):
        raise InputError(f"config.keep_best={config.keep_best!r}: give SET/METRIC or held_back/METRIC of its rows")
    try:
        Path(workdir).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--workdir={workdir}: {error.strerror}") from error


class Prepared(NamedTuple):
    """What a config describes, before data and devices. frames: T of a CTC model, None for others."""

    reader: Reader
    objective: Objective
    frames: int | None


def prepare(config) -> Prepared:
    """Model and objective of a config, checked against each other. Raises InputError."""
    reader = Reader(config.to_dict())
    model, facts = reader.model, reader.facts
    objective = make_objective(config.objective, model, facts)
    example = example_input(model)
    variables = jax.eval_shape(lambda key, x: model.init(key, x, train=False), jax.random.PRNGKey(0), example)
    outputs = jax.eval_shape(lambda v, x: model.apply(v, x, train=False), variables, example)
    missing = set(objective.requires) - set(outputs)
    if missing:
        raise InputError(
            f"objective {config.objective.name} needs {sorted(missing)} of the model, which offers {sorted(outputs)}"
        )
    frames = outputs["logits"].shape[1] if facts.bos_id is None else None
    return Prepared(reader, freeze(objective, frozen_prefixes(config.optimizer)), frames)


def make_state(
    config, objective: Objective, example, mesh
) -> tuple[TrainState, optax.GradientTransformation, Callable]:
    """(state at step 0 on the mesh, optimiser, learning-rate schedule). example: a batch whose shapes are read."""
    key = jax.random.PRNGKey(config.seed)
    everywhere = sharding.copied(mesh)
    params, model_state = jax.jit(objective.init, out_shardings=everywhere)(key, example)
    tx, schedule = make_optimizer(config.optimizer, config.steps, params)
    state = TrainState(jnp.zeros((), jnp.int32), params, model_state, tx.init(params), None, key)
    state = state.replace(teacher=teacher.copy_of(state)) if config.teacher else state
    return jax.device_put(state, everywhere), tx, schedule


def _weights(state: TrainState) -> Callable[[str], dict]:
    """What the recogniser reads with, by name: student or teacher."""
    of = {"student": lambda: (state.params, state.model_state), "teacher": lambda: state.teacher}
    return lambda name: model_variables(*of[name]())


def _saved_weights(workdir: str, name: str) -> dict:
    saved = checkpoint.load_variables(workdir, name)
    return model_variables(saved["params"], saved["model_state"])


def _evaluate(reader: Reader, sources, config, weights: Callable[[str], dict]) -> dict[str, Score]:
    scores = {}
    for name, source in sources.items():
        row = config.evals[name]
        reader.variables = weights(row.get("weights", config.eval_weights))
        scores[name] = evaluate.score(reader, source, row.get("subset", name), row.get("protocol", "alnum36"))
        for line in evaluate.remarks(name, scores[name]):
            print(line)
    return scores


def _value(name: str, scores: dict[str, Score], watched: dict[str, float]) -> float | None:
    """The figure "SET/METRIC" of an evaluation, by which config.keep_best compares. Raises InputError: not there."""
    where, _, metric = name.rpartition("/")
    row = watched if where == "held_back" else scores[where].row() if where in scores else {}
    if name and metric not in row:
        raise InputError(f"config.keep_best={name!r} was not measured; there are {', '.join(row) or 'none'}")
    return row.get(metric)


def _finish(config, reader: Reader, workdir: str, step: int, scores: dict[str, Score], watched, clock: Clock) -> None:
    """The table, results.json, and what to type next."""
    print(f"trained {config.steps:,} steps in {duration(clock.total)}")
    usual = config.eval_weights
    own = {n: s for n, s in scores.items() if config.evals[n].get("weights", usual) == usual}
    others = {n: s for n, s in scores.items() if n not in own}  # averages are over one reader's sets
    if scores or watched:
        about = {"step": step, "seconds": round(clock.total, 1), "commit": commit(), "seed": config.seed}
        about |= {"machine": machine()} | ({"held_back": watched} if watched else {})
        about |= {"other_weights": evaluate.as_json(others)} if others else {}
        text = json.dumps(evaluate.as_json(own, **about), indent=2)
        (Path(workdir) / "results.json").write_text(text + "\n")
        print("\n".join(table(part) for part in (own, others) if part))
    what, given = "Read an image", config.get("example_image") or "IMAGE"
    if reads_text(reader.model):
        what, given = "Correct a word", "--words WORD"
    print(f"{what} with:\npython -m jstr.predict --workdir={workdir} {given}", flush=True)
