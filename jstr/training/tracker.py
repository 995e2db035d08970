"""Evaluates and saves a run when that is due, and remembers its best step."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jstr.checkpoints.checkpoint import Checkpoints
from jstr.checkpoints.provenance import commit
from jstr.core import Config, TrainState
from jstr.parallel import distributed
from jstr.training import self_training
from jstr.training.evaluation import Evaluation, evaluate
from jstr.training.metric_writer import MetricWriter
from jstr.training.setup import Parts


def one_image(config: Config, images: int) -> float:
    """How much one held-back image changes config.keep_best, which says nothing; 0 without config.keep_best_noise.

    images: how many are held back. Of 15, as with 200 images, one more is a figure higher by 0.07.
    """
    if not (images and config.keep_best_noise and config.keep_best.startswith("held_back/")):
        return 0.0
    return 1.5 / images  # they do not all come equally often


def is_better(value: float, best: Mapping[str, Any] | None, noise: float, one: float = 0.0) -> bool:
    """Whether a step with this value is used instead of the best so far; of equals, the later.

    noise: a later step is also used if it is lower than the highest value by no more than this, because the difference
    says nothing and it has learned longer. The start is left only for a step that is no lower, but for `one` image.
    """
    if best is None:
        return True
    start = best.get("start")
    return value >= best.get("highest", best["value"]) - max(noise, one) and (start is None or value >= start - one)


def choice(step: int, value: float, validation: Mapping[str, float], best: Mapping[str, Any] | None) -> dict[str, Any]:
    """What is remembered of a step that is used instead of `best`."""
    before = best or {"value": value, "start": value if step == 0 else None}
    highest, start = max(value, before.get("highest", before["value"])), before.get("start")
    return {"step": step, "value": value, "held_back": dict(validation), "highest": highest, "start": start}


def _other_figure(saved: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """The key of the config that makes config.keep_best another figure than it was in the `saved` config; "": none.

    Where a data set lies does not matter, if its name is the same: it may have been moved.
    """

    def named(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {k: Path(str(v)).name if k == "path" else named(v) for k, v in value.items()}
        return [named(v) for v in value] if isinstance(value, list | tuple) else value

    if saved.get("keep_best") != now.get("keep_best"):
        return "keep_best"
    place = (now.get("keep_best") or "").split("/")[0]
    key = "held_back" if place == "held_back" else f"evals.{place}"
    before, after = (config[key] if key in config else config.get("evals", {}).get(place) for config in (saved, now))
    return key if place and named(before) != named(after) else ""


class Tracker:
    """Keeps the newest evaluation of a run and its best one, and writes its checkpoints.

    saved: what the checkpoint that the run continues from says beside the state, or None.
    evaluation: the newest; empty before the first. best: {"step", "value", "held_back": validation metrics} of the best
    step by config.keep_best so far, with the "highest" value and that of the "start", which may be None; or None.
    rounds: config.keep_best at the end of each round of self-training, where these may end the run. drift: why they do,
    or "".
    """

    def __init__(self, parts: Parts, checkpoints: Checkpoints, saved: dict | None, writer: MetricWriter):
        self._parts, self._checkpoints, self._writer = parts, checkpoints, writer
        self._evaluated_step = saved["step"] if saved else None  # a checkpoint follows the evaluation of its step
        self._one = one_image(parts.config, parts.validation.images)
        self._noise = max(parts.config.keep_best_noise, self._one)
        self.evaluation = Evaluation({}, {}, {})
        self.best: dict | None = saved.get("best") if saved else None
        self.rounds: list[float] = list(saved.get("rounds", ())) if saved else []
        if saved and (changed := _other_figure(saved["config"], parts.config.to_dict())):
            if self.best:
                print(f"step {self.best['step']:,} is no longer the best: config.{changed} has changed", flush=True)
            self.best, self.rounds = None, []

    @property
    def drift(self) -> str:
        return self_training.drift(self._parts.config, self.rounds, self._noise)

    def evaluate_and_save(self, state: TrainState, step: int, stopping: bool) -> None:
        """Both happen at the end of a run and at multiples of config.eval_every and config.save_every.

        A new best and a run that is `stopping` are saved, too.
        """
        config, ended = self._parts.config, step >= self._parts.config.steps or bool(self.drift)
        improved = self._evaluation_is_due(step, ended) and self._evaluate(state, step)
        ended = ended or bool(self.drift)
        if ended or improved or stopping or (step and step % config.save_every == 0):
            self._save(state, step, improved)

    def _evaluation_is_due(self, step: int, ended: bool) -> bool:
        config = self._parts.config
        # At step 0 only the weights that a run starts from are worth it: they may be its best.
        worth_it = step or (config.keep_best and config.init_from)
        due = step % config.eval_every == 0 or self_training.ends_round(config, step)
        return ended or bool(worth_it and due and step != self._evaluated_step)

    def _evaluate(self, state: TrainState, step: int) -> bool:
        """Whether this is the best step so far. A run that had ended only measures again."""
        with self._writer.pause():
            self.evaluation = evaluate(self._parts, state)
        known, self._evaluated_step = step == self._evaluated_step, step
        if known:
            return False
        self._writer.evaluation(step, *self.evaluation)
        figure = self._parts.config.keep_best
        value = distributed.broadcast_from_lead(self.evaluation.value(figure))
        if value is not None and self_training.ends_round(self._parts.config, step):
            self.rounds.append(value)
        if value is None and figure:
            print(f"step {step:,}: {figure} has nothing to count; another step is kept", flush=True)
        if value is None or not is_better(value, self.best, self._noise, self._one):
            return False
        self.best = choice(step, value, self.evaluation.validation, self.best)
        return True

    def _save(self, state: TrainState, step: int, improved: bool) -> None:
        with self._writer.pause():
            meta = {"config": self._parts.config.to_dict(), "step": step, "seconds": self._writer.clock.total}
            meta |= {"sums": self._writer.sums, "commit": commit(), "best": self.best, "data": self._parts.fingerprints}
            meta |= {"rounds": self.rounds} if self.rounds else {}
            self._checkpoints.save(state, meta, float(step) if improved else None)  # each better one is later
        self._writer.last_saved = step
