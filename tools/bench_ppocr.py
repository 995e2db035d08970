"""Speed of a published PP-OCR reader here and in onnxruntime, on one thread: python tools/bench_ppocr.py [--name=NAME]

Both networks alone, on images of 48x320, in turns; the median of CPU seconds, which other processes hardly change, and
of wall-clock seconds. jstr computes only the classes of printable ASCII, as it reads; --classes=all computes all, as
onnxruntime does. --train: a training step of 16 words at 48x320 instead, on all cores that this process may use.
--compare=IMAGES (any source): what both read in 100 images at five widths, all classes, instead.
"""

from __future__ import annotations

import functools
import json
import os
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from jstr.cli import Parser, cli, path

HEIGHT, WIDTH = 48, 320
WIDTHS = (160, 320, 480, 640, 960)  # of images that are compared


def run(argv: list[str] | None = None) -> None:
    """Prints milliseconds for each batch size."""
    parser = Parser("python tools/bench_ppocr.py", __doc__)
    parser.add_argument("--name", default="ppocrv6-small")
    parser.add_argument("--batches", default="1,16", help="batch sizes")
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--classes", choices=("ascii", "all"), default="ascii")
    parser.add_argument("--train", action="store_true")
    parser.add_argument("--compare", type=path, metavar="IMAGES")
    parser.add_argument("--json", type=path, metavar="FILE")
    args = parser.parse_args(argv)
    if args.compare:
        rows = compare(args.name, args.compare)
    elif args.train:
        seconds, cores = train_step(args.name, args.repeats), len(os.sched_getaffinity(0))
        rows = {"train_16_s": seconds, "cores": cores}
        print(f"a training step of 16 words: {seconds['wall']:.2f} s on {cores} cores, {seconds['cpu']:.2f} s of CPU")
    else:
        rows = read(args.name, [int(size) for size in args.batches.split(",")], args.repeats, args.classes == "all")
    if args.json:
        with open(args.json, "w") as file:
            json.dump({"name": args.name, "classes": args.classes, **rows}, file, indent=2)


def sides(name: str, all_classes: bool) -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    """ "jstr" and "onnxruntime": RGB images uint8 [B, H, W, 3] -> probabilities [B, T, C], each on one thread."""
    if hasattr(os, "sched_setaffinity"):  # before jax starts its threads
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    import jax
    import onnxruntime

    from jstr.core import ModelConfig
    from jstr.interop import ppocr, weights
    from jstr.models.ppocr import Model
    from jstr.parallel.compiling import jit

    found = weights.find_onnx(name)
    assert found is not None, name
    published = ppocr.read(found.onnx, found.dictionary)
    classes, params, space = len(published.characters) + 1, published.params, False
    if not all_classes:
        converted = ppocr.convert(found.onnx, dictionary=found.dictionary)
        classes, params = 1 + len(converted.config["charset"]["characters"]), converted.params
        space = converted.config["model"]["space_as_blank"]
    config = ModelConfig((HEIGHT, WIDTH), 3, 25, classes, first_id=1, pad_id=0)
    model = Model(config, network=published.network, space_as_blank=space)
    variables = jax.device_put({"params": params, "batch_stats": published.batch_stats})
    ours = jit(lambda v, x: jax.nn.softmax(model.apply(v, x, train=False)["logits"]))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(found.onnx), options)

    def theirs(images: np.ndarray) -> np.ndarray:
        given = ((images[..., ::-1] / 255 - 0.5) / 0.5).transpose(0, 3, 1, 2).astype(np.float32)
        return np.asarray(session.run(None, {session.get_inputs()[0].name: given})[0])

    return {"jstr": lambda images: np.asarray(ours(variables, images)), "onnxruntime": theirs}


def read(name: str, sizes: list[int], repeats: int, all_classes: bool) -> dict[str, Any]:
    both, rng, rows = sides(name, all_classes), np.random.default_rng(0), {}
    for size in sizes:
        images = rng.integers(0, 256, (size, HEIGHT, WIDTH, 3), np.uint8)
        calls = {side: functools.partial(call, images) for side, call in both.items()}
        times = rows[f"batch_{size}_ms"] = in_turns(repeats, **calls)
        cpu = times["jstr"]["cpu"] / times["onnxruntime"]["cpu"]
        parts = [f"{side} {ms['cpu']:.1f} ms CPU, {ms['wall']:.1f} ms wall" for side, ms in times.items()]
        print(f"batches of {size:2}: {'; '.join(parts)}; ratio of CPU {cpu:.2f}", flush=True)
    return rows


def compare(name: str, images: str, count: int = 100) -> dict[str, Any]:
    """The largest difference of probabilities over images at five widths; in how many the best classes are the same."""
    import cv2

    from jstr.data.sources.open import open_source

    both, source = sides(name, all_classes=True), open_source(images)
    largest, same, count = 0.0, 0, min(count, len(source))
    for i in range(count):
        coded = np.frombuffer(source[i * len(source) // count]["image"], np.uint8)
        image = cv2.resize(cv2.imdecode(coded, cv2.IMREAD_COLOR_RGB), (WIDTHS[i % len(WIDTHS)], HEIGHT))
        ours, theirs = (call(image[None]) for call in (both["jstr"], both["onnxruntime"]))
        largest = max(largest, float(np.abs(ours - theirs).max()))
        same += int((ours.argmax(-1) == theirs.argmax(-1)).all())
    print(f"{name}: probabilities differ by at most {largest:.1e}; the same best classes in {same} of {count} images")
    return {"largest_difference": largest, "same": same, "images": count}


def in_turns(repeats: int, **calls: Callable[[], Any]) -> dict[str, dict[str, float]]:
    """Side -> median milliseconds, of CPU and by the clock."""
    found = {side: [] for side in calls}
    for number in range(repeats + 2):
        for side, call in calls.items():
            start, cpu = time.perf_counter(), time.process_time()
            call()
            if number > 1:
                found[side].append((time.process_time() - cpu, time.perf_counter() - start))
    median = {side: [statistics.median(column) for column in zip(*rows, strict=True)] for side, rows in found.items()}
    return {side: {"cpu": 1e3 * cpu, "wall": 1e3 * wall} for side, (cpu, wall) in median.items()}


def train_step(name: str, repeats: int) -> dict[str, float]:
    """Median seconds, of CPU and by the clock, of a step: forward, CTC, backward and AdamW, of all layers."""
    import jax
    import optax

    from jstr.core import ModelConfig
    from jstr.interop import weights
    from jstr.models.ppocr import Model
    from jstr.parallel.compiling import jit

    meta, saved = weights.read_meta(name), weights.load_variables(name)
    fields = {key: value for key, value in meta["config"]["model"].items() if key != "name"}
    classes = 1 + len(meta["config"]["charset"]["characters"])
    model = Model(ModelConfig((HEIGHT, WIDTH), 3, 25, classes, first_id=1, pad_id=0), **fields)
    rng, optimizer = np.random.default_rng(0), optax.adamw(1e-5)
    images = rng.integers(0, 256, (16, HEIGHT, WIDTH, 3), np.uint8)
    labels = rng.integers(1, classes, (16, 8))

    @jit
    def step(params, state, stats):
        def loss(params):
            variables = {"params": params, "batch_stats": stats}
            outputs, new = model.apply(variables, images, train=True, mutable=["batch_stats"])
            logits = outputs["logits"]
            none = np.zeros(logits.shape[:2]), np.zeros(labels.shape)
            return optax.ctc_loss(logits, none[0], labels, none[1]).mean(), new["batch_stats"]

        grads, stats = jax.grad(loss, has_aux=True)(params)
        updates, state = optimizer.update(grads, state, params)
        return optax.apply_updates(params, updates), state, stats

    state = (params := saved["params"]["model"]), optimizer.init(params), saved["model_state"]["batch_stats"]
    times = []
    for _ in range(repeats + 1):
        start, cpu = time.perf_counter(), time.process_time()
        state = jax.block_until_ready(step(*state))
        times.append((time.process_time() - cpu, time.perf_counter() - start))
    cpu, wall = (statistics.median(column) for column in zip(*times[1:], strict=True))
    return {"cpu": cpu, "wall": wall}


if __name__ == "__main__":
    cli(run)
