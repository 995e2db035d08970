"""What a run needs before its first step: model, objective, data and state, checked against each other."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh
from ml_collections import ConfigDict

from jstr.checkpoints.checkpoint import Checkpoints, write_config
from jstr.checkpoints.provenance import commit, machine
from jstr.checkpoints.resume import check_resume
from jstr.core import Array, Config, Objective, TrainState
from jstr.data.pipeline import TrainData, example_batch
from jstr.data.source_config import eval_specs
from jstr.data.sources.configured import open_images
from jstr.data.sources.open import source_notes
from jstr.inference import outlook, predictions_file, pseudo_labelling, word_copy
from jstr.inference.reader import Reader, load
from jstr.inference.score import check_scorable
from jstr.objectives import make_objective
from jstr.parallel import compiling, distributed, sharding
from jstr.text import self_contained
from jstr.text.messages import InputError
from jstr.training import data_fingerprint, ema_teacher
from jstr.training.device_augmentation import on_device
from jstr.training.freeze import freeze
from jstr.training.initial_weights import keep_start, with_other_weights
from jstr.training.optimizer import make_optimizer
from jstr.training.own_photographs import find_words
from jstr.training.train_step import make_train_step
from jstr.training.validate_config import check_run
from jstr.training.validation import Validation


class Prepared(NamedTuple):
    """What a config describes, before data and devices.

    frames: T of a CTC model, None for others. objective: the one to train. validation_objective: the same for batches
    whose views come from the host, see device_augmentation.
    """

    reader: Reader
    objective: Objective
    frames: int | None
    validation_objective: Objective


def prepare(config: Config) -> Prepared:
    """Model and objective of a config, checked against each other.

    Raises:
      InputError: an unknown name or option, or an objective that needs outputs which the model does not have.
    """
    reader = Reader(config.to_dict())
    model, model_config = reader.model, reader.model_config
    objective = make_objective(config.objective, model, model_config)
    outputs, _ = reader.shapes
    missing = set(objective.requires) - set(outputs)
    if missing:
        raise InputError(
            f"objective {config.objective.name} needs {sorted(missing)} of the model, which offers {sorted(outputs)}"
        )
    objective = freeze(objective, config.optimizer.get("rules", {}))
    return Prepared(reader, on_device(objective, config), reader.frame_count, objective)


class Parts(NamedTuple):
    """What a run is made of, apart from its state.

    benchmarks: the sources of config.evals by name. unread: config.images, which are read when training has ended; or
    None. fingerprints: see data_fingerprint.
    """

    config: Config
    workdir: str
    mesh: Mesh
    reader: Reader
    objective: Objective
    data: TrainData
    validation: Validation
    benchmarks: dict[str, Any]
    unread: Any
    fingerprints: dict[str, list[int]]


def check(config: Config, workdir: str) -> tuple[Config, Mesh]:
    """The config of a run, which no file can change any more, and its mesh. Makes the workdir.

    Raises:
      InputError: config or workdir cannot be used.
    """
    find_words(config, workdir)
    config = config.copy_and_resolve_references()
    config.charset = ConfigDict(self_contained(config.charset))  # the file of characters may change or go
    mesh = sharding.make_mesh(config.mesh)
    check_run(config, workdir, mesh)
    return config, mesh


def open_parts(config: Config, workdir: str, mesh: Mesh) -> Parts:
    """Opens and checks what a run is made of; prints what the user should know of it.

    Raises:
      InputError: options or data cannot be used.
    """
    print(f"jstr at commit {commit()}, {machine()}")
    reader, objective, frames, validation_objective = prepare(config)
    ema_teacher.check(config, objective.needs_teacher)
    load_reader = functools.cache(load)
    for line in outlook.outlook_lines(config, workdir, load_reader):
        print(line, flush=True)
    read, lines = pseudo_labelling.read_rows(config, workdir, load_reader=load_reader)
    data = TrainData(config, reader.charset, objective.streams, frames, read=read)
    read, more = pseudo_labelling.read_rows(config, workdir, "held_back", load_reader)
    validation = Validation(config, validation_objective, reader.charset, frames, mesh, read)
    for line in lines + [f"held back: {line}" for line in more] + data.notes + validation.notes:
        print(line, flush=True)
    benchmarks = {name: open_images(spec, reader.charset) for name, spec in eval_specs(config).items()}
    for name, source in benchmarks.items():
        row = config.evals[name]
        check_scorable(reader.charset, source, row.get("subset", name), row.get("protocol", "alnum36"))
    unread, fingerprints = predictions_file.open_images(config), data_fingerprint.fingerprints(data)
    for line in source_notes({**benchmarks, "config.images": unread}):
        print(line, flush=True)
    return Parts(config, workdir, mesh, reader, objective, data, validation, benchmarks, unread, fingerprints)


class Start(NamedTuple):
    """The state that a run starts or continues from.

    saved: what the checkpoint says beside the state, None for a run that starts at step 0.
    """

    state: TrainState
    optimizer: optax.GradientTransformation
    schedule: optax.Schedule
    saved: dict | None


def start_or_continue(parts: Parts, checkpoints: Checkpoints) -> Start:
    """The newest of `checkpoints`; else step 0, with the weights of other runs that the config names.

    Raises:
      InputError: the workdir holds a run with another config, or weights do not fit.
    """
    config, mesh = parts.config, parts.mesh
    example = example_batch(config, parts.objective.streams, parts.reader.spec, parts.reader.charset)
    state, optimizer, schedule = make_state(config, parts.objective, example, mesh)
    newest = checkpoints.newest_meta()
    if newest:
        data = newest.get("data", {})
        lines = check_resume(newest["config"], config.to_dict(), data_fingerprint.moved(data, parts.fingerprints))
        for line in lines + data_fingerprint.changes(data, parts.fingerprints):
            print(line)
    restored, saved = checkpoints.restore(state), None
    if restored:
        state, saved = restored
        ended = "; it has ended: a higher --config.steps trains on" if saved["step"] >= config.steps else ""
        print(f"continuing from step {saved['step']:,} of {parts.workdir}{ended}", flush=True)
    else:
        state, lines = with_other_weights(config, state)
        keep_start(config, state, parts.workdir)
        print("".join(f"{line}\n" for line in lines), end="", flush=True)
        state = jax.device_put(state, sharding.layout(state, mesh))
    write_config(parts.workdir, config.to_dict())
    if distributed.is_lead_host():
        word_copy.keep(parts.workdir, config.to_dict())
    count = sum(x.size for x in jax.tree.leaves(state.params))
    print(f"{config.model.name}: {count:,} parameters, {mesh.size} {jax.default_backend()} device(s)", flush=True)
    return Start(state, optimizer, schedule, saved)


def make_state(
    config: Config, objective: Objective, example: Any, mesh: Mesh
) -> tuple[TrainState, optax.GradientTransformation, optax.Schedule]:
    """(state at step 0 on the mesh, optimiser, learning-rate schedule). example: a batch whose shapes are read."""
    key = jax.random.PRNGKey(config.seed)
    begin, optimizer, schedule = plan_state(config, objective, example)
    layout = sharding.layout(jax.eval_shape(begin, key), mesh)
    # It runs once: XLA for CPUs would spend 10 seconds and more on optimising the random numbers.
    quick = compiling.cpu_option(mesh.devices.flat[0].platform, "xla_backend_optimization_level", 0)
    return jax.jit(begin, out_shardings=layout, compiler_options=quick)(key), optimizer, schedule


def plan_state(
    config: Config, objective: Objective, example: Any
) -> tuple[Callable[[Array], TrainState], optax.GradientTransformation, optax.Schedule]:
    """(key -> state at step 0, optimiser, learning-rate schedule): make_state before any array exists."""
    shapes = jax.eval_shape(lambda: example)
    init = jax.jit(objective.init)  # traced once, here and in `begin`
    params, _ = jax.eval_shape(init, jax.random.PRNGKey(0), shapes)
    optimizer, schedule = make_optimizer(config.optimizer, config.steps, params)

    def begin(key: Array) -> TrainState:
        batch = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)
        params, model_state = init(key, batch)
        state = TrainState(jnp.zeros((), jnp.int32), params, model_state, optimizer.init(params), None, key)
        return state.replace(teacher=ema_teacher.copy_of(state)) if config.teacher else state

    return begin, optimizer, schedule


def make_step(config: Config, objective: Objective, optimizer: optax.GradientTransformation, mesh: Mesh) -> Callable:
    """The training step that a config describes, see make_train_step."""
    return make_train_step(objective, optimizer, mesh, config.teacher, accumulate=config.accumulate, remat=config.remat)
