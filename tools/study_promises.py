"""Whether the thresholds of jstr calibrate hold: python tools/study_promises.py --fit=PATH --check=NAME=PATH

Fits thresholds on labelled words and counts, on other sets, how many words above each are right. Also draws words
like the fitted ones, right or wrong by the regression of the fit, to say how often a promise would be broken by chance
alone; and lists the wrong words with the greatest confidence, which a person may compare with their images.
"""

from __future__ import annotations

import json
import time
from typing import Any

import measuring
import numpy as np

from jstr.cli import Parser, cli, path

DRAWS, SEED = 400, 27
SHOWN = 12  # wrong words of a set


def read_words(reader: Any, source: Any) -> list[tuple[float, bool, str, str]]:
    """(confidence, whether it is right, label, text) of every word, by the 36-character protocol."""
    from jstr.inference.read_source import read_source
    from jstr.metrics import PROTOCOLS

    prepare, found = PROTOCOLS["alnum36"], []
    for reading in read_source(reader, source, checked=True):
        expected = prepare(reading.label or "")
        if reading.answer is not None and expected:
            text = reading.answer.text
            found.append((round(reading.answer.confidence, 6), prepare(text) == expected, reading.label, text))
    return found


def kept(words: list, threshold: float) -> dict[str, Any]:
    """How many words are kept and right above a threshold, with the interval of their share in percent."""
    from jstr.inference.calibration import interval

    rights = [right for value, right, *_ in words if value >= threshold]
    low, high = interval(sum(rights), len(rights)) if rights else (0.0, 1.0)
    share = round(100 * sum(rights) / len(rights), 2) if rights else None
    return dict(kept=len(rights), right=sum(rights), precision=share, interval=[round(100 * x, 2) for x in (low, high)])


def broken_by_chance(fitted: Any, precisions: tuple[float, ...]) -> list[dict[str, Any]]:
    """Of DRAWS fits to words drawn with the probabilities of `fitted`, how many promise more than is true of these."""
    from jstr.inference.calibration import Calibration

    rng, count = np.random.default_rng(SEED), len(fitted.confidences)
    values = np.array(fitted.confidences)
    truth = np.array([fitted.probability(value) for value in values])
    promised, broken = np.zeros(len(precisions), int), np.zeros(len(precisions), int)
    for _ in range(DRAWS):
        some = rng.integers(count, size=count)
        drawn = Calibration.of(values[some], rng.random(count) < truth[some], {})
        for i, precision in enumerate(precisions):
            threshold = drawn.threshold(precision)
            if threshold is not None:
                promised[i] += 1
                broken[i] += truth[values >= threshold].mean() < precision
    rows = zip(promised.tolist(), broken.tolist(), strict=True)
    return [dict(draws=DRAWS, promised=p, broken=b) for p, b in rows]


def run(argv: list[str] | None = None) -> None:
    """Prints a line for each precision and set."""
    import jstr
    from jstr.data.sources.open import open_source
    from jstr.inference.calibration import PRECISIONS, Calibration

    parser = Parser("python tools/study_promises.py", __doc__)
    parser.add_argument("--workdir", type=path, default="bundled")
    parser.add_argument("--language_model", metavar="WORDS", default="english")
    parser.add_argument("--fit", type=path, required=True, metavar="PATH")
    parser.add_argument("--check", action="append", default=[], metavar="NAME=PATH")
    parser.add_argument("--json", type=path, metavar="FILE")
    args = parser.parse_args(argv)
    result, start = measuring.record(), time.process_time()
    reader = jstr.load(args.workdir, args.language_model)
    paths = {"fit": args.fit} | dict(item.partition("=")[::2] for item in args.check)
    words = {name: read_words(reader, open_source(place)) for name, place in paths.items()}
    fitted = Calibration.of(np.array([w[0] for w in words["fit"]]), np.array([w[1] for w in words["fit"]]), {})
    result["words"] = {name: dict(words=len(some), right=sum(w[1] for w in some)) for name, some in words.items()}
    result["promises"] = rows = []
    for precision, chance in zip(PRECISIONS, broken_by_chance(fitted, PRECISIONS), strict=True):
        threshold = fitted.threshold(precision)
        row: dict[str, Any] = dict(promised=precision, threshold=threshold, by_chance=chance)
        if threshold is not None:
            row |= {name: kept(some, threshold) for name, some in words.items()}
        rows.append(row)
        print(row, flush=True)
    wrong = {n: sorted((w for w in some if not w[1]), reverse=True)[:SHOWN] for n, some in words.items()}
    result["surest_errors"] = {n: [[value, label, text] for value, _, label, text in some] for n, some in wrong.items()}
    print(json.dumps(result["surest_errors"], indent=1))
    result["cpu_seconds"] = round(time.process_time() - start)
    if args.json:
        with open(args.json, "w", encoding="utf-8") as file:
            json.dump(result, file, indent=2)
            file.write("\n")


if __name__ == "__main__":
    cli(run)
