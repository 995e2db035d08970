"""Speed of reading on one core: python tools/bench_reader.py [--workdir=DIR] IMAGES

IMAGES: any labelled source (see README), such as a tar. Decoding, resizing and reading are measured; loading, compiling
and the first words are not. Batches of 1 stand for a program that reads one word at a time.
"""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING

import numpy as np

from jstr.cli import Parser, cli, path

if TYPE_CHECKING:
    from jstr.inference.reader import Reader

WARM_UP, COUNT = 128, 1024


def rate(reader: Reader, encoded: list[bytes | np.ndarray], size: int) -> float:
    """Images per second of reading `encoded` files in batches of `size`."""
    start = time.perf_counter()
    for i in range(0, len(encoded), size):
        images = [reader.spec.fit(reader.spec.decode(data)) for data in encoded[i : i + size]]
        reader.read_batch(np.stack(images))
    return len(encoded) / (time.perf_counter() - start)


def run(argv: list[str] | None = None) -> None:
    """Prints images per second for each batch size."""
    from jstr.inference.guide import add_options, with_options

    parser = Parser("python tools/bench_reader.py", __doc__)
    parser.add_argument("images")
    parser.add_argument("--workdir", type=path, default="bundled", help="or a name; default: the bundled reader")
    parser.add_argument("--language_model", metavar="WORDS")
    add_options(parser)
    parser.add_argument("--batches", default="1,16,64", help="batch sizes")
    parser.add_argument("--json", type=path, metavar="FILE")
    args = parser.parse_args(argv)
    if hasattr(os, "sched_setaffinity"):  # before jax starts its threads
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    import jstr
    from jstr.data.sources.open import open_source

    reader = with_options(jstr.load(args.workdir, args.language_model), args)
    source = open_source(args.images)
    encoded = [source[i]["image"] for i in range(min(len(source), COUNT))]
    encoded = [data for data in encoded if reader.spec.decode(data) is not None]
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
