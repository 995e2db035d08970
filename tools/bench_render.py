"""Speed of rendering words on one core: python tools/bench_render.py [--json=FILE]

Images are resized to 32x128 as for training. The first words do not count, because they fill the caches of fonts and
letters: training renders millions. Three styles: the default, where each effect has its share of the words; plain
print; and every effect on every word.
"""

from __future__ import annotations

import json
import os
import string
import sys
import time
from pathlib import Path

from jstr.cli import Parser, cli, path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # configs are not installed

WARM_UP, COUNT, REPEATS = 6000, 1000, 3
# Shares that are 1 in the last style. Left out: effects that replace the letters or turn the word (`hollow`, `turned`).
EFFECTS = """
    spaced small_capitals bolder bent slanted tilted foreshortened gradient textured graded filled outlined doubly
    embossed glowing shadowed panelled neighbours underlined occluded lit shaded glaring cast dim blurred defocused
    shaken small noisy sharpened compressed
""".split()


def rate(source, spec) -> float:
    """Images per second, the best of REPEATS."""
    for i in range(WARM_UP):
        spec.fit(source[i]["image"])
    seconds = []
    for repeat in range(REPEATS):
        start = time.perf_counter()
        for i in range(WARM_UP + repeat * COUNT, WARM_UP + (repeat + 1) * COUNT):
            spec.fit(source[i]["image"])
        seconds.append(time.perf_counter() - start)
    return COUNT / min(seconds)


def run(argv: list[str] | None = None) -> None:
    parser = Parser("python tools/bench_render.py", __doc__)
    parser.add_argument("--json", type=path, metavar="FILE")
    args = parser.parse_args(argv)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    from configs.common import PLAIN
    from jstr.data.images import ImageSpec
    from jstr.data.synth.source import RenderedWords
    from jstr.data.synth.style import Style

    styles = {"default": Style(), "plain": Style(**PLAIN), "every effect": Style(**dict.fromkeys(EFFECTS, 1.0))}
    characters, rates = string.digits + string.ascii_lowercase, {}
    for name, style in styles.items():
        source = RenderedWords(1, WARM_UP + REPEATS * COUNT, characters, style=style)
        rates[name] = rate(source, ImageSpec((32, 128), 1))
        print(f"{name:12}: {rates[name]:8,.0f} images/s on one core", flush=True)
    if args.json:
        with open(args.json, "w") as file:
            json.dump({"images_per_second_one_core": rates}, file, indent=2)


if __name__ == "__main__":
    cli(run)
