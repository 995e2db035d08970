"""Spelling noise: (word, rng, letters, max_length, **parameters) -> word.

letters: the characters that replace or are inserted. Characters that are neither letters nor digits stay, and so do
words that are mostly digits: a number has no spelling.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.random import Generator

from jstr.augment.host.checks import check_operations


def one_edit(
    word: str,
    rng: Generator,
    letters: Sequence[str],
    max_length: int,
    *,
    clean: float = 0.3,
    insert: float = 0.1,
    delete: float = 0.1,
) -> str:
    """Replaces, inserts or deletes one letter; with probability `clean`, does nothing. As in ABINet's test."""
    if len(word) < 2 or _is_number(word) or rng.random() < clean:
        return word
    return _misspell(word, rng, letters, max_length, 1, insert, delete)


def spelling(
    word: str,
    rng: Generator,
    letters: Sequence[str],
    max_length: int,
    *,
    edits: Sequence[float] = (0.7, 0.15, 0.1, 0.05),
    insert: float = 0.15,
    delete: float = 0.15,
) -> str:
    """Edits several letters. edits: the probabilities of 0, 1, 2, ... edits.

    Words of one character are not edited, those of up to 4 at most once, longer ones in at most half of their places.
    ABINet's SpellingMutation, which its published runs did not use.
    """
    if len(word) < 2 or _is_number(word):
        return word
    number = int(np.searchsorted(np.cumsum(edits), rng.random(), side="right"))
    number = min(number, len(edits) - 1, 1 if len(word) <= 4 else len(word) // 2)
    return _misspell(word, rng, letters, max_length, number, insert, delete) if number else word


def _is_number(word: str) -> bool:
    return 2 * sum(c.isdigit() for c in word) >= len(word)


def _misspell(
    word: str, rng: Generator, letters: Sequence[str], max_length: int, number: int, insert: float, delete: float
) -> str:
    out, places = [], set(rng.permutation(len(word))[:number].tolist())
    for i, c in enumerate(word):
        if i not in places or not c.isalnum():
            out.append(c)
            continue
        kind, letter = rng.random(), letters[rng.integers(len(letters))]
        if kind < insert:
            out += [letter, c]
        elif kind >= insert + delete:
            out.append(letter)
    return "".join(out[:max_length]) or word


TEXT_OPS: dict[str, Callable[..., str]] = {op.__name__: op for op in (one_edit, spelling)}


def check_noise(where: str, noise: Mapping[str, Any]) -> None:
    """Raises InputError when `noise` names an unknown operation or parameter, or gives one a value it cannot take."""

    def run(op: str, parameters: Mapping[str, Any]) -> None:
        TEXT_OPS[op]("word", np.random.default_rng(0), "abc", 25, **parameters)

    check_operations(where, "text operation", noise, TEXT_OPS, ("word", "rng", "letters", "max_length"), run)
