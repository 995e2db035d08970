"""Speed of a config's input pipeline: python tools/bench_input.py --config=configs/NAME.py [--json=FILE]

First stage by stage, on one core. Each row does everything above it too, except the views alone, which start from
decoded images. Then what training gets from the whole pipeline with 0, 1, 2 and as many workers as there are cores, on
all of them. An image counts once in all these rows, however many views are made of it. At the end, the cores that an
accelerator at --images_per_second needs, where every view counts, as in bench_train.py.
"""

import functools
import json
import math
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from absl import flags

from jstr.cli import cli, parse

SECONDS = flags.DEFINE_float("bench_seconds", 4.0, "time to spend on each stage", lower_bound=0.1)
WORKERS = flags.DEFINE_list("workers", None, "processes to try; default: 0,1,2 and one for each core")
NEEDED = flags.DEFINE_float("images_per_second", None, "views that an accelerator trains on, as bench_train.py says")
JSON = flags.DEFINE_string("json", None, "write the figures there")


def rate(one: Callable[[int], int]) -> float:
    """Images per second of `one(i)`, which handles and counts some images."""
    one(0)
    count, i, start = 0, 1, time.perf_counter()
    while (passed := time.perf_counter() - start) < SECONDS.value:
        count += one(i)
        i += 1
    return count / passed


def rows(config, data) -> dict[str, Callable[[], float]]:
    """What to measure on one core, by name, in the order of the pipeline: functions that give images per second."""
    found = {}
    for name, usable in data.sources.items():
        for stage, one in stages(usable).items():
            found[f"{name}: {stage}"] = functools.partial(rate, one)
    for name, row in config.streams.items():
        views = {field: dict(view) for field, view in row.get("views", {}).items() if view}
        of_sources = {key: u for key, u in data.sources.items() if key.startswith(f"{name}/")}
        usable = [*of_sources.values()]
        for field, view in views.items():
            what = f"{name}: view {field} ({', '.join(view)}) and resize alone, of decoded images"
            found[what] = lambda usable=usable, view=view: rate(viewer(usable, [view]))
        if len(views) > 1:
            what = f"{name}: all {len(views)} views and resize alone, of decoded images"
            found[what] = lambda usable=usable, views=views: rate(viewer(usable, list(views.values())))
            for source, some in {name: usable, **{key: [u] for key, u in of_sources.items()}}.items():
                what = f"{source}: all {len(views)} views and resize, with decoding"
                found[what] = lambda some=some, views=views: rate(viewer(some, list(views.values()), decoded=False))
    for name, dataset in data.streams.items():
        found[f"{name}: + shuffle, mix, views, tokens"] = functools.partial(rate, functools.partial(element, dataset))
    found["all streams: + batch, threads"] = lambda: batch_rate(config, data, 0)
    return found


def batch_rate(config, data, workers: int) -> float:
    """Images per second of the batches that training gets."""
    batches = data.batches(0, workers=workers)
    images = images_per_step(config)
    for _ in range(4):  # made beforehand, or while the workers started
        next(batches)
    return rate(lambda i: images * bool(next(batches)))


def images_per_step(config) -> int:
    return sum(row.batch_size for row in config.streams.values())


def cores_needed(wanted: float, per_core: float, views: float) -> int:
    """Cores for `wanted` views per second; per_core: images per second of one, views: of an image, on average."""
    return math.ceil(wanted / (per_core * views))


def run() -> None:
    config, _ = parse(sys.argv, workdir_needed=False)
    from bench_passes import views_per_step

    from jstr.core import InputError
    from jstr.data.pipeline import TrainData
    from jstr.training import setup

    if JSON.value and not Path(JSON.value).absolute().parent.is_dir():
        raise InputError(f"--json={JSON.value}: its folder does not exist")
    try:
        counts = [int(n) for n in WORKERS.value] if WORKERS.value is not None else None
    except ValueError as error:
        raise InputError(f"--workers={','.join(WORKERS.value)}: give numbers, such as 0,1,4") from error
    cores = os.sched_getaffinity(0) if hasattr(os, "sched_setaffinity") else set(range(os.cpu_count()))
    prepared = setup.prepare(config)
    data = TrainData(config, prepared.reader.charset, prepared.objective.streams, prepared.frames)
    for line in data.notes:
        print(line)
    _stay_on({min(cores)})
    result = {"command": " ".join(sys.argv), "cores": len(cores), "one_core": {}, "workers": {}}
    print("| stage, on one core | images/s |\n| --- | ---: |")
    for name, measure in rows(config, data).items():
        result["one_core"][name] = measure()
        print(f"| {name} | {result['one_core'][name]:,.0f} |", flush=True)
    _stay_on(cores)
    print(f"\n| workers, on {len(cores)} cores | images/s |\n| --- | ---: |")
    for count in sorted({0, 1, 2, len(cores)}) if counts is None else counts:
        result["workers"][count] = batch_rate(config, data, count)
        print(f"| {count} | {result['workers'][count]:,.0f} |", flush=True)
    if NEEDED.value:
        per_core = list(result["one_core"].values())[-1]
        views = views_per_step(config, prepared.validation_objective.streams) / images_per_step(config)
        result["views_per_image"], result["cores_needed"] = views, cores_needed(NEEDED.value, per_core, views)
        print(
            f"\n{NEEDED.value:,.0f} views/s, {views:.2f} of each of {per_core:,.0f} images/s and core, need "
            f"{result['cores_needed']} cores"
        )
    if JSON.value:
        Path(JSON.value).write_text(json.dumps(result, indent=2) + "\n")


def _stay_on(cores: set[int]) -> None:
    """This thread, and the threads and processes that it starts from now on."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cores)


def stages(usable) -> dict[str, Callable[[int], int]]:
    """What happens to one image (or text) of a source, each stage with those before it."""
    n = len(usable)

    def read(i: int) -> int:
        return bool(usable.source[usable.position(i % n)])

    def decode(i: int) -> int:
        return bool(usable[i % n])

    def resize(i: int) -> int:
        return len(usable.spec.fit(usable[i % n]["image"])) > 0

    if not hasattr(usable, "spec"):
        return {"read": decode}
    return {"read or render": read, "+ decode": decode, "+ resize": resize}


def viewer(usable, views: list[dict], decoded: bool = True, count: int = 500) -> Callable[[int], int]:
    """Makes all views of one image, of `count` from each source alike; they are decoded beforehand, or each time."""
    import numpy as np

    from jstr.augment.host import registry

    spec, rng = usable[0].spec, np.random.default_rng(0)
    places = [(u, i * len(u) // count) for u in usable for i in range(count)]
    places = [places[i] for i in rng.permutation(len(places))]
    images = [u[i]["image"] for u, i in places] if decoded else None

    def one(i: int) -> int:
        u, place = places[i % len(places)]
        image = images[i % len(images)] if decoded else u[place]["image"]
        return bool([spec.fit(registry.apply_view(image, rng, view)) for view in views])

    return one


def element(dataset, i: int) -> int:
    return bool(dataset[i])


if __name__ == "__main__":
    cli(run)
