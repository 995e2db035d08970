"""Scores a reader on a source of labelled word images."""

from __future__ import annotations

import numpy as np

from jstr.core import InputError
from jstr.data.pipeline import padded_batches
from jstr.inference.reader import SHOWN, Reader
from jstr.inference.reader import batch_size as usual_size
from jstr.metrics import PROTOCOLS, SUBSETS, Score, averages


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
