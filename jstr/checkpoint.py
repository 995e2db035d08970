"""Saving and loading: the only module that knows orbax.

A workdir holds `checkpoints/<step>/` with two items, `variables` (params and model_state, all that a reader needs) and
`train` (step, optimiser, teacher, key), and the meta data of the run as JSON (config, step, clock, unfinished sums).
Batches are a function of the step, so the step is also the position in the data. Orbax writes a checkpoint under
another name and commits it at the end: one that was cut off is never listed.
"""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path

import jax
import numpy as np
from flax import traverse_util
from orbax.checkpoint import v1 as ocp

from jstr.core import InputError, TrainState

# A resumed run must agree on these; everything else may change between restarts and is only reported.
FIXED = ("charset", "image", "model", "objective", "streams", "seed")


class Checkpoints:
    """The checkpoints of one run; the newest `keep` are kept."""

    def __init__(self, workdir: str | Path, keep: int = 2):
        self.folder = Path(workdir).absolute() / "checkpoints"
        policy = ocp.training.preservation_policies.LatestN(keep)
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

    def save(self, state: TrainState, meta: dict) -> None:
        """Writes one checkpoint; returns when it is committed. A step that is already there is left as it is."""
        step = int(state.step)
        if step not in self.steps:
            self._checkpointer.save_checkpointables(step, _items(state), custom_metadata=meta)

    def restore(self, state: TrainState) -> tuple[TrainState, dict] | None:
        """The newest checkpoint that can be read, laid out like `state`; None when there is none.

        One that cannot be read is named on stderr and the one before it is taken.

        Raises:
          InputError: checkpoints exist and none can be read.
        """
        failed = None
        for step in reversed(self.steps):
            try:
                return self._restore_step(step, state)
            except Exception as error:  # whatever orbax or tensorstore raise for a damaged file
                failed = f"{self.folder / str(step)}: {_first_line(error)}"
                print(f"cannot read checkpoint {failed}", file=sys.stderr)
        if failed:
            raise InputError(f"no checkpoint can be read, last tried {failed}; use another --workdir or delete it")
        return None

    def _restore_step(self, step: int, state: TrainState) -> tuple[TrainState, dict]:
        loaded = self._checkpointer.load_checkpointables(step, jax.tree.map(_abstract, _items(state)))
        return TrainState(**loaded["variables"], **loaded["train"]), _read_meta(self.folder / str(step))

    def newest_config(self) -> dict | None:
        """The config of the newest checkpoint whose meta data can be read; None when there is none."""
        for step in reversed(self.steps):
            with contextlib.suppress(InputError):
                return _read_meta(self.folder / str(step))["config"]
        return None

    def close(self) -> None:
        self._checkpointer.close()


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


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0][:200]


def _newest(workdir: str | Path) -> Path:
    folder = Path(workdir).absolute() / "checkpoints"
    if not folder.is_dir():
        raise InputError(f"{workdir} is not a workdir: it has no folder checkpoints; give --workdir of a training run")
    with ocp.training.Checkpointer(folder) as checkpointer:
        steps = sorted(c.step for c in checkpointer.checkpoints)
    if not steps:
        raise InputError(f"{workdir} holds no complete checkpoint yet; train longer or give another --workdir")
    return folder / str(steps[-1])


def read_meta(workdir: str | Path) -> dict:
    """The meta of the newest checkpoint: config, charset, step, clock.

    Raises:
      InputError: not a workdir, or no complete checkpoint in it.
    """
    return _read_meta(_newest(workdir))


def _read_meta(path: Path) -> dict:
    try:
        meta = ocp.checkpointables_metadata(path).custom_metadata
    except Exception as error:  # whatever orbax raises for a damaged file
        raise InputError(f"cannot read checkpoint {path}: {_first_line(error)}") from error
    if not meta or "config" not in meta:
        raise InputError(f"cannot read checkpoint {path}: its meta data are gone")
    return meta


def load_variables(workdir: str | Path) -> dict:
    """{"params", "model_state"} of the newest checkpoint, on this process's first device whatever they were saved from.

    Raises:
      InputError: not a workdir, or unreadable.
    """
    path = _newest(workdir)
    here = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    try:
        saved = ocp.checkpointables_metadata(path).metadata["variables"]
        abstract = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=here), saved)
        return ocp.load_checkpointables(path, {"variables": abstract})["variables"]
    except Exception as error:
        raise InputError(f"cannot read the variables in {path}: {_first_line(error)}") from error


def save_variables(workdir: str | Path, params, model_state, meta: dict) -> None:
    """A workdir that holds a model but no training run (converted weights): step 0, readable, evaluable, init_from.

    Raises:
      InputError: the workdir already holds checkpoints.
    """
    folder = Path(workdir).absolute() / "checkpoints"
    if folder.exists():
        raise InputError(f"{workdir} already holds checkpoints; give an --out that does not exist")
    variables = jax.tree.map(np.asarray, {"params": params, "model_state": model_state})
    with ocp.training.Checkpointer(folder) as checkpointer:
        checkpointer.save_checkpointables(0, {"variables": variables}, custom_metadata=meta)
    write_config(workdir, meta["config"])


def write_config(workdir: str | Path, config: dict) -> None:
    Path(workdir).mkdir(parents=True, exist_ok=True)
    (Path(workdir) / "config.json").write_text(json.dumps(config, indent=2) + "\n")


def check_resume(saved: dict, config: dict) -> list[str]:
    """Lines that name what changed since the checkpoint and may change.

    Raises:
      InputError: something changed that the saved state depends on (FIXED).
    """
    old = traverse_util.flatten_dict(_plain(saved), sep=".", keep_empty_nodes=True)
    new = traverse_util.flatten_dict(_plain(config), sep=".", keep_empty_nodes=True)
    none = "(none)"
    changed = {k: f"{old.get(k, none)} -> {new.get(k, none)}" for k in old | new if old.get(k) != new.get(k)}
    fixed = [f"{k}: {v}" for k, v in changed.items() if k.split(".")[0] in FIXED]
    if fixed:
        raise InputError(
            f"the workdir holds a run with another config ({'; '.join(fixed)}); "
            "use another --workdir, or start from its weights with config.init_from"
        )
    return [f"changed since the checkpoint: config.{k}: {v}" for k, v in changed.items()]


def _plain(config: dict) -> dict:
    return json.loads(json.dumps(config))


def init_from(params, model_state, rows, allow_missing=()):
    """Replaces parameters by those of other workdirs: rows of (to prefix, workdir, from prefix).

    Batch statistics follow the parameters of "model". Every parameter under a `to` prefix must be found with its
    shape, except under the prefixes of `allow_missing`.

    Raises:
      InputError: lists the parameters that are missing on either side or differ in shape.
    """
    flat = traverse_util.flatten_dict({"params": params, "model_state": model_state}, sep="/")
    for to, workdir, source in rows:
        saved = traverse_util.flatten_dict(load_variables(workdir), sep="/")
        for a, b in ((f"params/{to}", f"params/{source}"), (_stats(to), _stats(source))):
            _copy(flat, saved, a, b, workdir, tuple(f"params/{p}" for p in allow_missing))
    new = traverse_util.unflatten_dict(flat, sep="/")
    return new["params"], new.get("model_state", {})


def _stats(prefix: str) -> str:
    return "model_state/batch_stats" + prefix.removeprefix("model")


def _copy(flat, saved, to, source, workdir, allow_missing) -> None:
    wanted = [n for n in flat if n == to or n.startswith(to + "/")]
    problems = []
    for name in wanted:
        other = source + name.removeprefix(to)
        if other not in saved:
            if not name.startswith(allow_missing or "\0"):
                problems.append(f"{name} is not there")
        elif saved[other].shape != flat[name].shape:
            problems.append(f"{name} has shape {flat[name].shape}, there {saved[other].shape}")
        else:
            flat[name] = jax.numpy.asarray(saved[other], flat[name].dtype)
    unused = [n for n in saved if n.startswith(source + "/") and to + n.removeprefix(source) not in flat]
    problems += [f"{n} has no place here" for n in unused]
    if problems or not (wanted or to.startswith("model_state")):
        raise InputError(f"init_from {workdir}: {'; '.join(problems[:8]) or f'no parameter is called {to}'}")
