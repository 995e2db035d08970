"""The training loop, top to bottom. No objective, model or data set is named here: a regime is a row of config."""

from __future__ import annotations

import json
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from jstr import checkpoint, evaluate, sharding
from jstr.core import InputError, TrainState
from jstr.data.pipeline import Broken, TrainData, open_row
from jstr.metrics import Score, table
from jstr.models import make_model
from jstr.objectives import find_objective
from jstr.optim import make_optimizer
from jstr.reader import Reader, model_variables
from jstr.report import Clock, Report, Stop, commit, duration
from jstr.step import make_train_step


def run(config, workdir: str) -> dict[str, Score]:
    """Trains as `config` (a ConfigDict) says, from where `workdir` left off; returns the final scores.

    Raises:
      InputError: the config or its data cannot be used. NonFinite: loss or gradient stopped being a number.
    """
    # Model, objective and data, checked against each other before anything is compiled.
    reader = Reader(config.to_dict())
    objective_module = find_objective(config.objective.name)
    model, facts = make_model(config.model, reader.charset, reader.spec.size, reader.spec.channels)
    outputs = _model_outputs(model, facts)
    missing = set(objective_module.REQUIRES) - set(outputs)
    if missing:
        raise InputError(f"objective {config.objective.name} needs {sorted(missing)} of the model, which has none")
    options = {k: v for k, v in config.objective.items() if k != "name"}
    objective = objective_module.make(model, config=facts, **options)
    frames = outputs["logits"].shape[1] if facts.bos_id is None else None
    data = TrainData(config, reader.charset, objective_module.STREAMS, frames)
    eval_sources = {n: open_row(row, reader.charset, config.data_root, True) for n, row in config.evals.items()}
    for line in data.notes:
        print(line, flush=True)

    # State: parameters are born on the mesh; weights of other runs come first, the own workdir's checkpoint last.
    mesh = sharding.make_mesh()
    for name, row in config.streams.items():
        sharding.check_batch_size(f"config.streams.{name}.batch_size", row.batch_size, mesh)
    key = jax.random.PRNGKey(config.seed)
    init = jax.jit(objective.init, out_shardings=sharding.copied(mesh))
    params, model_state = init(key, data.example())
    tx, schedule = make_optimizer(config.optimizer, config.steps, params)
    if config.init_from:
        params, model_state = checkpoint.init_from(params, model_state, config.init_from, config.init_allow_missing)
    state = TrainState(jnp.zeros((), jnp.int32), params, model_state, tx.init(params), None, key)
    state = jax.device_put(state, sharding.copied(mesh))
    checkpoints = checkpoint.Checkpoints(workdir, config.keep_checkpoints)
    step, clock, sums = 0, Clock(), {}
    restored = checkpoints.restore(state)
    if restored:
        state, meta = restored
        for line in checkpoint.check_resume(meta["config"], config.to_dict()):
            print(line)
        step, clock, sums = meta["step"], Clock(meta["seconds"]), meta["sums"]
        print(f"continuing from step {step:,} of {workdir}", flush=True)
    checkpoint.write_config(workdir, config.to_dict())
    count = sum(x.size for x in jax.tree.leaves(state.params))
    print(f"{config.model.name}: {count:,} parameters, {mesh.size} {jax.default_backend()} device(s)", flush=True)

    # The loop. Order matters: evaluate, save, then take the batch that the saved position points at.
    train_step = make_train_step(objective, tx, mesh)
    batches = data.batches(step, lambda b: sharding.put_batch(b, mesh), jax.process_index(), jax.process_count())
    broken = Broken(data.sizes)
    report = Report(workdir, config.steps, config.log_every, data.images_per_step, schedule, clock, step, sums)
    scores, evaluated = {}, step if restored else None
    previous = None
    with Stop() as stop:
        while True:
            ended = step >= config.steps
            if (ended or (step % config.eval_every == 0 and step != evaluated and step)) and config.evals:
                reader.variables = model_variables(state.params, state.model_state)
                with report.pause():
                    scores = _evaluate(reader, eval_sources, config.evals, report, step)
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


def _model_outputs(model, facts) -> dict:
    """Shapes of what the model returns for a batch of one."""
    images = jax.ShapeDtypeStruct((1, *facts.image_size, facts.channels), jnp.float32)
    init = jax.eval_shape(lambda key, x: model.init(key, x, train=False), jax.random.PRNGKey(0), images)
    return jax.eval_shape(lambda variables, x: model.apply(variables, x, train=False), init, images)


def _evaluate(reader: Reader, sources, rows, report: Report, step: int) -> dict[str, Score]:
    scores = {}
    for name, source in sources.items():
        scores[name] = evaluate.score(reader, source, name, rows[name].get("protocol", "alnum36"))
        for line in evaluate.remarks(name, scores[name]):
            print(line)
    row = {f"{name}/{figure}": value for name, s in scores.items() for figure, value in s.row().items()}
    report.write(step, row)
    figures = "  ".join(f"{name} {s.accuracy:.1f}%" for name, s in scores.items())
    print(f"step {step:,} word accuracy: {figures}", flush=True)
    return scores


def _finish(config, workdir: str, step: int, scores: dict[str, Score], clock: Clock) -> None:
    """The table, results.json, and what to type next."""
    if step < config.steps:
        print(f"stopped and saved at step {step:,}; the same command continues", flush=True)
        return
    print(f"trained {step:,} steps in {duration(clock.total)}")
    if scores:
        about = {"step": step, "seconds": round(clock.total, 1), "commit": commit(), "seed": config.seed}
        text = json.dumps(evaluate.as_json(scores, **about), indent=2)
        (Path(workdir) / "results.json").write_text(text + "\n")
        print(table(scores))
    image = config.get("example_image") or "IMAGE"
    print(f"Read an image with:\npython -m jstr.predict --workdir={workdir} {image}", flush=True)
