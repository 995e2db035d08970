"""The training loop, top to bottom. No objective, model or data set is named here: a regime is a row of config."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from jstr import checkpoint, evaluate, sharding
from jstr.core import InputError, Objective, TrainState
from jstr.data.pipeline import Broken, TrainData, example_batch, open_row
from jstr.metrics import PROTOCOLS, Score, table
from jstr.objectives import find_objective
from jstr.optim import make_optimizer
from jstr.reader import Reader, model_variables
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
    reader, objective, fields, frames = prepare(config)
    data = TrainData(config, reader.charset, fields, frames)
    for line in data.notes:
        print(line, flush=True)
    sources = {n: open_row(row, reader.charset, config.data_root, True) for n, row in config.evals.items()}

    # State: parameters are born on the mesh; weights of other runs come first, the own workdir's checkpoint last.
    example = example_batch(config, fields, reader.spec, reader.charset)
    state, tx, schedule = make_state(config, objective, example, mesh)
    checkpoints = checkpoint.Checkpoints(workdir, config.keep_checkpoints)
    step, clock, sums = 0, Clock(), {}
    saved_config = checkpoints.newest_config()
    if saved_config:
        for line in checkpoint.check_resume(saved_config, config.to_dict()):
            print(line)
    restored = checkpoints.restore(state)
    if restored:
        state, meta = restored
        step, clock, sums = meta["step"], Clock(meta["seconds"]), meta["sums"]
        print(f"continuing from step {step:,} of {workdir}", flush=True)
    elif config.init_from:
        rows, excused = config.init_from, config.init_allow_missing
        params, model_state = checkpoint.init_from(state.params, state.model_state, rows, excused)
        state = jax.device_put(state.replace(params=params, model_state=model_state), sharding.copied(mesh))
    checkpoint.write_config(workdir, config.to_dict())
    count = sum(x.size for x in jax.tree.leaves(state.params))
    print(f"{config.model.name}: {count:,} parameters, {mesh.size} {jax.default_backend()} device(s)", flush=True)

    # The loop. Order matters: evaluate, save, then take the batch that the saved position points at.
    train_step = make_train_step(objective, tx, mesh)
    batches = data.batches(step, lambda b: sharding.put_batch(b, mesh), jax.process_index(), jax.process_count())
    broken = Broken({name: len(usable) for name, usable in data.usable.items()})
    images = sum(row.batch_size for row in config.streams.values())
    report = Report(workdir, config.steps, config.log_every, images, schedule, clock, step, sums)
    scores, evaluated = {}, step if restored else None  # a checkpoint follows the evaluation of its step
    previous = None
    with Stop() as stop:
        while True:
            ended = step >= config.steps
            if (ended or (step % config.eval_every == 0 and step != evaluated and step)) and config.evals:
                reader.variables = model_variables(state.params, state.model_state)
                with report.pause():
                    scores = _evaluate(reader, sources, config.evals)
                if step != evaluated:
                    report.scores(step, scores)
                evaluated = step
            if ended or stop.requested or (step % config.save_every == 0 and step):
                with report.pause():
                    meta = {"config": config.to_dict(), "step": step, "seconds": clock.total, "sums": report.sums}
                    checkpoints.save(state, meta | {"commit": commit()})
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
    _finish(config, workdir, step, scores, clock)
    return scores


def _check(config, workdir: str, mesh) -> None:
    """What would otherwise fail late, or without a word. Raises InputError."""
    for name in ("steps", "log_every", "eval_every", "save_every", "keep_checkpoints"):
        if config[name] < 1:
            raise InputError(f"config.{name}={config[name]} must be at least 1")
    for name, row in config.streams.items():
        sharding.check_batch_size(f"config.streams.{name}.batch_size", row.batch_size, mesh)
    for name, row in config.evals.items():
        if row.get("protocol", "alnum36") not in PROTOCOLS:
            raise InputError(f"config.evals.{name}.protocol={row.protocol!r}: choose one of {', '.join(PROTOCOLS)}")
    try:
        Path(workdir).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--workdir={workdir}: {error.strerror}") from error


class Prepared(NamedTuple):
    """What a config describes, before data and devices. frames: T of a CTC model, None for others."""

    reader: Reader
    objective: Objective
    fields: Mapping[str, tuple[str, ...]]
    frames: int | None


def prepare(config) -> Prepared:
    """Model and objective of a config, checked against each other. Raises InputError."""
    reader = Reader(config.to_dict())
    model, facts = reader.model, reader.facts
    module = find_objective(config.objective.name)
    images = jax.ShapeDtypeStruct((1, *facts.image_size, facts.channels), jnp.float32)
    variables = jax.eval_shape(lambda key, x: model.init(key, x, train=False), jax.random.PRNGKey(0), images)
    outputs = jax.eval_shape(lambda v, x: model.apply(v, x, train=False), variables, images)
    missing = set(module.REQUIRES) - set(outputs)
    if missing:
        raise InputError(f"objective {config.objective.name} needs {sorted(missing)} of the model, which has none")
    options = {k: v for k, v in config.objective.items() if k != "name"}
    frames = outputs["logits"].shape[1] if facts.bos_id is None else None
    return Prepared(reader, module.make(model, config=facts, **options), module.STREAMS, frames)


def make_state(
    config, objective: Objective, example, mesh
) -> tuple[TrainState, optax.GradientTransformation, Callable]:
    """(state at step 0 on the mesh, optimiser, learning-rate schedule). example: a batch whose shapes are read."""
    key = jax.random.PRNGKey(config.seed)
    everywhere = sharding.copied(mesh)
    params, model_state = jax.jit(objective.init, out_shardings=everywhere)(key, example)
    tx, schedule = make_optimizer(config.optimizer, config.steps, params)
    state = TrainState(jnp.zeros((), jnp.int32), params, model_state, tx.init(params), None, key)
    return jax.device_put(state, everywhere), tx, schedule


def _evaluate(reader: Reader, sources, rows) -> dict[str, Score]:
    scores = {}
    for name, source in sources.items():
        scores[name] = evaluate.score(reader, source, name, rows[name].get("protocol", "alnum36"))
        for line in evaluate.remarks(name, scores[name]):
            print(line)
    return scores


def _finish(config, workdir: str, step: int, scores: dict[str, Score], clock: Clock) -> None:
    """The table, results.json, and what to type next."""
    if step < config.steps:
        print(f"stopped and saved at step {step:,}; the same command continues", flush=True)
        return
    print(f"trained {step:,} steps in {duration(clock.total)}")
    if scores:
        about = {"step": step, "seconds": round(clock.total, 1), "commit": commit(), "seed": config.seed}
        about |= {"machine": machine()}
        text = json.dumps(evaluate.as_json(scores, **about), indent=2)
        (Path(workdir) / "results.json").write_text(text + "\n")
        print(table(scores))
    image = config.get("example_image") or "IMAGE"
    print(f"Read an image with:\npython -m jstr.predict --workdir={workdir} {image}", flush=True)
