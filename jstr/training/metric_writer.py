"""What a run writes while it trains: progress lines, metrics.jsonl, TensorBoard and images; and the finite check."""

from __future__ import annotations

import contextlib
import json
import math
import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from PIL import Image
from tensorboardX import SummaryWriter

from jstr.core import Config, Metrics
from jstr.parallel import distributed
from jstr.text.messages import NonFinite, duration, first_few
from jstr.text.metrics import Score
from jstr.training.clock import Clock


class MetricWriter:
    """Collects the metrics of every step and, every `log_every` steps, checks, prints and writes them.

    Metrics stay on the device until then, so that reporting never makes the accelerator wait. `sums` (name ->
    [sum, count] since the last line) is part of a checkpoint: a resumed run logs the numbers of an unbroken one.
    saved: what the checkpoint that the run continues from says beside the state, or None.
    """

    def __init__(
        self, workdir: str, config: Config, schedule: Callable[[int], Any], clock: Clock, saved: dict | None = None
    ):
        step, sums = (saved["step"], saved["sums"]) if saved else (0, {})
        self._is_lead = distributed.is_lead_host()  # the other processes measure the same and write nothing
        path = Path(workdir) / "metrics.jsonl" if self._is_lead else Path(os.devnull)
        if self._is_lead:
            _cut_after(path, step)
        self._file = path.open("a")
        self._folder = Path(workdir) / "pictures"
        purge = step + 1 if step else None
        self._board = SummaryWriter(str(workdir), purge_step=purge, flush_secs=30, write_to_disk=self._is_lead)
        self._steps, self._log_every = config.steps, config.log_every
        self._images = sum(row.batch_size for row in config.streams.values())  # per step
        self._schedule, self.clock = schedule, clock
        self._pending = deque()
        self._number = step
        self._since: tuple[float, float, int] | None = None  # seconds, seconds waited, step
        self.sums: dict[str, list[float]] = {name: list(pair) for name, pair in sums.items()}
        self.last_saved: int | None = step or None

    def step(self, number: int, metrics: Metrics, *keys: list[str]) -> None:
        """To be called when the steps up to `number` (the first is 1) have been dispatched.

        keys: the names of the samples, for each of these steps. metrics: of one step, or [steps] each.
        """
        self._number = number
        self._pending.append((number, metrics, keys))
        if self._since is None:  # the first dispatch compiles and is left out of the rate
            jax.block_until_ready(metrics)
            self._since = (self.clock.here, self.clock.waited, number)
        if number % self._log_every == 0 or number == self._steps:
            self.drain()
            self._line()

    def drain(self) -> None:
        """Fetches the pending metrics into `sums`.

        Raises:
          NonFinite: at the first step whose loss or gradient is not finite.
        """
        numbers, metrics, keys = zip(*self._pending, strict=True) if self._pending else ((), (), ())
        self._pending.clear()
        for last, some, names in zip(numbers, jax.device_get(metrics), keys, strict=True):  # fetched all at once
            rows = {k: np.stack([a, b]).reshape(2, -1).T.tolist() for k, (a, b) in some.items()}
            for i, name in enumerate(names):
                self._add(last - len(names) + 1 + i, {k: pairs[i] for k, pairs in rows.items()}, name)

    def _add(self, number: int, fetched: dict[str, list[float]], keys: list[str]) -> None:
        self._check_finite(number, fetched, keys)
        for name, (value, count) in fetched.items():
            total = self.sums.setdefault(name, [0.0, 0.0])
            total[0] += value
            total[1] += count

    @contextlib.contextmanager
    def pause(self) -> Iterator[None]:
        """Leaves what runs inside (evaluation, saving) out of the rate and of the time left."""
        self.drain()
        start = self.clock.here
        yield
        if self._since is not None:
            then, waited, number = self._since
            self._since = (then + self.clock.here - start, waited, number)

    def _line(self) -> None:
        means = {k: value / count for k, (value, count) in self.sums.items() if count}
        self.sums = {}
        now, waited = self.clock.here, self.clock.waited
        then, waited_then, number_then = self._since or (now, waited, self._number)
        self._since = (now, waited, self._number)
        seconds, done = now - then, self._number - number_then
        rate = done / seconds if done and seconds > 0 else float("nan")
        self._write(self._number, means, rate, (waited - waited_then) / seconds if seconds > 0 else 0.0)

    def _check_finite(self, number: int, fetched: dict, keys: list[str]) -> None:
        bad = [name for name in ("loss", "grad_norm") if not math.isfinite(fetched[name][0])]
        if not bad:
            return
        saved = f"the last good checkpoint is step {self.last_saved}" if self.last_saved else "nothing was saved yet"
        raise NonFinite(f"{' and '.join(bad)} not finite at step {number}; its samples: {first_few(keys, 8)}; {saved}")

    def _write(self, number: int, means: dict[str, float], rate: float, wait: float) -> None:
        lr = float(self._schedule(number - 1))
        known = rate == rate  # not on a first line after one dispatch, which compiled
        left = (self._steps - number) / rate if known else float("nan")
        images = rate * self._images
        shown = f"{images:,.0f}" if known else "?"
        extra = "".join(f"  {k} {v:.4g}" for k, v in means.items() if k not in ("loss", "grad_norm"))
        print(
            f"step {number:,}/{self._steps:,} {100 * number / self._steps:3.0f}%  loss {means['loss']:.4f}{extra}  "
            f"lr {lr:.2e}  {shown} images/s  wait {100 * wait:.0f}%  left {duration(left)}",
            flush=True,
        )
        row = {f"train/{k}": v for k, v in means.items()}
        speed = {"images_per_second": images, "data_wait": wait} if known else {}
        self._put(number, row | {"train/lr": lr} | speed)

    def evaluation(
        self,
        number: int,
        scores: Mapping[str, Score],
        validation: Mapping[str, float],
        images: Mapping[str, np.ndarray],
    ) -> None:
        """Writes what was measured after step `number`: benchmark scores, validation metrics and images by name."""
        row = {f"{name}/{k}": value for name, s in scores.items() for k, value in s.row().items()}
        row |= {f"held_back/{name}": value for name, value in validation.items()}
        if row:
            self._put(number, row)
        if scores:
            figures = "  ".join(f"{name} {s.accuracy:.1f}%" for name, s in scores.items())
            print(f"step {number:,} word accuracy: {figures}", flush=True)
        if validation:
            figures = "  ".join(f"{name} {value:.4g}" for name, value in validation.items())
            print(f"step {number:,} held back: {figures}", flush=True)
        self._write_images(number, images)

    def _write_images(self, number: int, images: Mapping[str, np.ndarray]) -> None:
        """uint8 [H, W, 3] by name, to TensorBoard and to pictures/NAME_STEP.png in the workdir."""
        for name, image in images.items() if self._is_lead else ():
            self._folder.mkdir(exist_ok=True)
            Image.fromarray(image).save(self._folder / f"{name}_{number}.png")
            self._board.add_image(name, image, number, dataformats="HWC")

    def _put(self, number: int, row: dict[str, float]) -> None:
        """One row to metrics.jsonl and TensorBoard."""
        seconds = round(self.clock.total, 2)
        finite = {k: v for k, v in row.items() if v == v}
        self._file.write(json.dumps({"step": number, "seconds": seconds} | finite) + "\n")
        self._file.flush()
        for name, value in finite.items():
            self._board.add_scalar(name, value, number)

    def close(self) -> None:
        self._file.close()
        self._board.close()


def _cut_after(path: Path, step: int) -> None:
    """Removes the rows that a killed run logged after its last checkpoint: those steps are trained again."""
    if path.exists():
        rows = [row for row in path.read_text().splitlines() if _is_upto(row, step)]
        whole = path.with_suffix(".tmp")  # a kill in the middle of writing must not lose the rows
        whole.write_text("".join(row + "\n" for row in rows))
        whole.replace(path)


def _is_upto(row: str, step: int) -> bool:
    try:
        return json.loads(row)["step"] <= step
    except (ValueError, KeyError):  # the row that the kill cut off
        return False
