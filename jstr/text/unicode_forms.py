"""Texts that Unicode holds to be equal: an é may be one character, or an e and an accent."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable


def form_within(text: str, known: Callable[[str], object]) -> str:
    """The text in the equal form, as it is, NFC or NFD, that has the fewest characters which are not `known`.

    A text of known characters stays as it is; where forms have as many unknown ones, NFC comes before NFD.
    """
    if text.isascii() or all(map(known, text)):
        return text
    forms = (unicodedata.normalize("NFC", text), unicodedata.normalize("NFD", text), text)
    return min(forms, key=lambda form: sum(not known(c) for c in form))
