"""Spelling noise: (word, rng, letters, max_length, **parameters) -> word. semimtr.md section 7.

`letters` are what is written in by mistake. Characters that are neither letters nor digits are left alone, and so are
words that are mostly digits: a number has no spelling.
"""

from __future__ import annotations

import inspect

import numpy as np

from jstr.core import InputError


def one_edit(word, rng, letters, max_length, *, clean=0.3, insert=0.1, delete=0.1):
    """At one place a letter is replaced, put in or taken out; with probability `clean`, nothing. ABINet's test."""
    if len(word) < 2 or _is_number(word) or rng.random() < clean:
        return word
    return _misspell(word, rng, letters, max_length, 1, insert, delete)


def spelling(word, rng, letters, max_length, *, edits=(0.7, 0.15, 0.1, 0.05), insert=0.15, delete=0.15):
    """As many places as `edits` says, the probabilities of 0, 1, 2, ... At most 1 in words of up to 4 characters, at
    most half of longer ones, none in words of one. ABINet's SpellingMutation, which its published runs did not use.
    """
    if len(word) < 2 or _is_number(word):
        return word
    number = int(np.searchsorted(np.cumsum(edits), rng.random(), side="right"))
    number = min(number, len(edits) - 1, 1 if len(word) <= 4 else len(word) // 2)
    return _misspell(word, rng, letters, max_length, number, insert, delete) if number else word


def _is_number(word: str) -> bool:
    return 2 * sum(c.isdigit() for c in word) >= len(word)


def _misspell(word, rng, letters, max_length, number, insert, delete) -> str:
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


TEXT_OPS = {op.__name__: op for op in (one_edit, spelling)}


def check_noise(where: str, noise: dict) -> None:
    """Raises InputError when `noise` names an operation or a parameter that does not exist."""
    for op, parameters in noise.items():
        if op not in TEXT_OPS:
            raise InputError(f"{where}: unknown text operation {op!r}; choose from {', '.join(TEXT_OPS)}")
        known = list(inspect.signature(TEXT_OPS[op]).parameters)[4:]
        for parameter in parameters:
            if parameter not in known:
                raise InputError(f"{where}: {op} has no {parameter!r}; it takes {', '.join(known)}")
