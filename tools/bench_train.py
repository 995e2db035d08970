"""Speed of a config's training step, without its data: python tools/bench_train.py --config=configs/NAME.py

Prints images/s, ms/step (median), compile seconds and peak memory. Images are noise: the input pipeline has its own
benchmark, bench_input.py. A workdir is not needed. --bench_against_supervised, for objectives that see several images
of each word, also times a supervised forward and backward pass over each of them, in turn with the steps.
--bench_against_parts, for objectives with a teacher, times what their steps are made of: a forward pass over the weak
view as in evaluation, and supervised forward and backward passes over the labelled and the strong images.
"""

import resource
import sys
import time

import numpy as np
from absl import flags

from jstr.main import CONFIG, cli, parse

STEPS = flags.DEFINE_integer("bench_steps", 20, "steps to time, after 3 that are not counted")
AGAINST = flags.DEFINE_boolean("bench_against_supervised", False, "compare with supervised passes over the same images")
PARTS = flags.DEFINE_boolean("bench_against_parts", False, "compare with the passes of a step with a teacher")


def peak_memory_mib() -> float:
    """Of the device where it tells, else of this process."""
    import jax

    stats = jax.local_devices()[0].memory_stats() or {}
    return stats.get("peak_bytes_in_use", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024) / 2**20


class Step:
    """A compiled training step with its state; each call makes a step and keeps its seconds."""

    def __init__(self, config, objective, example, mesh):
        from jstr import sharding, train
        from jstr.step import make_train_step

        self.state, tx, _ = train.make_state(config, objective, example, mesh)
        self.batch = sharding.put_batch(example, mesh)
        start = time.perf_counter()
        teacher = config.teacher if objective.needs_teacher else None
        self.run = make_train_step(objective, tx, mesh, teacher).lower(self.state, self.batch).compile()
        self.compile_seconds = time.perf_counter() - start
        self.times = []

    def __call__(self) -> None:
        import jax

        start = time.perf_counter()
        self.state, metrics = self.run(self.state, self.batch)
        jax.block_until_ready((self.state, metrics))
        self.times.append(time.perf_counter() - start)

    @property
    def seconds(self) -> float:
        """Median, without the first three."""
        return float(np.median(self.times[3:]))


def supervised_passes(prepared, example):
    """An objective that reads the images of all views with made-up labels, one after the other; and its batch."""
    import jax.numpy as jnp

    from jstr.objectives import supervised

    one = supervised.make(prepared.reader.model, config=prepared.reader.facts)
    images = [x for rows in example.values() for x in rows.values() if np.ndim(x) == 4]
    tokens = np.stack([prepared.reader.charset.encode(prepared.reader.charset.characters[:5])] * len(images[0]))
    batch = {str(i): {"image": x, "tokens": tokens} for i, x in enumerate(images)}

    def init(key, batch):
        return one.init(key, {"labelled": batch["0"]})

    def loss(params, model_state, teacher, batch, key, step):
        total = jnp.zeros(())
        for rows in batch.values():
            part, (model_state, metrics) = one.loss(params, model_state, teacher, {"labelled": rows}, key, step)
            total += part
        return total, (model_state, metrics)

    return one._replace(init=init, loss=loss), batch


def parts_of_a_step(prepared, example):
    """An objective that makes the passes of a consistency step with made-up labels and nothing else; and its batch."""
    import jax
    import jax.numpy as jnp

    from jstr.objectives import supervised
    from jstr.supervision import mean, supervised_metrics

    model, facts = prepared.reader.model, prepared.reader.facts
    one = supervised.make(model, config=facts)
    views = example["unlabelled"]
    tokens = np.resize(example["labelled"]["tokens"], (len(views["strong"]), example["labelled"]["tokens"].shape[1]))
    project = {"project": True} if getattr(model, "projection", "none") != "none" else {}
    batch = {"labelled": example["labelled"], "strong": {"image": views["strong"], "tokens": tokens}}
    batch["weak"] = {"image": views.get("weak", views["strong"])}

    def loss(params, model_state, teacher, batch, key, step):
        variables = jax.lax.stop_gradient({"params": params["model"], **model_state})
        taught = model.apply(variables, batch["weak"]["image"], train=False)["logits"]
        total, _ = one.loss(params, model_state, teacher, {"labelled": batch["labelled"]}, key, step)
        variables = {"params": params["model"], **model_state}
        rows = batch["strong"]
        outputs, updates = model.apply(
            variables, rows["image"], rows["tokens"], train=True, mutable=list(model_state), **project
        )
        total += mean(supervised_metrics(outputs["logits"], rows["tokens"], facts)["loss"])
        return total, ({**model_state, **updates}, {"read": (taught.sum(), jnp.ones(()))})

    return one._replace(loss=loss), batch


def run() -> None:
    parse(sys.argv, workdir_needed=False)
    import jax

    from jstr import sharding, train
    from jstr.data.pipeline import example_batch

    config = CONFIG.value
    mesh = sharding.make_mesh()
    prepared = train.prepare(config)
    example = example_batch(config, prepared.objective.streams, prepared.reader.spec, prepared.reader.charset)
    step = Step(config, prepared.objective, example, mesh)
    against = parts_of_a_step if PARTS.value else supervised_passes if AGAINST.value else None
    other = Step(config, *against(prepared, example), mesh) if against else None
    for _ in range(3 + STEPS.value):
        step()
        if other:
            other()
    images, times = sum(row.batch_size for row in config.streams.values()), step.times[3:]
    print(f"{jax.device_count()} x {jax.devices()[0].device_kind}, batch {images}, {config.model.get('dtype')}")
    print(f"images/s       {images / step.seconds:10.1f}")
    print(f"ms/step        {1000 * step.seconds:10.1f}   (min {1000 * min(times):.1f}, max {1000 * max(times):.1f})")
    print(f"compile s      {step.compile_seconds:10.1f}")
    print(f"peak memory MiB{peak_memory_mib():10.0f}")
    if other:
        passes, least = len(other.batch), min(times) / min(other.times[3:])
        what = "parts" if PARTS.value else "supervised passes"
        print(f"ms/{passes} {what} {1000 * other.seconds:.1f}: the step takes "
              f"{step.seconds / other.seconds:.3f} of that (median), {least:.3f} (best)")  # fmt: skip


if __name__ == "__main__":
    cli(run)
