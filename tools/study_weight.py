"""How much expected words should weigh where readings become labels: python tools/study_weight.py --data=NAME=PATH

Reads labelled words with each weight and prints their accuracy, the share that is read with confidence 0.8 or more
(--threshold), and how many of these are right: the labels that a run of configs/adapt.py would learn.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import measuring
import numpy as np
from study_promises import Word, read_words

from jstr.cli import Parser, cli, named_paths, path
from jstr.text.messages import InputError


def row(words: Sequence[Word], threshold: float) -> dict[str, Any]:
    """Percent of the words that are right, that are sure, and of the sure ones that are right."""
    right = np.array([word.is_right for word in words])
    sure = np.array([word.confidence >= threshold for word in words])
    labels = 100 * right[sure].mean() if sure.any() else 0.0
    figures = dict(accuracy=100 * right.mean(), sure=100 * sure.mean(), right_of_sure=labels)
    return dict(words=len(words)) | {name: round(float(value), 2) for name, value in figures.items()}


def run(argv: list[str] | None = None) -> None:
    """Prints a line for each set and weight."""
    import jstr
    from jstr.data.sources.open import open_source

    parser = Parser("python tools/study_weight.py", __doc__)
    parser.add_argument("--workdir", type=path, default="ppocrv6-small")
    parser.add_argument("--data", action="append", required=True, metavar="NAME=PATH")
    parser.add_argument("--weights", default="0.5,0.75,1,1.5")
    parser.add_argument("--threshold", type=float, default=0.8)
    parser.add_argument("--most", type=int, default=500, help="words of a set, spread over it")
    parser.add_argument("--json", type=path, metavar="FILE")
    args = parser.parse_args(argv)
    try:
        weights = [float(weight) for weight in args.weights.split(",")]
    except ValueError as error:
        raise InputError(f"--weights={args.weights}: give numbers, such as 0.5,1") from error
    reader = jstr.load(args.workdir, "english")
    found, start = measuring.record() | {"sets": {}}, time.process_time()
    for name, place in named_paths("--data", args.data).items():
        rows = found["sets"][name] = {}
        for weight in weights:
            words = read_words(reader.weighing(weight), open_source(place), args.most)
            rows[str(weight)] = row(words, args.threshold)
            print(f"{name:12} weight {weight:<5} {rows[str(weight)]}", flush=True)
    found["cpu_seconds"] = round(time.process_time() - start)
    measuring.save_json(found, args.json)


if __name__ == "__main__":
    cli(run)
