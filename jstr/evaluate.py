"""Measures a workdir on word images by the field's protocol.

python -m jstr.evaluate [--workdir=DIR] --data=NAME=PATH [--data=...]
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np
from PIL import Image

from jstr import checkpoint, packed
from jstr.core import InputError
from jstr.data.pipeline import padded_batches
from jstr.data.sources import open_source
from jstr.metrics import PROTOCOLS, SUBSETS, Score, averages, table
from jstr.reader import SHOWN, WORDS_HELP, Reader, load
from jstr.reader import batch_size as usual_size


def score(reader: Reader, source, name: str, protocol: str = "alnum36", batch_size: int | None = None) -> Score:
    """Reads every image of a source once and scores it.

    name: IC13_857 and IC13_1015 select those subsets; under any other name every word is scored whose label the
    protocol can score. Broken images and words without a usable label are counted, not scored. A recogniser with
    several heads gets `heads`, a score for each.

    Raises:
      InputError: nothing is left to score.
    """
    if protocol not in PROTOCOLS:
        raise InputError(f"unknown protocol {protocol!r}; choose one of {', '.join(PROTOCOLS)}")
    prepare, belongs = PROTOCOLS[protocol], SUBSETS.get(name, lambda label: True)
    result = Score()
    for batch in padded_batches(source, reader.spec, batch_size or usual_size()):
        heads = reader.read_heads(batch["image"])
        texts, confidences = heads[reader.heads[-1]] if heads else reader.read_batch(batch["image"])
        result.broken += tuple(batch["broken"])
        for i, label in enumerate(batch["labels"]):
            if not batch["mask"][i]:
                continue
            if label is None or not belongs(label) or not prepare(label):
                result.left_out += 1
            else:
                result.add(prepare(texts[i]), prepare(label), float(confidences[i]))
                for head, (said, sure) in heads.items():
                    result.heads.setdefault(head, Score()).add(prepare(said[i]), prepare(label), float(sure[i]))
    seen = result.words + result.left_out + len(result.broken)
    assert seen == len(source), f"{name}: {seen} of {len(source)} samples were counted"
    if not result.words:
        raise InputError(f"{name}: none of its {len(source)} samples can be scored by protocol {protocol}")
    return result


def pictures(reader: Reader, sources) -> dict[str, np.ndarray]:
    """The picture `attention`, uint8 [H, W, 3], of the first words of the first set, for recognisers that look around.

    sources: by name. Empty for other recognisers and without sets.
    """
    if not (sources and reader.has_attention):
        return {}
    batch = next(iter(padded_batches(next(iter(sources.values())), reader.spec, usual_size())))
    count = min(SHOWN, int(batch["mask"].sum()))
    good = np.argsort(~batch["mask"], kind="stable")  # all images of a batch, as ever: nothing is compiled anew
    return {"attention": reader.attention_sheet(batch["image"][good], count)} if count else {}


def remarks(name: str, result: Score) -> list[str]:
    """What the table does not show: words left out and images that could not be read."""
    lines = []
    if result.left_out:
        rule = "outside the subset" if name in SUBSETS else "without a label that the protocol can score"
        lines.append(f"{name}: {result.left_out:,} words left out, {rule}")
    if result.broken:
        some = ", ".join(result.broken[:5]) + (", ..." if len(result.broken) > 5 else "")
        lines.append(f"{name}: {len(result.broken):,} broken or missing images not scored: {some}")
    expected = {"IC13_857": 857, "IC13_1015": 1015}.get(name)
    if expected and result.words != expected:
        lines.append(f"{name}: the field's subset has {expected} words, this one {result.words}")
    return lines


def as_json(scores: dict[str, Score], **about) -> dict:
    """Everything that was measured, for a file."""
    sets = {n: s.row() | {"left_out": s.left_out, "broken": list(s.broken)} for n, s in scores.items()}
    return {**about, "sets": sets, "averages": averages(scores) if scores else {}}


def _save_attention(reader: Reader, sources, file: str) -> None:
    drawn = pictures(reader, sources)
    if not drawn:
        raise InputError("--attention: this recogniser has no position attention to show; ABINet has")
    try:
        Image.fromarray(drawn["attention"]).save(file)
    except (OSError, ValueError) as error:
        raise InputError(f"--attention={file}: {error}") from error


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m jstr.evaluate", description=__doc__, allow_abbrev=False)
    parser.add_argument("--workdir", help="a run, converted weights or a packed file; default: the bundled reader")
    parser.add_argument("--language_model", metavar="WORDS", help=WORDS_HELP)
    parser.add_argument("--data", action="append", required=True, metavar="NAME=PATH", help="may be given many times")
    parser.add_argument("--labels", help="label file inside every PATH, such as labels_classic.tsv")
    parser.add_argument("--protocol", default="alnum36", choices=PROTOCOLS)
    parser.add_argument("--batch_size", type=int, help="default: 16 on a CPU, else 64")
    parser.add_argument("--attention", metavar="FILE", help="draw where the first words are looked at, a PNG")
    parser.add_argument("--json", metavar="FILE", help="also write the figures there")
    return parser.parse_args(argv)


def run(argv: list[str] | None = None) -> None:
    args = _parse(argv)
    sets = {}
    for item in args.data:
        name, equals, path = item.partition("=")
        if not (name and equals and path):
            raise InputError(f"--data={item}: give NAME=PATH")
        if name in sets:
            raise InputError(f"--data={item}: the name {name} is given twice")
        sets[name] = path
    if args.batch_size is not None and args.batch_size < 1:
        raise InputError(f"--batch_size={args.batch_size}: give a positive number")
    if args.json and not Path(args.json).absolute().parent.is_dir():
        raise InputError(f"--json={args.json}: its folder does not exist")
    reader = load(args.workdir, args.language_model)
    sources = {name: open_source(path, labels=args.labels) for name, path in sets.items()}
    scores, start = {}, time.monotonic()
    for name, source in sources.items():
        scores[name] = score(reader, source, name, args.protocol, args.batch_size)
        for line in remarks(name, scores[name]):
            print(line, file=sys.stderr)
    print(table(scores))
    if args.attention:
        _save_attention(reader, sources, args.attention)
    if args.json:
        about = {
            "workdir": args.workdir or "bundled",
            "step": checkpoint.read_meta(args.workdir or packed.BUNDLED)["step"],
            "language_model": args.language_model or "as the config says",
            "protocol": args.protocol,
            "labels": args.labels or "labels.tsv",
            "seconds": round(time.monotonic() - start, 1),
        }
        Path(args.json).write_text(json.dumps(as_json(scores, **about), indent=2) + "\n")


if __name__ == "__main__":
    from jstr.main import cli

    cli(run)
