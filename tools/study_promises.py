"""Whether the thresholds of jstr calibrate hold: python tools/study_promises.py --fit=NAME=PATH --check=NAME=PATH

Fits thresholds on each set of labelled words, and on all of them, and counts on other sets how many words above each
are right. Also draws words like the fitted ones, right or wrong by the regression of the fit, to say how often a
promise would be broken by chance alone; lists the wrong words with the greatest confidence, to be compared with their
images; and counts again with the labels of another file where a set has one.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import measuring
import numpy as np
from study_codes import Kept

from jstr.cli import Parser, cli, named_paths, path
from jstr.text.messages import InputError

DRAWS, SEED = 200, 27
SHOWN = 12  # wrong words of a set


class Word(NamedTuple):
    """A word that was read, and whether that is right by the 36-character protocol."""

    confidence: float
    is_right: bool
    label: str
    text: str
    index: int


def read_words(reader: Any, source: Any, most: int) -> list[Word]:
    """Words of a source, at most about `most`, spread over it."""
    from jstr.inference.read_source import read_source

    some = range(0, len(source), max(1, -(-len(source) // most)))
    found = []
    for reading in read_source(reader, Kept(source, some), checked=True):
        if reading.answer is not None:
            index = some[reading.index]
            found.append(Word(round(reading.answer.confidence, 6), False, "", reading.answer.text, index))
    return labelled(found, lambda i: source[i]["label"])


def labelled(words: list[Word], label_of: Callable[[int], str | None]) -> list[Word]:
    """The words with these labels, without those whose label is empty."""
    from jstr.text.metrics import PROTOCOLS

    prepare, found = PROTOCOLS["alnum36"], []
    for word in words:
        label = label_of(word.index) or ""
        if expected := prepare(label):
            found.append(word._replace(label=label, is_right=prepare(word.text) == expected))
    return found


def kept(words: list[Word], threshold: float) -> dict[str, Any]:
    """How many words are kept and right above a threshold, with the interval of their share in percent."""
    from jstr.inference.calibration import interval

    rights = [word.is_right for word in words if word.confidence >= threshold]
    low, high = interval(sum(rights), len(rights)) if rights else (0.0, 1.0)
    share = round(100 * sum(rights) / len(rights), 2) if rights else None
    return dict(kept=len(rights), right=sum(rights), precision=share, interval=[round(100 * x, 2) for x in (low, high)])


def broken_by_chance(fitted: Any, precisions: tuple[float, ...]) -> list[dict[str, int]]:
    """Of DRAWS fits to words drawn with the probabilities of `fitted`, how many promise more than is true of these."""
    from jstr.inference.calibration import Calibration

    rng, values = np.random.default_rng(SEED), np.array(fitted.confidences)
    truth = np.array([fitted.probability(value) for value in values])
    promised, broken = np.zeros(len(precisions), int), np.zeros(len(precisions), int)
    for _ in range(DRAWS):
        some = rng.integers(len(values), size=len(values))
        drawn = Calibration.of(values[some], rng.random(len(values)) < truth[some], {})
        for i, precision in enumerate(precisions):
            threshold = drawn.threshold(precision)
            if threshold is not None:
                promised[i] += 1
                broken[i] += truth[values >= threshold].mean() < precision
    return [dict(draws=DRAWS, promised=p, broken=b) for p, b in zip(promised.tolist(), broken.tolist(), strict=True)]


def promises(fitted: Any, checks: dict[str, list[Word]], chance: bool) -> list[dict[str, Any]]:
    """A row for each precision: the threshold, and what it keeps of each set."""
    from jstr.inference.calibration import PRECISIONS

    rows = []
    for precision in PRECISIONS:
        threshold = fitted.threshold(precision)
        row: dict[str, Any] = dict(promised=precision, threshold=threshold)
        if threshold is not None:
            row |= {name: kept(some, threshold) for name, some in checks.items()}
        rows.append(row)
    if chance:
        for row, found in zip(rows, broken_by_chance(fitted, PRECISIONS), strict=True):
            row["by_chance"] = found
    return rows


def run(argv: list[str] | None = None) -> None:
    """Prints a line for each fit, precision and set."""
    import jstr
    from jstr.data.sources.open import open_source
    from jstr.inference.calibration import Calibration

    parser = Parser("python tools/study_promises.py", __doc__)
    parser.add_argument("--workdir", type=path, default="bundled")
    parser.add_argument("--language_model", metavar="WORDS", default="english")
    parser.add_argument("--fit", action="append", required=True, metavar="NAME=PATH")
    parser.add_argument("--check", action="append", default=[], metavar="NAME=PATH")
    parser.add_argument("--other_labels", metavar="FILE", help="label file in the sets, to count with once more")
    parser.add_argument("--most", type=int, default=2000, help="words of a set")
    parser.add_argument("--json", type=path, metavar="FILE")
    args = parser.parse_args(argv)
    fits, start = named_paths("--fit", args.fit), time.process_time()
    paths = named_paths("--fit and --check", args.fit + args.check)
    reader = jstr.load(args.workdir, args.language_model)
    words = {}
    for name, place in paths.items():
        words[name] = read_words(reader, open_source(place), args.most)
        print(f"{name}: {len(words[name])} words, {sum(w.is_right for w in words[name])} right", flush=True)
    counts = {name: dict(words=len(some), right=sum(w.is_right for w in some)) for name, some in words.items()}
    result = measuring.record() | dict(words=counts, fits={})
    checks = dict(words)
    for name, place in paths.items() if args.other_labels else ():
        try:
            other = open_source(place, labels=args.other_labels)
        except InputError:  # this set has no such file
            continue
        checks[f"{name}, {args.other_labels}"] = labelled(words[name], lambda i, other=other: other[i]["label"])
    alone = {name: Calibration.of(*np.array([w[:2] for w in words[name]]).T, {}) for name in fits}
    for name, fitted in alone.items():
        result["fits"][name] = promises(fitted, checks, chance=True)
    if len(alone) > 1:
        result["fits"]["all"] = promises(Calibration.of_all([*alone.values()], {}), checks, chance=False)
    for name, rows in result["fits"].items():
        for row in rows:
            print(name, row, flush=True)
    wrong = {n: sorted((w for w in some if not w.is_right), reverse=True)[:SHOWN] for n, some in words.items()}
    result["surest_errors"] = {n: [[w.confidence, w.label, w.text] for w in some] for n, some in wrong.items()}
    result["cpu_seconds"] = round(time.process_time() - start)
    measuring.save_json(result, args.json)


if __name__ == "__main__":
    cli(run)
