"""Checks of a config before a run."""

from __future__ import annotations

from pathlib import Path

from jax.sharding import Mesh

from jstr.checkpoints.provenance import commit
from jstr.core import Config
from jstr.parallel import distributed, sharding
from jstr.text.messages import InputError, check_choice, check_known
from jstr.text.metrics import PROTOCOLS, SUBSETS
from jstr.training.config_values import check_values


def check_run(config: Config, workdir: str, mesh: Mesh) -> None:
    """Checks what would otherwise fail late or silently. Raises InputError."""
    check_values(config)
    intervals = ("steps", "log_every", "eval_every", "save_every")
    _check_self_training(config)
    for name in intervals:
        if config[name] % config.steps_per_dispatch:
            raise InputError(
                f"config.{name}={config[name]} must be a multiple of steps_per_dispatch={config.steps_per_dispatch}"
            )
    for name, row in config.streams.items():
        sharding.check_batch_size(f"config.streams.{name}.batch_size", row.batch_size, mesh)
        if row.batch_size % (config.accumulate * mesh.size):
            raise InputError(
                f"config.streams.{name}.batch_size={row.batch_size} must be a multiple of "
                f"accumulate={config.accumulate} times the {mesh.size} device(s)"
            )
    for name, row in config.held_back.items():
        sharding.check_batch_size(f"config.held_back.{name}.batch_size", row.batch_size, mesh)
    for name, row in config.evals.items():
        check_choice(f"config.evals.{name}.protocol", row.get("protocol", "alnum36"), PROTOCOLS)
        check_choice(f"config.evals.{name}.subset", row.get("subset", name), (name, *SUBSETS))
    where = config.keep_best.partition("/")[0]
    if config.keep_best and not (where in config.evals or (where == "held_back" and config.held_back)):
        raise InputError(f"config.keep_best={config.keep_best!r}: give SET/METRIC or held_back/METRIC of its rows")
    try:
        Path(workdir).mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise InputError(f"--workdir={workdir} is a file; give a folder, new or of a run to go on with") from error
    except OSError as error:
        raise InputError(f"--workdir={workdir}: {error.strerror}") from error
    distributed.check_same(f"{commit()} {config.to_json_best_effort(sort_keys=True)}", "config or code")
    distributed.check_shared(workdir)


def _check_self_training(config: Config) -> None:
    row = config.self_training
    check_known("config.self_training", row, ("every", "thresholds", "shares", "stop_after"))
    if not row:
        return
    every, thresholds = row.get("every", 0), row.get("thresholds", ())
    if not isinstance(every, int) or every < 1 or every % config.steps_per_dispatch:
        raise InputError(f"config.self_training.every={every}: give steps, a multiple of config.steps_per_dispatch")
    if not all(isinstance(t, (int, float)) and 0 <= t <= 1 for t in thresholds):
        raise InputError(f"config.self_training.thresholds={tuple(thresholds)}: give confidences from 0 to 1")
    shares, falls = row.get("shares", ()), row.get("stop_after", 0)
    if not all(isinstance(s, (int, float)) and 0 < s <= 1 for s in shares) or (shares and thresholds):
        raise InputError(
            f'config.self_training.shares={tuple(shares)}: give shares up to 1, and then no thresholds ("()")'
        )
    if not isinstance(falls, int) or falls < 0 or (falls and not config.keep_best):
        raise InputError(f"config.self_training.stop_after={falls}: give a number of rounds, and config.keep_best")
    sources = [source for stream in config.streams.values() for source in stream.sources.values()]
    if not any("read_by" in source for source in sources):
        raise InputError("config.self_training: no source has read_by, so there is nothing to read again")
