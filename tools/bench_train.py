"""Speed of a config's training step, without its data: python tools/bench_train.py --config=configs/NAME.py

Prints images/s, ms/step (median), compile seconds and peak memory. Images are noise: the input pipeline has its own
benchmark, bench_input.py. A workdir is not needed.
"""

import resource
import sys
import time

import numpy as np
from absl import flags

from jstr.main import CONFIG, cli, parse

STEPS = flags.DEFINE_integer("bench_steps", 20, "steps to time, after 3 that are not counted")


def peak_memory_mib() -> float:
    """Of the device where it tells, else of this process."""
    import jax

    stats = jax.local_devices()[0].memory_stats() or {}
    return stats.get("peak_bytes_in_use", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024) / 2**20


def run() -> None:
    parse(sys.argv, workdir_needed=False)
    import jax

    from jstr import sharding, train
    from jstr.data.pipeline import example_batch
    from jstr.step import make_train_step

    config = CONFIG.value
    mesh = sharding.make_mesh()
    prepared = train.prepare(config)
    example = example_batch(config, prepared.fields, prepared.reader.spec, prepared.reader.charset)
    state, tx, _ = train.make_state(config, prepared.objective, example, mesh)
    batch = sharding.put_batch(example, mesh)
    start = time.perf_counter()
    step = make_train_step(prepared.objective, tx, mesh).lower(state, batch).compile()
    compile_seconds = time.perf_counter() - start
    times = []
    for _ in range(3 + STEPS.value):
        start = time.perf_counter()
        state, metrics = step(state, batch)
        jax.block_until_ready((state, metrics))
        times.append(time.perf_counter() - start)
    seconds = float(np.median(times[3:]))
    images = sum(row.batch_size for row in config.streams.values())
    print(f"{jax.device_count()} x {jax.devices()[0].device_kind}, batch {images}, {config.model.get('dtype')}")
    print(f"images/s       {images / seconds:10.1f}")
    print(f"ms/step        {1000 * seconds:10.1f}   (min {1000 * min(times[3:]):.1f}, max {1000 * max(times[3:]):.1f})")
    print(f"compile s      {compile_seconds:10.1f}")
    print(f"peak memory MiB{peak_memory_mib():10.0f}")


if __name__ == "__main__":
    cli(run)
