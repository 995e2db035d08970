"""What a pattern brings when codes are read: python tools/study_codes.py [--plates=PATH] [--words=PATH] [--json=FILE]

Renders 300 codes, or --count, of each of four kinds and reads them greedily, with English words, with the pattern of
their kind, and with both: accuracy and Brier score of the confidence. plates: labelled licence plates, O and 0 alike.
words: labelled crops that are no codes, read as plates: their confidence should be low.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

import measuring
import numpy as np

from jstr.cli import Parser, cli, path
from jstr.text.messages import check_choice

COUNT, SEED = 300, 27
KINDS = {
    "plates": dict(regex="[A-Z]{3}[0-9]{4}"),
    "meters": dict(regex="[0-9]{5,8}"),
    "containers": dict(regex="[A-Z]{3}[UJZ][0-9]{7}", checksum="iso6346"),
    "serials": dict(regex="[A-Z]{2}[0-9]{6}[A-Z]|[A-Z][0-9]{2}[A-Z]{2}[0-9]{4}"),
}
# The commonest forms of US, Brazilian and European plates, and any other.
PLATES = (
    *("[A-Z0]{3}[0-9]{3,4}", "[0-9]{3}[A-Z0]{3}", "[0-9][A-Z0]{3}[0-9]{3}", "[A-Z0]{2}[0-9][A-Z0][0-9][A-Z0]"),
    *("[A-Z0]{2}[0-9]{3}[A-Z0]{2}", "[A-Z0-9]{4,8}"),
)


def comparable(text: str) -> str:
    """Letters and digits in lower case."""
    return re.sub("[^0-9a-z]", "", text.lower())


def zeros(text: str) -> str:
    """The same with O as 0, as most plates are labelled."""
    return comparable(text).replace("o", "0")


def measure(reader: Any, source: Any, fold: Callable[[str], str]) -> dict[str, float]:
    """Accuracy in percent, Brier score and mean confidence, of words that have letters or digits."""
    from jstr.inference.read_source import read_source

    found = [r for r in read_source(reader, source, checked=True) if r.answer is not None and fold(r.label or "")]
    rights = np.array([fold(r.answer.text) == fold(r.label) for r in found], np.float64)
    values = np.array([r.answer.confidence for r in found])
    brier = round(float(((values - rights) ** 2).mean()), 3)
    accuracy, confidence = round(100 * float(rights.mean()), 1), round(float(values.mean()), 3)
    return dict(words=len(found), accuracy=accuracy, brier=brier, confidence=confidence)


class Kept:
    """Some samples of a source, rendered or read from their files once."""

    notes = ()

    def __init__(self, source: Any, indices: range):
        self.path, self._samples = source.path, [source[i] for i in indices]

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, i: int) -> dict[str, Any]:
        return self._samples[i]


def run(argv: list[str] | None = None) -> None:
    """Prints a line for each kind and way of reading."""
    import jstr
    from jstr.data.patterns.spec import PatternSpec
    from jstr.data.sources.open import open_source
    from jstr.data.synth.source import RenderedWords

    parser = Parser("python tools/study_codes.py", __doc__)
    parser.add_argument("--workdir", type=path, default="bundled")
    parser.add_argument("--kinds", default=",".join(KINDS), help="of codes; none where it is empty")
    parser.add_argument("--count", type=int, default=COUNT, help="codes of each kind")
    parser.add_argument("--plates", type=path)
    parser.add_argument("--words", type=path)
    parser.add_argument("--json", type=path, metavar="FILE")
    args = parser.parse_args(argv)
    greedy, english = (jstr.load(args.workdir, words) for words in ("none", "english"))
    result, start = measuring.record() | {"sets": {}}, time.process_time()

    def compare(name: str, source: Any, pattern: dict, fold: Callable[[str], str] = comparable) -> None:
        spec = PatternSpec.make(**pattern)
        readers = dict(greedy=greedy, english=english, pattern=greedy.guided(spec), both=english.guided(spec))
        if spec.checksum:
            readers["without checksum"] = greedy.guided(PatternSpec.make(pattern["regex"]))
        rows = result["sets"][name] = {how: measure(reader, source, fold) for how, reader in readers.items()}
        for how, row in rows.items():
            print(f"{name:12} {how:18} {row}", flush=True)

    for name in filter(None, args.kinds.split(",")):
        check_choice("--kinds", name, KINDS)
        codes = RenderedWords(SEED, args.count, greedy.charset.characters, pattern=KINDS[name])
        compare(name, Kept(codes, range(args.count)), KINDS[name])
    if args.plates:
        compare("real plates", open_source(args.plates), dict(regex=PLATES), zeros)
    if args.words:
        source = open_source(args.words)
        reader = greedy.guided(PatternSpec.make(**KINDS["plates"]))
        row = measure(reader, Kept(source, range(0, len(source), 3)), comparable)
        result["sets"]["words read as plates"] = row
        print(f"words read as plates: {row}")
    result["cpu_seconds"] = round(time.process_time() - start)
    measuring.save_json(result, args.json)


if __name__ == "__main__":
    cli(run)
