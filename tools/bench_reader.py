"""Speed of reading on one core: python tools/bench_reader.py [--workdir=DIR] IMAGES

--compare reads in turns greedily, with words, with the pattern, and with both, in CPU time for a batch of 16.
IMAGES: any labelled source (see README), such as a tar. Decoding, resizing and reading are measured; loading, compiling
and the first words are not. Batches of 1 stand for a program that reads one word at a time.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from typing import TYPE_CHECKING

import measuring
import numpy as np

from jstr.cli import Parser, cli, path

if TYPE_CHECKING:
    from jstr.inference.reader import Reader

WARM_UP, COUNT = 128, 1024
BATCH, PASSES = 16, 3  # of --compare


def rate(reader: Reader, encoded: list[bytes | np.ndarray], size: int) -> float:
    """Images per second of reading `encoded` files in batches of `size`."""
    start = time.perf_counter()
    for i in range(0, len(encoded), size):
        images = [reader.spec.fit(reader.spec.decode(data)) for data in encoded[i : i + size]]
        reader.read_batch(np.stack(images))
    return len(encoded) / (time.perf_counter() - start)


def compare(workdir: str, words: str, args: argparse.Namespace, encoded: list) -> dict[str, float]:
    """CPU milliseconds for a batch of BATCH, the least of PASSES passes over the images, which are already decoded."""
    import jstr
    from jstr.inference.guide import with_options

    greedy, english = (jstr.load(workdir, name) for name in ("none", words))
    readers = {"greedy": greedy, "words": english}
    if args.pattern or args.allow:
        readers |= {"pattern": with_options(greedy, args), "pattern and words": with_options(english, args)}
    images = [greedy.spec.fit(greedy.spec.decode(data)) for data in encoded]
    batches = [np.stack(images[i : i + BATCH]) for i in range(0, len(images) - BATCH + 1, BATCH)]
    found = {name: np.inf for name in readers}
    for turn in range(PASSES + 1):  # the first compiles
        for name, reader in readers.items():
            start = time.process_time()
            for batch in batches:
                reader.read_batch(batch)
            if turn:
                found[name] = min(found[name], 1000 * (time.process_time() - start) / len(batches))
    for name, value in found.items():
        print(f"{name:18} {value:7.1f} ms for {BATCH} words, {value / found['greedy']:.2f} of greedy", flush=True)
    return {name: round(value, 1) for name, value in found.items()}


def run(argv: list[str] | None = None) -> None:
    """Prints images per second for each batch size."""
    from jstr.inference.guide import add_options, with_options

    parser = Parser("python tools/bench_reader.py", __doc__)
    parser.add_argument("images")
    parser.add_argument("--workdir", type=path, default="bundled", help="or a name; default: the bundled reader")
    parser.add_argument("--language_model", metavar="WORDS")
    add_options(parser)
    parser.add_argument("--batches", default="1,16,64", help="batch sizes")
    parser.add_argument("--compare", action="store_true", help="in turns, by CPU time; --language_model: the words")
    parser.add_argument("--count", type=int, default=COUNT, help="images")
    parser.add_argument("--json", type=path, metavar="FILE")
    args = parser.parse_args(argv)
    if hasattr(os, "sched_setaffinity"):  # before jax starts its threads
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    import jstr
    from jstr.data.sources.open import open_source

    source = open_source(args.images)
    reader = with_options(jstr.load(args.workdir, args.language_model), args)
    encoded = [source[i]["image"] for i in range(min(len(source), args.count))]
    encoded = [data for data in encoded if reader.spec.decode(data) is not None]
    if args.compare:
        times = compare(args.workdir, args.language_model or "english", args, encoded)
        if args.json:
            result = measuring.record() | dict(images=len(encoded), ms_per_16=times, load=round(os.getloadavg()[0], 1))
            with open(args.json, "w") as file:
                json.dump(result, file, indent=2)
        return
    rates = {}
    for size in map(int, args.batches.split(",")):
        rate(reader, encoded[:WARM_UP], size)
        rates[size] = rate(reader, encoded, size)
        print(f"batches of {size:3}: {rates[size]:8.0f} images/s on one core", flush=True)
    if args.json:
        with open(args.json, "w") as file:
            json.dump({"images": len(encoded), "images_per_second_one_core": rates}, file, indent=2)


if __name__ == "__main__":
    cli(run)
