"""Scores a reader on a source of labelled word images."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from typing import Any

from jstr.data.sources.open import open_source, source_notes
from jstr.inference.read_source import read_source
from jstr.inference.reader import Reader
from jstr.text import Charset
from jstr.text.messages import InputError, check_choice, first_few
from jstr.text.metrics import PROTOCOLS, SUBSETS, Examples, Score, averages

SUBSET_SIZES = {"IC13_857": 857, "IC13_1015": 1015}
# Kinds of Score.notes: what is said after their number.
LEFT_OUT = "words left out, without a label that the protocol can score"
OUTSIDE_SUBSET = "words left out, outside the subset"
LOSSY = (
    "labels lose letters or spaces that this reader knows; --protocol=exact (protocol in config.evals) compares them"
)
LOWERED = "labels compared in lower case, as this reader was trained"
REPEATED = "images listed more than once, each scored every time"
CONFLICTING = "images listed with different labels"


def open_sets(paths: Mapping[str, str], labels: str | None = None) -> tuple[dict[str, Any], list[str]]:
    """(sources by name, notes on them) of name -> path. labels: the label file to read in each. Raises InputError."""
    sources = {name: open_source(path, labels=labels) for name, path in paths.items()}
    return sources, list(source_notes(sources))


def score(
    reader: Reader,
    source: Any,
    name: str,
    protocol: str = "alnum36",
    batch_size: int | None = None,
    turn: str = "never",
) -> Score:
    """Reads every image of a source once and scores it.

    Labels and readings are normalised as in training (Charset.fold) before the protocol is applied. name: IC13_857 and
    IC13_1015 select those subsets. Broken images and words whose label is missing, outside the subset, or empty under
    the protocol are counted, not scored. A recogniser with several heads gets a score for each.

    Raises:
      InputError: an unknown protocol, or nothing is left to score.
    """
    check_choice("protocol", protocol, PROTOCOLS)
    prepare = PROTOCOLS[protocol]
    result, broken, labels = Score(), [], {}
    for _, key, label, _, answer, *_ in read_source(reader, source, batch_size, heads=True, turn=turn):
        if answer is None:
            broken.append(key)
            continue
        _note_repeated(result, labels, key, label)
        expected = comparable(reader.charset, label, name, protocol)
        if label is not None and _belongs(name, label):
            _note_changes(result, reader.charset, protocol, label)
        if not expected:
            result.left_out += 1
            _note(
                result,
                OUTSIDE_SUBSET if name in SUBSETS else LEFT_OUT,
                f"{key} ({'no label' if label is None else repr(label)})",
            )
            continue
        result.add(prepare(reader.charset.fold(answer.text)), expected, answer.confidence)
        for head, (text, confidence) in answer.heads.items():
            text = prepare(reader.charset.fold(text))
            result.heads.setdefault(head, Score()).add(text, expected, confidence)
    result.broken = tuple(broken)
    if not result.words:
        raise _unscorable(name, source, protocol, result)
    return result


def comparable(charset: Charset, label: str | None, name: str, protocol: str) -> str:
    """A label in the form in which `score` compares it; "": it is not scored."""
    if label is None or not _belongs(name, label):
        return ""
    return PROTOCOLS[protocol](charset.fold(label))


def _belongs(name: str, label: str) -> bool:
    return name not in SUBSETS or SUBSETS[name](label)


def check_scorable(charset: Charset, source: Any, name: str, protocol: str) -> None:
    """Raises InputError when no label of a source can be scored, before any image is read. name: as for `score`."""
    if any(comparable(charset, label, name, protocol) for label in source.labels()):
        return
    result = Score()
    for label in source.labels():
        if label is not None and _belongs(name, label):
            _note_changes(result, charset, protocol, label)
    raise _unscorable(name, source, protocol, result)


def _unscorable(name: str, source: Any, protocol: str, result: Score) -> InputError:
    why = f": {result.notes[LOSSY].count:,} {LOSSY}" if LOSSY in result.notes else ""
    return InputError(f"{name}: none of its {len(source)} samples can be scored by protocol {protocol}{why}")


def remarks(name: str, result: Score) -> list[str]:
    """What the table does not show: labels left out or changed, and images that could not be read."""
    lines = [f"{name}: {note.count:,} {kind}: {note}" for kind, note in result.notes.items()]
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


def _note(result: Score, kind: str, example: str) -> None:
    result.notes.setdefault(kind, Examples()).add(example)


def _note_repeated(result: Score, labels: dict[str, str | None], key: str, label: str | None) -> None:
    """labels: by key, of the images seen before."""
    if key not in labels:
        labels[key] = label
    elif labels[key] == label:
        _note(result, REPEATED, key)
    else:
        _note(result, CONFLICTING, f"{key} ({labels[key]!r} and {label!r})")


def _note_changes(result: Score, charset: Charset, protocol: str, label: str) -> None:
    """Notes what a person may not expect of the comparison of a label."""
    folded, prepare = charset.fold(label), PROTOCOLS[protocol]
    if _loses(charset, protocol, folded):
        _note(result, LOSSY, f"{label!r} is scored as {prepare(folded)!r}")
    if charset.lower and label.lower() != label and prepare(label) != prepare(label.lower()):
        _note(result, LOWERED, repr(label))


def fitting_protocol(charset: Charset, labels: Iterable[str | None]) -> str:
    """alnum36, or exact where that leaves out letters that the reader knows."""
    return "exact" if any(_loses(charset, "alnum36", charset.fold(label or "")) for label in labels) else "alnum36"


def _loses(charset: Charset, protocol: str, folded: str) -> bool:
    """Whether a protocol leaves out letters of a folded label that the reader knows."""
    return any(c in charset.characters and _is_text(c) and not PROTOCOLS[protocol](c) for c in folded)


def _is_text(c: str) -> bool:
    """Whether `c` is a letter, a digit or a mark of one, of any script, or the space: others are meant to go."""
    return unicodedata.category(c)[0] in "LMN" or c == " "
