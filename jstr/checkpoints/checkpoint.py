"""Saving and loading: the only module that knows orbax.

A workdir holds `checkpoints/<step>/` with two items, `variables` (params and model_state, all that a reader needs) and
`train` (step, optimiser, teacher, key), and the metadata of the run as JSON (config, step, clock, unfinished sums).
Batches are a function of the step, so the step is also the position in the data. Orbax writes a checkpoint under a
temporary name and renames it at the end, so an unfinished one is never listed.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from jstr.checkpoints import packed, safetensors_file
from jstr.core import ModelState, Params, TrainState
from jstr.text import self_contained
from jstr.text.messages import InputError, disk_problem


class Checkpoints:
    """The checkpoints of one run. The newest `keep` are kept and, with keep_best, the one with the highest score."""

    def __init__(self, workdir: str | os.PathLike, keep: int = 2, keep_best: bool = False):
        self.folder = Path(workdir).absolute() / "checkpoints"
        ocp = _orbax()
        policies = ocp.training.preservation_policies
        policy: Any = policies.LatestN(keep)
        if keep_best:
            best = policies.BestN(get_metric_fn=lambda m: m["score"], n=1, keep_checkpoints_without_metrics=False)
            policy = policies.AnyPreservationPolicy([policy, best])
        with _without_log():
            self._checkpointer = ocp.training.Checkpointer(
                self.folder,
                preservation_policy=policy,
                save_decision_policy=ocp.training.save_decision_policies.FixedIntervalPolicy(1),
                cleanup_tmp_directories=True,
            )

    @property
    def steps(self) -> list[int]:
        """Steps of the complete checkpoints, oldest first."""
        return sorted(c.step for c in self._checkpointer.checkpoints)

    def save(self, state: TrainState, meta: dict, score: float | None = None) -> None:
        """Writes one checkpoint; returns when it is committed. A step that is already there is left as it is.

        score: only for a checkpoint that is the best so far.
        """
        step, steps = int(state.step), self.steps
        if step not in steps:
            metrics: Any = None if score is None else {"score": score}
            try:
                with _without_log():
                    self._checkpointer.save_checkpointables(step, _items(state), custom_metadata=meta, metrics=metrics)
            except Exception as error:  # orbax and tensorstore wrap those of the disk
                problem = disk_problem(error)
                if problem is None:
                    raise
                good = f"the last good checkpoint is step {steps[-1]}" if steps else "nothing was saved yet"
                raise InputError(
                    f"{self.folder}: {problem} while saving step {step}; {good}; "
                    "make room and run the same command again"
                ) from error

    def restore(self, state: TrainState) -> tuple[TrainState, dict] | None:
        """The newest checkpoint that can be read, laid out like `state`; None when there is none.

        One that cannot be read is named on stderr, and the one before it is tried. If that can be read, the others are
        moved into WORKDIR/unreadable, so that the run saves these steps again.

        Raises:
          InputError: checkpoints exist, but none can be read.
        """
        damaged, failed = [], ""
        for step in reversed(self.steps):
            try:
                found = self._restore_step(step, state)
            except Exception as error:  # whatever orbax or tensorstore raise for a damaged file
                failed = f"{self.folder / str(step)}: {_first_line(error)}"
                print(f"cannot read checkpoint {failed}", file=sys.stderr)
                damaged.append(step)
            else:
                self._move_away(damaged)
                return found
        if failed:
            raise InputError(f"no checkpoint can be read, last tried {failed}; use another --workdir or delete it")
        return None

    def _move_away(self, steps: list[int]) -> None:
        if not steps:
            return
        place = self.folder.with_name("unreadable")
        if jax.process_index() == 0:
            place.mkdir(exist_ok=True)
            for step in steps:
                shutil.rmtree(place / str(step), ignore_errors=True)
                (self.folder / str(step)).rename(place / str(step))
            print(f"moved to {place}: {', '.join(map(str, steps))}", file=sys.stderr)
        multihost_utils.sync_global_devices("unreadable checkpoints")
        self._checkpointer.reload()

    def _restore_step(self, step: int, state: TrainState) -> tuple[TrainState, dict]:
        with _without_log():
            loaded = self._checkpointer.load_checkpointables(step, jax.tree.map(_abstract, _items(state)))
        return TrainState(**loaded["variables"], **loaded["train"]), _read_meta(self.folder / str(step))

    def newest_meta(self) -> dict | None:
        """The metadata of the newest checkpoint that has them; None when there is none."""
        for step in reversed(self.steps):
            with contextlib.suppress(InputError):
                return _read_meta(self.folder / str(step))
        return None

    def close(self) -> None:
        self._checkpointer.close()


@contextlib.contextmanager
def _without_log() -> Iterator[None]:
    """Orbax logs a failure in each of its threads, with tracebacks, and raises it or gives nothing: we say which."""
    log = logging.getLogger("absl")
    level = log.level
    log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        log.setLevel(level)


def _items(state: TrainState) -> dict:
    return {
        "variables": {"params": state.params, "model_state": state.model_state},
        "train": {
            "step": state.step,
            "opt_state": state.opt_state,
            "teacher": state.teacher,
            "key": state.key,
        },
    }


def _abstract(x):
    return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=getattr(x, "sharding", None))


def _orbax() -> ModuleType:
    """Imported when it is needed: it takes a third of a second, and a packed file is read without it."""
    from orbax.checkpoint import v1

    return v1


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0][:200]


def check_no_export(folder: Path) -> None:
    """Raises InputError where a folder is what `jstr export` wrote, but for safetensors."""
    if (folder / "reader.json").is_file():
        raise InputError(f"{folder} is an export: jstr.onnx_reader or jstr.export reads it; give what was exported")


def _what_is_there(folder: Path) -> str:
    """What is wrong with a folder without checkpoints, and what to give instead."""
    instead = "give --workdir of a training run"
    if not folder.exists():
        return f"it does not exist; {instead}"
    if parameters := sorted(folder.glob(f"*{safetensors_file.SUFFIX}")):
        return f"it is an export; give the file {parameters[0]}"
    return f"it has no folder checkpoints; {instead}"


def _chosen(workdir: str | os.PathLike) -> Path:
    """The best checkpoint of a run with config.keep_best, else the newest."""
    folder = Path(workdir).absolute() / "checkpoints"
    check_no_export(folder.parent)
    if not folder.is_dir():
        raise InputError(f"{workdir} is not a workdir: {_what_is_there(folder.parent)}")
    with _without_log(), _orbax().training.Checkpointer(folder) as checkpointer:
        steps = sorted(c.step for c in checkpointer.checkpoints)
    if not steps:
        raise InputError(f"{workdir} holds no complete checkpoint yet; train longer or give another --workdir")
    newest = folder / str(steps[-1])
    best = (_read_meta(newest).get("best") or {}).get("step")
    return newest if best is None else folder / str(best)


def read_meta(workdir: str | os.PathLike) -> dict:
    """The meta of the newest checkpoint (config.keep_best: the best), or of a packed file: config, step and more.

    Raises:
      InputError: not a workdir, or no complete checkpoint in it.
    """
    if packed.is_packed(workdir):
        return packed.load(workdir)[0]
    return _read_meta(_chosen(workdir))


def _read_meta(path: Path) -> dict:
    try:
        with _without_log():
            meta = _orbax().checkpointables_metadata(path).custom_metadata
    except Exception as error:  # whatever orbax raises for a damaged file
        raise InputError(f"cannot read checkpoint {path}: {_first_line(error)}") from error
    if not meta or "config" not in meta:
        raise InputError(f"cannot read checkpoint {path}: the metadata is missing")
    return meta


def load_variables(workdir: str | os.PathLike, weights: str = "student") -> dict:
    """{"params", "model_state"} of the newest checkpoint (config.keep_best: the best), on this process's first device.

    workdir: may also be a packed file. weights: "student", or "teacher", which a packed file does not have.

    Raises:
      InputError: not a workdir, or unreadable.
    """
    if packed.is_packed(workdir):
        return packed.load(workdir)[1]
    path = _chosen(workdir)
    here = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    try:
        ocp, item = _orbax(), "train" if weights == "teacher" else "variables"
        with _without_log():
            saved = ocp.checkpointables_metadata(path).metadata[item]
            abstract = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=here), saved)
            loaded = ocp.load_checkpointables(path, {item: abstract})[item]
        return dict(zip(("params", "model_state"), loaded["teacher"], strict=True)) if item == "train" else loaded
    except Exception as error:
        raise InputError(f"cannot read the variables in {path}: {_first_line(error)}") from error


def save_variables(workdir: str | os.PathLike, params: Params, model_state: ModelState, meta: dict) -> None:
    """Makes a workdir of converted weights: step 0 without a training state, for reading, evaluation and init_from.

    Raises:
      InputError: the workdir already holds checkpoints.
    """
    folder = Path(workdir).absolute() / "checkpoints"
    if folder.exists():
        raise InputError(f"{workdir} already holds checkpoints; give an --out that does not exist")
    config = meta["config"]
    if "charset" in config:
        config = config | {"charset": self_contained(config["charset"])}
    variables = jax.tree.map(np.asarray, {"params": params, "model_state": model_state})
    with _orbax().training.Checkpointer(folder) as checkpointer:
        checkpointer.save_checkpointables(0, {"variables": variables}, custom_metadata=meta | {"config": config})
    write_config(workdir, config)


def write_config(workdir: str | os.PathLike, config: dict) -> None:
    """workdir/config.json, by process 0."""
    if jax.process_index():
        return
    Path(workdir).mkdir(parents=True, exist_ok=True)
    (Path(workdir) / "config.json").write_text(json.dumps(config, indent=2) + "\n")
