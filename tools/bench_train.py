"""Speed of a config's training step: python tools/bench_train.py --config=configs/NAME.py [--json=FILE]

First with one batch that stays on the device, then with the config's own input; both in windows of steps after a
warm-up, and the median window counts. No workdir is needed. An image counts each time it passes through a network:
every view.

--profile=DIR also writes a trace of some steps, for TensorBoard or Perfetto. --compare=A.json prints the ratios to an
earlier run. --bench_against_supervised, for objectives that see several images of each word, also times a supervised
forward and backward pass over each of them, alternating with the steps. --bench_against_parts, for objectives with a
teacher, times the parts of their steps: a forward pass over the weak view as in evaluation, and supervised forward and
backward passes over the labelled and the strong images.
"""

from __future__ import annotations

import contextlib
import json
import resource
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import measuring
import numpy as np
from absl import flags

from jstr.cli import cli, parse

STEPS = flags.DEFINE_integer("bench_steps", 20, "steps in a window", lower_bound=1)
WINDOWS = flags.DEFINE_integer("bench_windows", 5, "windows, after a warm-up of 3 steps", lower_bound=1)
REAL = flags.DEFINE_boolean("bench_real_input", True, "also with the config's own input")
LAYERS = flags.DEFINE_boolean("layers", False, "print the operations of every layer")
PEAK = flags.DEFINE_float("peak_tflops", None, "peak of one device; default: by its kind, in bfloat16")
PROFILE = flags.DEFINE_string("profile", None, "write a trace into this folder")
COMPARE = flags.DEFINE_string("compare", None, "figures of an earlier run, made with --json")
AGAINST = flags.DEFINE_boolean("bench_against_supervised", False, "compare with supervised passes over the same images")
PARTS = flags.DEFINE_boolean("bench_against_parts", False, "compare with the passes of a step with a teacher")
measuring.define_json()
# The figures that are printed and that --compare compares, and their names.
SHOWN = {
    "resident.images_per_second": "images/s",
    "resident.ms_per_step": "ms/step",
    "real.images_per_second": "images/s, real input",
    "real.ms_per_step": "ms/step, real input",
    "real.data_wait": "share of time waiting for data",
    "compile_seconds": "compile s",
    "gflop_xla": "GFLOP/step, XLA",
    "gflop_by_hand": "GFLOP/step, by hand",
    "share_of_peak": "share of peak",
    "program_memory_mib": "memory of the program MiB",
    "peak_memory_mib": "peak memory MiB",
}


def peak_memory_mib() -> float:
    """Of the device if it reports it, otherwise of this process."""
    import jax

    stats = jax.local_devices()[0].memory_stats() or {}
    return stats.get("peak_bytes_in_use", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024) / 2**20


class Step:
    """A compiled training step with its state, which makes `per_dispatch` steps in each call.

    make: (config, objective, optimiser, mesh) -> the jitted step.
    """

    def __init__(self, config, objective, example: Mapping[str, Any], mesh, make: Callable):
        import jax

        from jstr.parallel import sharding
        from jstr.training import setup

        self.state, tx, _ = setup.make_state(config, objective, example, mesh)
        self.batch, self.per_dispatch = sharding.put_batch(example, mesh), config.steps_per_dispatch
        start = time.perf_counter()
        self.trace = make(config, objective, tx, mesh).trace(self.state, *[self.batch] * self.per_dispatch)
        self.program = self.trace.lower().compile()
        self.compile_seconds = time.perf_counter() - start
        jax.block_until_ready(self.state)

    def window(self, steps: int, batches: Iterator | None = None) -> tuple[float, float]:
        """(seconds per step, share of the time spent waiting for data) over at least `steps` steps, run as in training.

        batches: an iterator over arrays of batches; None: the batch on the device.
        """
        import jax

        start, waited, previous = time.perf_counter(), 0.0, None
        dispatches = -(-steps // self.per_dispatch)
        for _ in range(dispatches):
            asked = time.perf_counter()
            some = [self.batch if batches is None else next(batches) for _ in range(self.per_dispatch)]
            if previous is None or all(x.is_ready() for x in jax.tree.leaves(previous)):
                waited += time.perf_counter() - asked
            self.state, metrics = self.program(self.state, *some)
            if previous is not None:
                jax.block_until_ready(previous)
            previous = metrics
        jax.block_until_ready((self.state, previous))
        passed = time.perf_counter() - start
        return passed / (dispatches * self.per_dispatch), waited / passed

    def windows(self, images: int, batches: Iterator | None = None) -> dict[str, float]:
        """Figures of the windows. images: number that a step passes through networks."""
        self.window(3, batches)
        return figures([self.window(STEPS.value, batches) for _ in range(WINDOWS.value)], images)


def figures(windows: list[tuple[float, float]], images: int) -> dict[str, float]:
    """Medians, best and worst of windows (seconds per step, share of waiting)."""
    seconds, waits = zip(*windows, strict=True)
    middle = float(np.median(seconds))
    return {
        "images_per_second": images / middle,
        "ms_per_step": 1000 * middle,
        "ms_min": 1000 * min(seconds),
        "ms_max": 1000 * max(seconds),
        "data_wait": float(np.median(waits)),
    }


def real_windows(step: Step, config, prepared, mesh, images: int) -> tuple[dict | None, str]:
    """(figures with the config's input, notes on it); None instead of figures if its data is missing."""
    from jstr.data.pipeline import TrainData
    from jstr.text.messages import InputError
    from jstr.training.device_cache import DeviceData

    if not REAL.value:
        return None, "real input left out: --nobench_real_input"
    try:
        data = TrainData(config, prepared.reader.charset, prepared.objective.streams, prepared.frames)
    except InputError as error:
        return None, f"real input left out: {error}"
    with contextlib.closing(data.batches(0, DeviceData(data, mesh).put)) as batches:
        return step.windows(images, (batch["arrays"] for batch in batches)), "; ".join(data.notes)


def count_operations(step: Step, seconds: float, devices: int, kind: str) -> tuple[dict, list]:
    """(figures, products): operations of a step by XLA's count and by ours, their rate, and the products we counted."""
    import flops

    found = list(flops.products(step.trace.jaxpr.jaxpr, 1 / step.per_dispatch))
    peak, by_hand = PEAK.value or flops.peak_tflops(kind), sum(p.flops for p in found)
    xla = (step.program.cost_analysis() or {}).get("flops", float("nan")) * devices  # it counts one device's part
    rate = by_hand / seconds / devices / 1e12
    about = {"gflop_xla": xla / 1e9, "gflop_by_hand": by_hand / 1e9, "tflops_per_device": rate, "peak_tflops": peak}
    about |= {"share_of_peak": rate / peak if peak else None, "while_loops": any(p.unknown for p in found)}
    return about, found


def program_memory_mib(program) -> float | None:
    """Of one device: arguments, results that do not alias arguments, and temporaries."""
    sizes = program.memory_analysis()
    if sizes is None:
        return None
    parts = sizes.argument_size_in_bytes + sizes.output_size_in_bytes - sizes.alias_size_in_bytes
    return (parts + sizes.temp_size_in_bytes) / 2**20


def measure(config) -> tuple[dict, list]:
    """(all figures of a config, the products of its step)."""
    import jax
    from bench_passes import views_per_step

    from jstr.data.pipeline import example_batch
    from jstr.parallel import sharding
    from jstr.training import ema_teacher, setup

    mesh, prepared = sharding.make_mesh(config.mesh), setup.prepare(config)
    ema_teacher.check(config, prepared.objective.needs_teacher)
    example = example_batch(config, prepared.objective.streams, prepared.reader.spec, prepared.reader.charset)
    step = Step(config, prepared.objective, example, mesh, setup.make_step)
    images, kind = views_per_step(config, prepared.validation_objective.streams), mesh.devices.flat[0].device_kind
    result = measuring.record()
    result |= {"devices": mesh.size, "device_kind": kind, "dtype": config.model.get("dtype"), "images_per_step": images}
    result |= {name: config[name] for name in ("steps_per_dispatch", "accumulate", "remat")}
    result["compile_seconds"] = step.compile_seconds
    result["resident"] = step.windows(images)
    if AGAINST.value or PARTS.value:
        result["against"] = against(config, prepared, example, mesh, step, images)
    about, found = count_operations(step, result["resident"]["ms_per_step"] / 1000, mesh.size, kind)
    result |= about
    result["real"], result["input"] = real_windows(step, config, prepared, mesh, images)
    if PROFILE.value:
        with jax.profiler.trace(str(Path(PROFILE.value).expanduser())):
            step.window(min(STEPS.value, 5))
    result |= {"program_memory_mib": program_memory_mib(step.program), "peak_memory_mib": peak_memory_mib()}
    return result, found


def against(config, prepared, example, mesh, step: Step, images: int) -> dict:
    """Plain passes over the same images, alternating with the steps: their figures, and ratios of median and best."""
    from bench_passes import parts_of_a_step, supervised_passes

    from jstr.training.train_step import make_train_step

    make = parts_of_a_step if PARTS.value else supervised_passes
    objective, batch = make(prepared, example)
    other = Step(config, objective, batch, mesh, lambda config, *rest: make_train_step(*rest))
    for each in (step, other):
        each.window(3)
    pairs = [(step.window(1), other.window(1)) for _ in range(STEPS.value)]
    ours, theirs = (figures(list(windows), images) for windows in zip(*pairs, strict=True))
    ratios = {f"ratio_{n}": ours[k] / theirs[k] for n, k in (("median", "ms_per_step"), ("best", "ms_min"))}
    return {"what": make.__name__, "passes": len(batch)} | theirs | ratios


def value_of(result: dict | None, name: str) -> float | None:
    """The figure of a path such as `resident.ms_per_step`, None if it was not measured."""
    for part in name.split("."):
        result = (result or {}).get(part)
    return result


def lines(result: dict) -> list[str]:
    """The figures as text."""
    kind, per = f"{result['devices']} x {result['device_kind']}", result["steps_per_dispatch"]
    out = [f"{kind}, {result['images_per_step']} images a step, {result['dtype']}, {per} step(s) a dispatch"]
    for name, title in SHOWN.items():
        value = value_of(result, name)
        if value is not None:
            row = result.get(name.split(".")[0]) if name.endswith("ms_per_step") else None
            spread = f"   (min {row['ms_min']:.1f}, max {row['ms_max']:.1f})" if row else ""
            out.append(f"{title:31}{value:12,.4g}{spread}" if value < 1 else f"{title:31}{value:12,.1f}{spread}")
    if result["share_of_peak"] is None:
        out.append(f"share of peak: that of {result['device_kind']} is not known, give --peak_tflops")
    if result["while_loops"]:
        out.append("by hand, the bodies of while loops count once: how often they run depends on the data")
    out.append(result["input"])
    other = result.get("against")
    if other:
        out.append(
            f"ms/{other['passes']} {other['what']} {other['ms_per_step']:.1f}: the step takes "
            f"{other['ratio_median']:.3f} of that (median), {other['ratio_best']:.3f} (best)"
        )
    return [line for line in out if line]


def comparison(before: dict, now: dict) -> list[str]:
    """A table of the figures of two runs with their ratios."""
    rows = [f"| figure | {before.get('commit')} | {now.get('commit')} | ratio |", "| --- | ---: | ---: | ---: |"]
    for name, title in SHOWN.items():
        a, b = value_of(before, name), value_of(now, name)
        if a is not None and b is not None:
            rows.append(f"| {title} | {a:,.4g} | {b:,.4g} | {b / a if a else float('nan'):.3f} |")
    return rows


def run() -> None:
    config, _ = parse(sys.argv, workdir_needed=False)
    import flops

    from jstr.text.messages import InputError

    before = None
    if COMPARE.value:
        try:
            before = dict(json.loads(Path(COMPARE.value).expanduser().read_text()))
        except (OSError, TypeError, ValueError) as error:
            raise InputError(f"--compare={COMPARE.value}: {error}; give a file that --json wrote") from error
    measuring.check_json()
    result, found = measure(config)
    print("\n".join(lines(result)))
    if LAYERS.value:
        print(flops.as_markdown(flops.layer_table(found)))
    if before:
        print("\n".join(comparison(before, result)))
    measuring.write_json(result)


if __name__ == "__main__":
    cli(run)
