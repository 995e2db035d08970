"""Text: charsets, and how labels are normalised, encoded and decoded."""

from __future__ import annotations

import os
import string
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from jstr.text.messages import InputError, first_few
from jstr.text.unicode_forms import form_within

NAMED = {
    "36": string.digits + string.ascii_lowercase,
    "62": string.digits + string.ascii_letters,
    "94": string.digits + string.ascii_letters + string.punctuation,
    "ascii": string.digits + string.ascii_letters + string.punctuation,
}
WITH_SPACE = "+space"  # after a name or file: and the space
MAX_BYTES = 1 << 24  # of a charset file
CHARSETS = Path(__file__).parents[1] / "data" / "charsets"  # a file for each further name


@dataclass(frozen=True)
class Layout:
    """Ids of the special tokens; characters start at `first_id`. CTC layouts have no BOS and EOS, their blank is 0."""

    first_id: int
    pad_id: int
    bos_id: int | None = None
    eos_id: int | None = None

    @property
    def is_ctc(self) -> bool:
        """Whether ids are laid out for CTC, without BOS and EOS."""
        return self.bos_id is None


# "cr": STR-Fewer-Labels (Baek et al. 2021) and CR (Zheng et al. 2022): PAD, UNK, (BOS, EOS,) space, characters.
# "dtrb": deep-text-recognition-benchmark (Baek et al. 2019): padding shares id 0 with BOS or CTC's blank.
LAYOUTS = {
    "cr_attention": Layout(first_id=5, pad_id=0, bos_id=2, eos_id=3),
    "cr_ctc": Layout(first_id=4, pad_id=1),
    "dtrb_attention": Layout(first_id=2, pad_id=0, bos_id=0, eos_id=1),
    "dtrb_ctc": Layout(first_id=1, pad_id=0),
    # ABINet (Fang et al. 2021): EOS is class 0. Nothing reads BOS or padding, so they take no class.
    "abinet": Layout(first_id=1, pad_id=-1, bos_id=-1, eos_id=0),
}


def _shipped() -> dict[str, Path]:
    """The charsets of the package that are files, by name."""
    return {path.stem: path for path in CHARSETS.glob("*.txt")}


def read_characters(spec: str) -> str:
    """The characters that `spec` names: "36", "62", "94" or "ascii", "latin", "korean", "file:PATH", or itself.

    Line ends of a file do not count. "+space" after a name or file adds the space. "literal:" comes before characters
    that would otherwise be such a name. It repeats a letter, so it is no charset.

    Raises:
      InputError: empty, a character twice, or a file that cannot be read.
    """
    shipped, before = _shipped(), spec.removesuffix(WITH_SPACE)
    if before != spec and (is_name(before) or before.startswith("file:")):
        characters = read_characters(before)
        return characters if " " in characters else characters + " "
    if spec.startswith("literal:"):
        characters = spec.removeprefix("literal:")
    elif spec.startswith("file:") or spec in shipped:
        path = shipped.get(spec) or Path(os.path.expanduser(spec.removeprefix("file:")))
        try:
            if path.exists() and not (path.is_file() and path.stat().st_size <= MAX_BYTES):  # it might never end
                raise InputError(f"charset file {path} is no file of characters; give a text file with each once")
            characters = "".join(path.read_text(encoding="utf-8-sig").splitlines())
        except OSError as error:
            raise InputError(f"charset file {path} cannot be read: {error.strerror or error}") from error
        except UnicodeDecodeError as error:
            raise InputError(f"charset file {path} cannot be read: {error}") from error
    else:
        characters = NAMED.get(spec, spec)
    twice = [c for c, n in Counter(characters).items() if n > 1]
    if twice:
        raise InputError(f"charset {spec!r} holds {twice[0]!r} more than once; name every character once")
    if not characters:
        raise InputError(f"charset {spec!r} is empty; give a name (36, 62, 94, latin, korean), a string, or file:PATH")
    return characters


def is_name(spec: str, *more: str) -> bool:
    """Whether `spec` is the name of a charset, or one of `more`; "+space" may follow."""
    name = spec.removesuffix(WITH_SPACE)
    return name in NAMED or name in _shipped() or name in more


def literal(characters: str) -> str:
    """The spec that stands for exactly these characters, whatever files and names there are."""
    return f"literal:{characters}" if is_name(characters) or characters.startswith("file:") else characters


def self_contained(charset: Mapping[str, Any]) -> dict[str, Any]:
    """config.charset with the same characters, decided by no file: to be stored with what was trained on them.

    Raises:
      InputError: as read_characters.
    """
    spec = charset["characters"]
    return {**charset, "characters": spec if spec in NAMED else literal(read_characters(spec))}


@dataclass(frozen=True)
class Charset:
    """Characters, layout and normalisation: text to ids and back.

    lower, nfkc: lower case and Unicode NFKC, applied to labels before anything else.
    drop_outside: deletes characters outside the charset from a label instead of leaving the label out.
    White space at the ends of a label is never part of the word and is always removed. If the space is among the
    characters, white space of any kind and length within a label is one space.
    """

    characters: str
    layout: Layout
    max_length: int
    lower: bool = False
    nfkc: bool = False
    drop_outside: bool = False

    def __post_init__(self):
        ids = {c: i for i, c in enumerate(self.characters, self.layout.first_id)}
        object.__setattr__(self, "_ids", ids)

    @classmethod
    def make(cls, characters: str, layout: str, max_length: int, **normalise: bool) -> Charset:
        """From config values.

        Raises:
          InputError: an unknown layout, bad characters, or capitals that `lower` takes out of every label.
        """
        if layout not in LAYOUTS:
            raise InputError(f"unknown token layout {layout!r}; choose one of {', '.join(LAYOUTS)}")
        if not isinstance(max_length, int) or max_length < 1:
            raise InputError(f"config.charset.max_length={max_length!r}: give a number of characters, at least 1")
        charset = cls(read_characters(characters), LAYOUTS[layout], max_length, **normalise)
        known = set(charset.characters)
        lost = [c for c in charset.characters if not known.issuperset(c.lower())]
        if charset.lower and lost:
            raise InputError(
                "config.charset.lower=True makes labels lower-case, but the charset has only in upper case: "
                f"{first_few(lost)}; set config.charset.lower=False, or give the charset lower-case letters"
            )
        return charset

    @property
    def num_classes(self) -> int:
        """Special tokens and characters."""
        return self.layout.first_id + len(self.characters)

    @property
    def token_length(self) -> int:
        """Length of an encoded label: max_length, and BOS and EOS except for CTC."""
        return self.max_length if self.layout.is_ctc else self.max_length + 2

    def normalise(self, text: str) -> str:
        """A label as it is trained on: NFKC, lower case and deletions as configured, ends stripped."""
        text = self.fold(text)
        return self.tidy("".join(c for c in text if c in self._ids)) if self.drop_outside else text

    def fold(self, text: str) -> str:
        """The same without deletions: a label as it is compared with what is read."""
        text = unicodedata.normalize("NFKC", text) if self.nfkc else text
        return self.tidy(form_within(text.lower() if self.lower else text, self._ids.__contains__))

    def tidy(self, text: str) -> str:
        """The text with white space as labels have it."""
        return tidy(text, self.characters)

    def outside(self, text: str) -> str:
        """The characters of a normalised text that the charset lacks."""
        return "".join(c for c in text if c not in self._ids)

    def encode(self, text: str) -> np.ndarray:
        """Ids [token_length] int32 of a normalised text that fits: [BOS] characters [EOS], then padding."""
        ids = [self._ids[c] for c in text]
        if not self.layout.is_ctc:
            ids = [self.layout.bos_id, *ids, self.layout.eos_id]
        tokens = np.full(self.token_length, self.layout.pad_id, np.int32)
        tokens[: len(ids)] = ids
        return tokens

    def padding(self) -> np.ndarray:
        """The tokens of a word without a label: [token_length] int32, padding only."""
        return np.full(self.token_length, self.layout.pad_id, np.int32)

    def decode(self, ids: Iterable[int]) -> str:
        """Text of predicted or encoded ids: stops at the first EOS, if there is one; other specials are dropped."""
        characters = []
        for i in ids:
            if i == self.layout.eos_id:
                break
            if i >= self.layout.first_id:
                characters.append(self.characters[i - self.layout.first_id])
        return self.tidy("".join(characters))


def tidy(text: str, characters: str) -> str:
    """The text with white space as labels have it: one space each if it is among the characters, none at the ends."""
    return " ".join(text.split()) if " " in characters else text.strip()


def frames_needed(text: str) -> int:
    """The fewest frames that CTC aligns with `text`: one for each character, and a blank between equal neighbours."""
    return len(text) + sum(a == b for a, b in zip(text, text[1:], strict=False))
