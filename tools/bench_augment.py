"""Speed of views on the device against the host: python tools/bench_augment.py --config=configs/NAME.py [--json=FILE]

For each stream whose views the device can make: images per second of one core of the host, which makes views of decoded
images and resizes them, and of one device, which makes views of resized images, in batches of the config. Every view
counts. Both are measured in turn, --bench_seconds each, and the best of three is given. The share is the part of a
training step that views take, if the step handles --images_per_second views.
"""

import sys
import time

import measuring
from bench_input import NEEDED, rate, viewer

from jstr.cli import cli, parse

REPEATS = 3


def run() -> None:
    config, _ = parse(sys.argv, workdir_needed=False)
    import jax

    from jstr.data.pipeline import TrainData
    from jstr.text.messages import InputError
    from jstr.training import setup
    from jstr.training.device_augmentation import device_views

    measuring.check_json()
    config.augment.where, config.device_data = "host", ()
    prepared = setup.prepare(config)
    data = TrainData(config, prepared.reader.charset, prepared.objective.streams, prepared.frames)
    streams = device_views(prepared.objective.streams, config)
    if not streams:
        raise InputError("no stream of this config has views")
    device = jax.devices()[0]
    result = {"command": " ".join(sys.argv), "device": device.device_kind, "images_per_second": {}}
    print(f"| views/s | host, a core | {device.device_kind} | compile s | share of a step |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for name, views in streams.items():
        usable = [u for key, u in data.sources.items() if key.startswith(f"{name}/")]
        for field, view in views.items():
            if view:
                host, draw = viewer(usable, [view]), Drawer(usable, view, config, config.streams[name].batch_size)
                pairs = [(rate(host), rate(draw)) for _ in range(REPEATS)]
                figures = dict(zip(("host", "device"), map(max, zip(*pairs, strict=True)), strict=True))
                result["images_per_second"][f"{name}.{field}"] = figures | {"compile_seconds": draw.compile_seconds}
                share = f"{NEEDED.value / figures['device']:.1%}" if NEEDED.value else "-"
                print(
                    f"| {name}: {field} ({', '.join(view)}) | {figures['host']:,.0f} | {figures['device']:,.0f} | "
                    f"{draw.compile_seconds:.1f} | {share} |",
                    flush=True,
                )
    measuring.write_json(result)


class Drawer:
    """Makes a view of one batch repeatedly, on the first device."""

    def __init__(self, usable, view: dict, config, size: int):
        import jax
        import numpy as np

        from jstr.data.fields import BASE, BASE_SIZE
        from jstr.data.images import ImageSpec
        from jstr.training.device_augmentation import draw_views

        images = [u[i % len(u)]["image"] for i in range(-(-size // len(usable))) for u in usable][:size]
        rows = {BASE: np.stack([usable[0].spec.fit(image) for image in images])}
        rows[BASE_SIZE] = np.float32([image.shape[:2] for image in images])
        self.size, self.rows = size, jax.device_put(rows, jax.devices()[0])
        self.key, self.fold = jax.random.PRNGKey(0), jax.jit(jax.random.fold_in)
        start = time.perf_counter()
        spec = ImageSpec.make(config.image)
        draw = jax.jit(lambda rows, key: draw_views(rows, {"view": view}, (), spec, key)["view"])
        self.draw = draw.lower(self.rows, self.key).compile()
        self.compile_seconds = time.perf_counter() - start

    def __call__(self, number: int) -> int:
        self.draw(self.rows, self.fold(self.key, number)).block_until_ready()
        return self.size


if __name__ == "__main__":
    cli(run)
