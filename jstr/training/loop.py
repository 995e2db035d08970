"""The training loop, top to bottom. No objective, model or data set is named here: a regime is a row of config."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jstr.checkpoints import checkpoint
from jstr.core import InputError, Objective, TrainState
from jstr.data.pipeline import TrainData, example_batch
from jstr.data.sample_filter import BrokenImageTracker
from jstr.data.source_config import eval_specs
from jstr.data.sources.configured import open_images
from jstr.inference import predictions_file, pseudo_labelling, score
from jstr.inference.reader import Reader, load, model_variables
from jstr.messages import duration
from jstr.metrics import Score, table
from jstr.models import example_input
from jstr.objectives import find_objective, make_objective
from jstr.parallel import distributed, sharding
from jstr.training import ema_teacher
from jstr.training.clock import Clock
from jstr.training.device_augmentation import on_device
from jstr.training.device_cache import DeviceData
from jstr.training.freeze import freeze
from jstr.training.metric_writer import Report
from jstr.training.optimizer import frozen_prefixes, make_optimizer
from jstr.training.provenance import commit, machine
from jstr.training.stop_signal import Stop
from jstr.training.train_step import cpu_option, make_train_step
from jstr.training.validate_config import check_run
from jstr.training.validation import HeldBack


def run(config, workdir: str) -> dict[str, Score]:
    """Trains as `config` (a ConfigDict) says, from where `workdir` left off; returns the final scores.

    Raises:
      InputError: the config or its data cannot be used. NonFinite: loss or gradient stopped being a number.
    """
    # Model, objective and data, checked against each other before anything is compiled.
    mesh = sharding.make_mesh(config.mesh)
    check_run(config, workdir, mesh)
    print(f"jstr at commit {commit()}, {machine()}")
    parts = _open(config, workdir, mesh)
    reader, objective, data, held_back, sources, _ = parts

    # State: parameters are born on the mesh; weights of other runs come first, the own workdir's checkpoint last.
    example = example_batch(config, objective.streams, reader.spec, reader.charset)
    state, tx, schedule = make_state(config, objective, example, mesh)
    checkpoints = checkpoint.Checkpoints(workdir, config.keep_checkpoints, bool(config.keep_best))
    state, resumed = _resume(config, workdir, checkpoints, state, mesh)
    at = resumed or {"step": 0, "seconds": 0.0, "sums": {}}
    step, clock, best = at["step"], Clock(at["seconds"]), at.get("best")
    count = sum(x.size for x in jax.tree.leaves(state.params))
    print(f"{config.model.name}: {count:,} parameters, {mesh.size} {jax.default_backend()} device(s)", flush=True)

    # The loop. Order matters: evaluate, save, then take the batch that the saved position points at.
    train_step = make_step(config, objective, tx, mesh)
    device_data, broken = DeviceData(data, mesh), BrokenImageTracker(data.sizes)
    _left_out(broken, device_data.broken)
    batches = data.batches(step, device_data.put, jax.process_index(), jax.process_count())
    images = sum(row.batch_size for row in config.streams.values())
    report = Report(workdir, config.steps, config.log_every, images, schedule, clock, step, at["sums"])
    draw = getattr(find_objective(config.objective.name), "draw", None)
    scores, watched, evaluated = {}, {}, step if resumed else None  # a checkpoint follows the evaluation of its step
    previous = None
    stopping, stop_together = False, distributed.SyncedStop(mesh)
    with Stop() as stop:
        while True:
            ended, improved = step >= config.steps, False
            worth_it = step or (config.keep_best and config.init_from)  # what a run starts from may be its best
            if ended or (step % config.eval_every == 0 and step != evaluated and worth_it):
                with report.pause():
                    scores = _evaluate(reader, sources, config, _weights(state, mesh))
                    watched = held_back.measure(state)
                    pictures = held_back.draw(state, draw, reader.charset)
                    if sources and reader.has_attention:
                        usual = reader.with_variables(_weights(state, mesh)(config.eval_weights))
                        pictures |= score.pictures(usual, sources)
                if step != evaluated:
                    report.evaluation(step, scores, watched, pictures)
                    value = distributed.broadcast_from_lead(_value(config.keep_best, scores, watched))
                    improved = value is not None and (best is None or value >= best["value"])
                    best = {"step": step, "value": value, "held_back": watched} if improved else best
                evaluated = step
            if ended or improved or stopping or (step % config.save_every == 0 and step):
                with report.pause():
                    meta = {"config": config.to_dict(), "step": step, "seconds": clock.total, "sums": report.sums}
                    checkpoints.save(state, meta | {"commit": commit(), "best": best}, value if improved else None)
                report.last_saved = step
            if ended or stopping:
                break
            started = time.monotonic()
            some = [next(batches) for _ in range(config.steps_per_dispatch - step % config.steps_per_dispatch)]
            if previous is None or all(x.is_ready() for x in jax.tree.leaves(previous)):
                clock.waited += time.monotonic() - started  # otherwise the device was still busy: no time was lost
            _left_out(broken, [sample for batch in some for sample in batch["broken"]])
            state, metrics = train_step(state, *(batch["arrays"] for batch in some))
            step += len(some)
            report.step(step, metrics, *(batch["keys"] for batch in some))
            stopping = stop_together(stop.requested)
            if previous is not None:
                # Bounds the memory in flight. The device has the next dispatch already, so it does not wait for us.
                jax.block_until_ready(previous)
            previous = metrics
    report.close()
    checkpoints.close()
    if step < config.steps:
        print(f"stopped and saved at step {step:,}; the same command continues", flush=True)
        return scores
    return _conclude(config, workdir, parts, step, best, scores, watched, clock)


class Parts(NamedTuple):
    """What a run is made of. sources: of config.evals. unread: config.images, read when it has ended, or None."""

    reader: Reader
    objective: Objective
    data: TrainData
    held_back: HeldBack
    sources: dict
    unread: Any


def _open(config, workdir: str, mesh) -> Parts:
    """Everything that can be wrong before training starts; prints what a person should know about the data."""
    reader, objective, frames, watched = prepare(config)
    ema_teacher.check(config, objective.needs_teacher)
    read, lines = pseudo_labelling.read_rows(config, workdir)
    data = TrainData(config, reader.charset, objective.streams, frames, read=read)
    held_back = HeldBack(config, watched, reader.charset, frames, mesh)
    for line in lines + data.notes + held_back.notes:
        print(line, flush=True)
    sources = {name: open_images(spec, reader.charset) for name, spec in eval_specs(config).items()}
    return Parts(reader, objective, data, held_back, sources, predictions_file.open_images(config))


def _conclude(config, workdir: str, parts: Parts, step, best, scores, watched, clock) -> dict[str, Score]:
    """The scores of what `workdir` reads with from now on, the table, results.json, and the user's own images read."""
    if best:
        print(f"best by {config.keep_best}: step {best['step']:,} ({best['value']:.4g}), with which {workdir} reads")
    if best and best["step"] != step:
        step, watched = best["step"], best["held_back"]
        scores = _evaluate(parts.reader, parts.sources, config, lambda name: _saved_weights(workdir, name))
    _finish(config, workdir, step, scores, watched, clock)
    _what_next(config, parts.objective, parts.reader, workdir)
    if parts.unread is not None:
        reader = load(workdir)  # by all processes, which orbax waits for
        lines = predictions_file.write(reader, parts.unread, workdir) if distributed.is_lead_host() else []
        print("\n".join(lines), flush=True)
    return scores


def _resume(config, workdir: str, checkpoints, state: TrainState, mesh) -> tuple[TrainState, dict | None]:
    """(state, what was saved with it) of the newest checkpoint of `workdir`; (step 0, None) if it has none."""
    saved_config = checkpoints.newest_config()
    if saved_config:
        for line in checkpoint.check_resume(saved_config, config.to_dict()):
            print(line)
    meta, restored = None, checkpoints.restore(state)
    if restored:
        state, meta = restored
        print(f"continuing from step {meta['step']:,} of {workdir}", flush=True)
    else:
        state, lines = _begin(config, state)
        print("".join(f"{line}\n" for line in lines), end="", flush=True)
        state = jax.device_put(state, sharding.layout(state, mesh))
    checkpoint.write_config(workdir, config.to_dict())
    return state, meta


def _left_out(broken: BrokenImageTracker, samples: list[str]) -> None:
    for sample in broken.add(samples):
        say = sys.stdout if distributed.is_lead_host() else sys.stderr  # each process knows its own
        print(f"broken or missing image left out: {sample}", file=say, flush=True)


def _begin(config, state: TrainState) -> tuple[TrainState, list[str]]:
    """Step 0 with weights of other runs and the teacher, where the config names them; and lines that say so."""
    lines = []
    if config.init_from:
        rows, excused = config.init_from, config.init_allow_missing
        params, model_state, lines = checkpoint.init_from(state.params, state.model_state, rows, excused)
        state = state.replace(params=params, model_state=model_state)
    if config.teacher:
        state, more = ema_teacher.start(config, state)
        lines += more
    return state, lines


class Prepared(NamedTuple):
    """What a config describes, before data and devices. frames: T of a CTC model, None for others.

    objective: the one to train. watched: the same for batches whose views are drawn already, see device_augmentation.
    """

    reader: Reader
    objective: Objective
    frames: int | None
    watched: Objective


def prepare(config) -> Prepared:
    """Model and objective of a config, checked against each other. Raises InputError."""
    reader = Reader(config.to_dict())
    model, model_config = reader.model, reader.model_config
    objective = make_objective(config.objective, model, model_config)
    example = example_input(model)
    variables = jax.eval_shape(lambda key, x: model.init(key, x, train=False), jax.random.PRNGKey(0), example)
    outputs = jax.eval_shape(lambda v, x: model.apply(v, x, train=False), variables, example)
    missing = set(objective.requires) - set(outputs)
    if missing:
        raise InputError(
            f"objective {config.objective.name} needs {sorted(missing)} of the model, which offers {sorted(outputs)}"
        )
    frames = outputs["logits"].shape[1] if model_config.is_ctc else None
    objective = freeze(objective, frozen_prefixes(config.optimizer))
    return Prepared(reader, on_device(objective, config), frames, objective)


def make_state(
    config, objective: Objective, example, mesh
) -> tuple[TrainState, optax.GradientTransformation, Callable]:
    """(state at step 0 on the mesh, optimiser, learning-rate schedule). example: a batch whose shapes are read."""
    key = jax.random.PRNGKey(config.seed)
    begin, tx, schedule = plan_state(config, objective, example)
    where = sharding.layout(jax.eval_shape(begin, key), mesh)
    # It runs once: XLA for CPUs would optimise random numbers for 10 seconds and more.
    quick = cpu_option(mesh, "xla_backend_optimization_level", 0)
    return jax.jit(begin, out_shardings=where, compiler_options=quick)(key), tx, schedule


def plan_state(config, objective: Objective, example) -> tuple[Callable, optax.GradientTransformation, Callable]:
    """(key -> state at step 0, optimiser, learning-rate schedule): make_state, before there is any array."""
    shapes = jax.eval_shape(lambda: example)
    params, _ = jax.eval_shape(objective.init, jax.random.PRNGKey(0), shapes)
    tx, schedule = make_optimizer(config.optimizer, config.steps, params)

    def begin(key) -> TrainState:
        batch = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)
        params, model_state = objective.init(key, batch)
        state = TrainState(jnp.zeros((), jnp.int32), params, model_state, tx.init(params), None, key)
        return state.replace(teacher=ema_teacher.copy_of(state)) if config.teacher else state

    return begin, tx, schedule


def make_step(config, objective: Objective, tx: optax.GradientTransformation, mesh) -> Callable:
    """The training step that a config describes, see make_train_step."""
    return make_train_step(objective, tx, mesh, config.teacher, accumulate=config.accumulate, remat=config.remat)


def _weights(state: TrainState, mesh) -> Callable[[str], dict]:
    """What the recogniser reads with, by name: student or teacher. Each process has it on its first device."""
    of = {"student": lambda: (state.params, state.model_state), "teacher": lambda: state.teacher}
    return lambda name: model_variables(*sharding.to_local_device(of[name](), mesh))


def _saved_weights(workdir: str, name: str) -> dict:
    saved = checkpoint.load_variables(workdir, name)
    return model_variables(saved["params"], saved["model_state"])


def _evaluate(reader: Reader, sources, config, weights: Callable[[str], dict]) -> dict[str, Score]:
    scores = {}
    for name, source in sources.items():
        row = config.evals[name]
        chosen = reader.with_variables(weights(row.get("weights", config.eval_weights)))
        scores[name] = score.score(chosen, source, row.get("subset", name), row.get("protocol", "alnum36"))
        for line in score.remarks(name, scores[name]):
            print(line)
    return scores


def _value(name: str, scores: dict[str, Score], watched: dict[str, float]) -> float | None:
    """The figure "SET/METRIC" of an evaluation, by which config.keep_best compares. Raises InputError: not there."""
    where, _, metric = name.rpartition("/")
    row = watched if where == "held_back" else scores[where].row() if where in scores else {}
    if name and metric not in row:
        raise InputError(f"config.keep_best={name!r} was not measured; there are {', '.join(row) or 'none'}")
    return row.get(metric)


def _finish(config, workdir: str, step: int, scores: dict[str, Score], watched, clock: Clock) -> None:
    """The table and results.json."""
    print(f"trained {config.steps:,} steps in {duration(clock.total)}")
    usual = config.eval_weights
    own = {n: s for n, s in scores.items() if config.evals[n].get("weights", usual) == usual}
    others = {n: s for n, s in scores.items() if n not in own}  # averages are over one reader's sets
    if scores or watched:
        about = {"step": step, "seconds": round(clock.total, 1), "commit": commit(), "seed": config.seed}
        about |= {"machine": machine()} | ({"held_back": watched} if watched else {})
        about |= {"other_weights": score.as_json(others)} if others else {}
        text = json.dumps(score.as_json(own, **about), indent=2)
        if distributed.is_lead_host():
            (Path(workdir) / "results.json").write_text(text + "\n")
        print("\n".join(table(part) for part in (own, others) if part))


def _what_next(config, objective: Objective, reader: Reader, workdir: str) -> None:
    """What to type next."""
    if "logits" not in objective.requires:
        print(f"Only the encoder has learned; go on with configs/probe.py or configs/finetune.py:encoder={workdir}")
        return
    what, given = "Read an image", config.get("example_image") or "IMAGE"
    if reader.model.reads_text:
        what, given = "Correct a word", "--words WORD"
    print(f"{what} with:\npython -m jstr.predict --workdir={workdir} {given}", flush=True)
