"""Scores a reader on a source of labelled word images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jstr.core import InputError
from jstr.inference.read_source import read_source
from jstr.inference.reader import Reader
from jstr.messages import check_choice, first_few
from jstr.metrics import PROTOCOLS, SUBSETS, Score, averages

SUBSET_SIZES = {"IC13_857": 857, "IC13_1015": 1015}


def score(reader: Reader, source: Any, name: str, protocol: str = "alnum36", batch_size: int | None = None) -> Score:
    """Reads every image of a source once and scores it.

    name: IC13_857 and IC13_1015 select those subsets. Broken images and words whose label is missing, outside the
    subset, or empty under the protocol are counted, not scored. A recogniser with several heads gets a score for each.

    Raises:
      InputError: an unknown protocol, or nothing is left to score.
    """
    check_choice("protocol", protocol, PROTOCOLS)
    prepare, belongs = PROTOCOLS[protocol], SUBSETS.get(name, lambda label: True)
    result, broken = Score(), []
    for _, key, label, _, answer in read_source(reader, source, batch_size, heads=True):
        if answer is None:
            broken.append(key)
        elif label is None or not belongs(label) or not prepare(label):
            result.left_out += 1
        else:
            result.add(prepare(answer.text), prepare(label), answer.confidence)
            for head, (text, confidence) in answer.heads.items():
                result.heads.setdefault(head, Score()).add(prepare(text), prepare(label), confidence)
    result.broken = tuple(broken)
    if not result.words:
        raise InputError(f"{name}: none of its {len(source)} samples can be scored by protocol {protocol}")
    return result


def remarks(name: str, result: Score) -> list[str]:
    """What the table does not show: words left out, and images that could not be read."""
    lines = []
    if result.left_out:
        rule = "outside the subset" if name in SUBSETS else "without a label that the protocol can score"
        lines.append(f"{name}: {result.left_out:,} words left out, {rule}")
    if result.broken:
        lines.append(f"{name}: {len(result.broken):,} broken or missing images not scored: {first_few(result.broken)}")
    expected = SUBSET_SIZES.get(name)
    if expected and result.words != expected:
        lines.append(f"{name}: the field's subset has {expected} words, this one {result.words}")
    return lines


def as_json(scores: Mapping[str, Score], **about: Any) -> dict[str, Any]:
    """All figures, for a JSON file."""
    sets = {n: s.row() | {"left_out": s.left_out, "broken": list(s.broken)} for n, s in scores.items()}
    return {**about, "sets": sets, "averages": averages(scores) if scores else {}}
