"""Speed of a config's input pipeline, stage by stage, on one core: python tools/bench_input.py --config=configs/NAME.py

Each row does everything above it too. The last row is what training gets from the pipeline on one core, when nothing
else runs.
"""

import functools
import os
import sys
import time
from collections.abc import Callable

from absl import flags

from jstr.main import CONFIG, cli, parse

SECONDS = flags.DEFINE_float("bench_seconds", 4.0, "time to spend on each stage")


def rate(one: Callable[[int], int]) -> float:
    """Images per second of `one(i)`, which handles and counts some images."""
    one(0)
    count, i, start = 0, 1, time.perf_counter()
    while (passed := time.perf_counter() - start) < SECONDS.value:
        count += one(i)
        i += 1
    return count / passed


def run() -> None:
    parse(sys.argv, workdir_needed=False)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    from jstr import train
    from jstr.data.pipeline import TrainData

    config = CONFIG.value
    prepared = train.prepare(config)
    data = TrainData(config, prepared.reader.charset, prepared.objective.streams, prepared.frames)
    for line in data.notes:
        print(line)
    print("| stage | images/s |\n| --- | ---: |")
    for name, usable in data.usable.items():
        for stage, one in stages(usable).items():
            print(f"| {name}: {stage} | {rate(one):,.0f} |", flush=True)
    for name, row in config.streams.items():
        views = {field: dict(view) for field, view in row.get("views", {}).items() if view}
        usable = [u for key, u in data.usable.items() if key.startswith(f"{name}/")]
        if views:
            speed = rate(viewer(usable, list(views.values())))
            print(f"| {name}: {len(views)} view(s) and resize alone, of decoded images | {speed:,.0f} |", flush=True)
    for name, dataset in data.streams.items():
        speed = rate(functools.partial(element, dataset))
        print(f"| {name}: + shuffle, mix, views, tokens | {speed:,.0f} |", flush=True)
    batches = data.batches(0)
    images = sum(row.batch_size for row in config.streams.values())
    print(f"| all streams: + batch, threads | {rate(lambda i: images * bool(next(batches))):,.0f} |")


def stages(usable) -> dict[str, Callable[[int], int]]:
    """What happens to one image of a source, each stage with those before it."""
    n = len(usable)

    def read(i: int) -> int:
        return bool(usable.source[usable.position(i % n)])

    def decode(i: int) -> int:
        return bool(usable[i % n])

    def resize(i: int) -> int:
        return len(usable.spec.fit(usable[i % n]["image"])) > 0

    return {"read or render": read, "+ decode": decode, "+ resize": resize}


def viewer(usable, views: list[dict], count: int = 500) -> Callable[[int], int]:
    """Makes all views of one image, of `count` that are decoded beforehand, from each source alike."""
    import numpy as np

    from jstr.data import ops

    spec, rng = usable[0].spec, np.random.default_rng(0)
    images = [u[i * len(u) // count]["image"] for u in usable for i in range(count)]
    images = [images[i] for i in rng.permutation(len(images))]

    def one(i: int) -> int:
        image = images[i % len(images)]
        return bool([spec.fit(ops.apply_view(image, rng, view)) for view in views])

    return one


def element(dataset, i: int) -> int:
    return bool(dataset[i])


if __name__ == "__main__":
    cli(run)
