"""Speed of a config's input pipeline: python tools/bench_input.py --config=configs/NAME.py [--json=FILE]

First stage by stage, on one core. Each row includes everything above it, except the views alone, which start from
decoded images. Then the rate at which training gets batches of the whole pipeline with 0, 1, 2 and as many workers as
there are cores, on all of them. An image counts once in all these rows, however many views are made of it. At the end,
the cores that an accelerator at --images_per_second needs, where every view counts, as in bench_train.py.
"""

from __future__ import annotations

import contextlib
import functools
import math
import sys
from collections.abc import Callable
from typing import Any

import measuring
from absl import flags

from jstr.cli import cli, parse

SECONDS = flags.DEFINE_float("bench_seconds", 4.0, "time to spend on each stage", lower_bound=0.1)
WORKERS = flags.DEFINE_list("workers", None, "processes to try; default: 0,1,2 and one for each core")
NEEDED = flags.DEFINE_float("images_per_second", None, "views that an accelerator trains on, as bench_train.py reports")
measuring.define_json()


def rate(one: Callable[[int], int]) -> float:
    """Images per second of `one(i)`, which handles some images and returns their number."""
    return measuring.rate(one, SECONDS.value)


def rows(config, data) -> dict[str, Callable[[], float]]:
    """What to measure on one core, by name, in the order of the pipeline: functions that return images per second."""
    found: dict[str, Callable[[], float]] = {}
    for name, source in data.sources.items():
        for stage, one in stages(source).items():
            found[f"{name}: {stage}"] = functools.partial(rate, one)
    for name, row in config.streams.items():
        views = {field: dict(view) for field, view in row.get("views", {}).items() if view}
        sources = {key: source for key, source in data.sources.items() if key.startswith(f"{name}/")}
        found |= view_rows(name, views, sources)
    for name, dataset in data.streams.items():
        found[f"{name}: + shuffle, mix, views, tokens"] = functools.partial(rate, functools.partial(element, dataset))
    found["all streams: + batch, threads"] = lambda: batch_rate(config, data, 0)
    return found


def view_rows(name: str, views: dict[str, dict], sources: dict[str, Any]) -> dict[str, Callable[[], float]]:
    """The views of a stream, each alone and all of them, from decoded images and with decoding."""
    found: dict[str, Callable[[], float]] = {}

    def add(what: str, some: list, views: list[dict], decoded: bool = True) -> None:
        found[what] = lambda: rate(viewer(some, views, decoded))

    for field, view in views.items():
        what = f"{name}: view {field} ({', '.join(view)}) and resize alone, of decoded images"
        add(what, list(sources.values()), [view])
    if len(views) > 1:
        every = list(views.values())
        what = f"{name}: all {len(views)} views and resize alone, of decoded images"
        add(what, list(sources.values()), every)
        for source, some in {name: list(sources.values()), **{key: [one] for key, one in sources.items()}}.items():
            add(f"{source}: all {len(views)} views and resize, with decoding", some, every, decoded=False)
    return found


def batch_rate(config, data, workers: int) -> float:
    """Images per second of the batches that training gets."""
    images = images_per_step(config)
    with contextlib.closing(data.batches(0, workers=workers)) as batches:
        for _ in range(4):  # prefetched, or prepared while the workers started
            next(batches)
        return rate(lambda i: images * bool(next(batches)))


def images_per_step(config) -> int:
    """Images of a batch, over all streams."""
    return sum(row.batch_size for row in config.streams.values())


def cores_needed(wanted: float, per_core: float, views: float) -> int:
    """Cores for `wanted` views per second. per_core: images per second of one core; views: of an image, on average."""
    return math.ceil(wanted / (per_core * views))


def stages(source) -> dict[str, Callable[[int], int]]:
    """What happens to one image (or text) of a source, each stage with those before it."""
    n = len(source)

    def read(i: int) -> int:
        return bool(source.source[source.position(i % n)])

    def decode(i: int) -> int:
        return bool(source[i % n])

    def resize(i: int) -> int:
        return len(source.spec.fit(source[i % n]["image"])) > 0

    if not hasattr(source, "spec"):
        return {"read": decode}
    return {"read or render": read, "+ decode": decode, "+ resize": resize}


def viewer(sources: list, views: list[dict], decoded: bool = True, count: int = 500) -> Callable[[int], int]:
    """Makes all views of one image, taking `count` from each source; decoded beforehand, or each time."""
    import numpy as np

    from jstr.augment.host import registry

    spec, rng = sources[0].spec, np.random.default_rng(0)
    places = [(source, i * len(source) // count) for source in sources for i in range(count)]
    places = [places[i] for i in rng.permutation(len(places))]
    images = [source[i]["image"] for source, i in places] if decoded else None

    def one(i: int) -> int:
        source, place = places[i % len(places)]
        image = source[place]["image"] if images is None else images[i % len(images)]
        return bool([spec.fit(registry.apply_view(image, rng, view)) for view in views])

    return one


def element(dataset, i: int) -> int:
    """Makes one element of a stream."""
    return bool(dataset[i])


def measure_one_core(config, data) -> dict[str, float]:
    """Prints and returns images per second of every stage on one core."""
    found = {}
    print("| stage, on one core | images/s |\n| --- | ---: |")
    for name, measure in rows(config, data).items():
        found[name] = measure()
        print(f"| {name} | {found[name]:,.0f} |", flush=True)
    return found


def measure_workers(config, data, counts: list[int], cores: int) -> dict[int, float]:
    """Prints and returns images per second by the number of worker processes."""
    found = {}
    print(f"\n| workers, on {cores} cores | images/s |\n| --- | ---: |")
    for count in counts:
        found[count] = batch_rate(config, data, count)
        print(f"| {count} | {found[count]:,.0f} |", flush=True)
    return found


def run() -> None:
    config, _ = parse(sys.argv, workdir_needed=False)
    from bench_passes import views_per_step

    from jstr.data.pipeline import TrainData
    from jstr.training import setup

    measuring.check_json()
    cores = measuring.all_cores()
    counts = sorted({0, 1, 2, len(cores)})
    if WORKERS.value is not None:
        counts = measuring.numbers("workers", WORKERS.value, "0,1,4")
    prepared = setup.prepare(config)
    data = TrainData(config, prepared.reader.charset, prepared.objective.streams, prepared.frames)
    for line in data.notes:
        print(line)
    result: dict[str, Any] = {"command": " ".join(sys.argv), "cores": len(cores)}
    measuring.stay_on({min(cores)})
    result["one_core"] = measure_one_core(config, data)
    measuring.stay_on(cores)
    result["workers"] = measure_workers(config, data, counts, len(cores))
    if NEEDED.value:
        per_core = list(result["one_core"].values())[-1]
        views = views_per_step(config, prepared.validation_objective.streams) / images_per_step(config)
        result["views_per_image"], result["cores_needed"] = views, cores_needed(NEEDED.value, per_core, views)
        print(
            f"\n{NEEDED.value:,.0f} views/s, at {views:.2f} views of each of {per_core:,.0f} images/s per core, need "
            f"{result['cores_needed']} cores"
        )
    measuring.write_json(result)


if __name__ == "__main__":
    cli(run)
