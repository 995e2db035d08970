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

from jstr.checkpoints import packed
from jstr.core import InputError, TrainState, is_under
from jstr.messages import first_few

# A resumed run must agree on these; everything else may change between restarts and is only reported.
FIXED = ("charset", "image", "model", "objective", "streams", "teacher", "seed")


class Checkpoints:
    """The checkpoints of one run; the newest `keep` are kept and, if keep_best, the one with the highest score."""

    def __init__(self, workdir: str | Path, keep: int = 2, keep_best: bool = False):
        self.folder = Path(workdir).absolute() / "checkpoints"
        policies = ocp.training.preservation_policies
        policy = policies.LatestN(keep)
        if keep_best:
            best = policies.BestN(get_metric_fn=lambda m: m["score"], n=1, keep_checkpoints_without_metrics=False)
            policy = policies.AnyPreservationPolicy([policy, best])
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

        score: of a checkpoint that is the best so far.
        """
        step = int(state.step)
        if step not in self.steps:
            metrics = None if score is None else {"score": score}
            self._checkpointer.save_checkpointables(step, _items(state), custom_metadata=meta, metrics=metrics)

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


def _chosen(workdir: str | Path) -> Path:
    """The best checkpoint of a run with config.keep_best, else the newest."""
    folder = Path(workdir).absolute() / "checkpoints"
    if not folder.is_dir():
        raise InputError(f"{workdir} is not a workdir: it has no folder checkpoints; give --workdir of a training run")
    with ocp.training.Checkpointer(folder) as checkpointer:
        steps = sorted(c.step for c in checkpointer.checkpoints)
    if not steps:
        raise InputError(f"{workdir} holds no complete checkpoint yet; train longer or give another --workdir")
    newest = folder / str(steps[-1])
    best = (_read_meta(newest).get("best") or {}).get("step")
    return newest if best is None else folder / str(best)


def read_meta(workdir: str | Path) -> dict:
    """The meta of the newest checkpoint (config.keep_best: the best), or of a packed file: config, step and more.

    Raises:
      InputError: not a workdir, or no complete checkpoint in it.
    """
    if packed.is_packed(workdir):
        return packed.load(workdir)[0]
    return _read_meta(_chosen(workdir))


def _read_meta(path: Path) -> dict:
    try:
        meta = ocp.checkpointables_metadata(path).custom_metadata
    except Exception as error:  # whatever orbax raises for a damaged file
        raise InputError(f"cannot read checkpoint {path}: {_first_line(error)}") from error
    if not meta or "config" not in meta:
        raise InputError(f"cannot read checkpoint {path}: its meta data are gone")
    return meta


def load_variables(workdir: str | Path, weights: str = "student") -> dict:
    """{"params", "model_state"} of the newest checkpoint (config.keep_best: the best), on this process's first device.

    workdir: may also be a packed file (jstr.packed). weights: or those of the "teacher", which a packed file has not.

    Raises:
      InputError: not a workdir, or unreadable.
    """
    if packed.is_packed(workdir):
        return packed.load(workdir)[1]
    path = _chosen(workdir)
    here = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    try:
        item = "train" if weights == "teacher" else "variables"
        saved = ocp.checkpointables_metadata(path).metadata[item]
        abstract = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=here), saved)
        loaded = ocp.load_checkpointables(path, {item: abstract})[item]
        return dict(zip(("params", "model_state"), loaded["teacher"], strict=True)) if item == "train" else loaded
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
    """workdir/config.json, by process 0."""
    if jax.process_index():
        return
    Path(workdir).mkdir(parents=True, exist_ok=True)
    (Path(workdir) / "config.json").write_text(json.dumps(config, indent=2) + "\n")


def check_resume(saved: dict, config: dict) -> list[str]:
    """Lines that name what changed since the checkpoint and may change.

    Raises:
      InputError: something changed that the saved state depends on (FIXED).
    """
    old = traverse_util.flatten_dict(_plain(saved), sep=".")  # an empty group is as good as none
    new = traverse_util.flatten_dict(_plain(config), sep=".")
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

    Batch statistics follow the parameters of "model". Every parameter must be found, with its shape, under the `to`
    prefix of a row, except under the prefixes of `allow_missing`.

    Returns:
      params, model_state, and lines that say what was loaded and what was not.

    Raises:
      InputError: lists the parameters that are missing on either side, differ in shape, or have no row.
    """
    flat = traverse_util.flatten_dict({"params": params, "model_state": model_state}, sep="/")
    excused = [prefix for p in allow_missing for prefix in (f"params/{p}", _stats(p))]
    fresh, lines = set(flat), []
    for to, workdir, source in rows:
        saved = traverse_util.flatten_dict(load_variables(workdir), sep="/")
        for a, b in ((f"params/{to}", f"params/{source}"), (_stats(to), _stats(source))):
            fresh -= _copy(flat, saved, a, b, workdir, excused)
        lines.append(f"{to} starts from {source} of {workdir}")
    fresh = {name.removeprefix("params/") for name in fresh if name.startswith("params/")}
    unnamed = sorted(name for name in fresh if not is_under(name, allow_missing))
    if unnamed:
        raise InputError(
            f"init_from has no row for {first_few(unnamed, 8, '; ')}; add one, or name the prefix in init_allow_missing"
        )
    if fresh:
        named = {n: ["/".join(n.split("/")[:2]), *(p for p in allow_missing if is_under(n, (p,)))] for n in fresh}
        parts = {max(prefixes, key=len) for prefixes in named.values()}
        lines.append(f"not loaded, starts fresh: {', '.join(sorted(parts))}")
    new = traverse_util.unflatten_dict(flat, sep="/")
    return new["params"], new.get("model_state", {}), lines


def _stats(prefix: str) -> str:
    return "model_state/batch_stats" + prefix.removeprefix("model")


def _copy(flat, saved, to, source, workdir, excused) -> set[str]:
    """Copies what lies under a prefix; returns the names that it filled."""
    wanted = [n for n in flat if is_under(n, (to,))]
    problems, filled = [], set()
    for name in wanted:
        other = source + name.removeprefix(to)
        if other not in saved:
            if not is_under(name, excused):
                problems.append(f"{name} is not there")
        elif saved[other].shape != flat[name].shape:
            problems.append(f"{name} has shape {flat[name].shape}, there {saved[other].shape}")
        else:
            flat[name] = jax.numpy.asarray(saved[other], flat[name].dtype)
            filled.add(name)
    unused = [n for n in saved if n.startswith(source + "/") and to + n.removeprefix(source) not in flat]
    problems += [f"{n} has no place here" for n in unused]
    if problems or not (wanted or to.startswith("model_state")):
        raise InputError(f"init_from {workdir}: {first_few(problems, 8, '; ') or f'no parameter is called {to}'}")
    return filled
